"""Two signals, and neither is believed alone: each way for a host to fall silent has its verdict, and one alert."""

from __future__ import annotations

import shutil
import signal

import pytest
from faults_site import Site
from judged import SILENT_AGENT, judging
from service_client import service_client
from waiting import wait_until

from core.messages import Heartbeat, encode
from core.topics import HEARTBEAT, STATUS, host_topic

pytestmark = pytest.mark.mosquitto


def test_a_killed_agent_has_crashed_and_its_return_ends_outage_and_alert(here: Site) -> None:
    with judging(here) as judged:
        agent = here.start_agent("alpha", 0, **SILENT_AGENT)
        judged.becomes("alpha", "online")
        agent.kill()
        judged.becomes("alpha", "offline", "crashed")
        agent.start()
        judged.becomes("alpha", "online")
        opened, cleared = judged.alerts()
        assert (opened["kind"], opened["source_host"], opened["state"]) == ("crashed", "alpha", "open")
        assert cleared == {"id": opened["id"]}
        assert judged.outages("alpha") == [("crashed", True)]
        assert len(judged.verdicts("alpha")) == 3, "each is said once"


def test_an_agent_that_is_stopped_says_so_and_nobody_is_woken(here: Site) -> None:
    with judging(here) as judged:
        agent = here.start_agent("alpha", 0, **SILENT_AGENT)
        judged.becomes("alpha", "online")
        agent.stop()
        judged.becomes("alpha", "offline", "stopped")
        assert judged.alerts() == []
        assert judged.outages("alpha") == [("stopped", False)]


def test_a_hung_agent_is_noticed_by_its_keep_alive(here: Site) -> None:
    with judging(here) as judged:
        agent = here.start_agent("alpha", 0, **SILENT_AGENT | {"TEST_INTERVAL": "60"})
        judged.becomes("alpha", "online")
        agent.send(signal.SIGSTOP)
        judged.becomes("alpha", "offline", "crashed")
        agent.send(signal.SIGCONT)
        judged.becomes("alpha", "online")
        assert [alert.get("kind") for alert in judged.alerts()] == ["crashed", None]


def test_a_session_without_heartbeats_is_a_zombie_also_while_its_events_come(here: Site) -> None:
    with judging(here) as judged:
        here.start_agent("alpha", **SILENT_AGENT, TEST_AT_ONCE="1", TEST_PAUSE="0.1")
        judged.becomes("alpha", "online")
        (here.agent_home("alpha").path / "mute").touch()
        judged.becomes("alpha", "zombie")
        assert [state for state, _ in judged.verdicts("alpha")] == ["online", "late", "zombie"]
        before = here.stored()
        (here.agent_home("alpha").path / "mute").unlink()
        judged.becomes("alpha", "online")
        assert here.stored() > before, "events came all the while"
        assert judged.outages("alpha") == [("zombie", True)]


def test_who_announces_an_absence_is_away_and_overdue_when_it_is_not_back(here: Site) -> None:
    with judging(here) as judged:
        back = here.start_agent("alpha", 0, **SILENT_AGENT, TEST_AWAY="600")
        gone = here.start_agent("beta", 0, **SILENT_AGENT, TEST_AWAY="15")
        for host, agent in (("alpha", back), ("beta", gone)):
            judged.becomes(host, "online")
            agent.stop()
            judged.becomes(host, "away", "reboot")
        back.start()
        judged.becomes("alpha", "online")
        judged.becomes("beta", "overdue", "reboot")
        gone.start()
        judged.becomes("beta", "online")
        assert [alert.get("kind") for alert in judged.alerts()] == ["overdue", None]
        assert judged.outages("alpha") == [("away", True)]
        assert judged.outages("beta") == [("away", True), ("overdue", True)]


def test_a_host_without_a_session_is_offline_when_nothing_is_heard_of_it(here: Site) -> None:
    with judging(here) as judged, service_client(here, "api") as bridge:

        def beat() -> None:
            bridge.publish(host_topic("alpha", HEARTBEAT), encode(Heartbeat("LINUX", interval_s=2)))

        beat()
        judged.becomes("alpha", "online")
        judged.becomes("alpha", "offline", "silent")
        beat()
        judged.becomes("alpha", "online")
        assert [alert.get("kind") for alert in judged.alerts()] == ["silent", None]


def test_a_ghost_of_a_killed_broker_is_found_by_its_missing_heartbeats(here: Site) -> None:
    with judging(here) as judged:
        agent = here.start_agent("alpha", 0, **SILENT_AGENT)
        judged.becomes("alpha", "online")
        here.start_agent("beta", 0, **SILENT_AGENT)
        judged.becomes("beta", "online")
        # what is retained is on its disk after ten seconds
        here.broker.send(signal.SIGUSR1)
        saved = here.home.broker / "data" / "mosquitto.db"
        topics = [host_topic(host, STATUS).encode() for host in ("alpha", "beta")]
        wait_until(lambda: saved.exists() and all(topic in saved.read_bytes() for topic in topics), "it is saved")
        here.broker.kill()
        agent.kill()
        here.broker.start()
        here.wait_for_broker()
    with judging(here, start=False) as judged:
        judged.becomes("alpha", "offline", "silent")
        judged.becomes("beta", "online")
        assert [alert.get("source_host") for alert in judged.alerts()] == ["alpha"]


def test_two_agents_with_one_identity_are_one_alert_and_one_event_and_no_outage(here: Site) -> None:
    with judging(here) as judged:
        here.start_agent("alpha", 0, **SILENT_AGENT)
        judged.becomes("alpha", "online")
        # its home copied to another machine
        shutil.copytree(here.agent_home("alpha").path / "credentials", here.agent_home("copy").path / "credentials")
        copy = here.start_agent("copy", 0, **SILENT_AGENT, HEIMDALL_HOST="alpha")
        wait_until(lambda: "clone" in {alert.get("kind") for alert in judged.alerts()}, "an alert tells")
        query = "SELECT source_host, severity, raw_message FROM logs WHERE event_type = 'SYSTEM_ALERT'"
        wait_until(lambda: here.rows(query), "an event tells")
        copy.kill()
        judged.becomes("alpha", "online")
        [(host, severity, text)] = here.rows(query)
        [alert] = judged.alerts()
        assert (host, severity, text) == ("alpha", 4, alert["text"])
        assert text.startswith("alpha is two: agents with the boots ")
        assert judged.outages("alpha") == []
