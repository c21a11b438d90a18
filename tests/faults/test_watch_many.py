"""Many hosts and several watches: each transition once, restarts forget nothing, and the broker alone tells it all."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator

import pytest
from faults_site import Site, site
from judged import SILENT_AGENT, Judged, judging
from service_client import ServiceClient, service_client
from waiting import wait_until

from core.messages import Heartbeat, encode
from core.topics import HEARTBEAT, SERVICES, VERDICT, every_host, host_topic

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def here_on_sqlite() -> Iterator[Site]:
    with site() as made:
        yield made


def beat(bridge: ServiceClient, hosts: list[str], interval_seconds: float) -> None:
    sent = [
        bridge.start_publish(host_topic(host, HEARTBEAT), encode(Heartbeat("LINUX", interval_s=interval_seconds)))
        for host in hosts
    ]
    for one in sent:
        one.wait_for_publish(60)


def names(count: int) -> list[str]:
    return [f"web-{number:04}" for number in range(count)]


def read_retained(here: Site, topic: str, count: int) -> list[str]:
    """What anybody with the right to read gets of `topic`, with Mosquitto's own client."""
    user, password = here.home.credential("ops")
    command = ["mosquitto_sub", "-p", str(here.mqtt_port), "-u", user, "-P", password, "-V", "5", "-C", str(count)]
    return subprocess.run(
        [*command, "-W", "20", "-t", topic], capture_output=True, text=True, check=True
    ).stdout.splitlines()  # fmt: skip


def test_without_api_and_database_the_broker_tells_of_the_whole_fleet_and_that_nobody_judges(here: Site) -> None:
    with judging(here) as judged, service_client(here, "api") as bridge:
        beat(bridge, names(1_000), 3_600)
        wait_until(lambda: all(judged.verdicts(host) for host in names(1_000)), "each has a verdict", 60)
        here.ingestor.kill()
        here.judge.kill()
        told = [json.loads(line) for line in read_retained(here, every_host(VERDICT), 1_000)]
        assert [verdict["state"] for verdict in told] == ["online"] * 1_000
        wait_until(
            lambda: json.loads(read_retained(here, f"{SERVICES}/watch/+", 1)[0])["state"] == "offline",
            "the judge's will says that it is gone",
        )


def test_of_two_watches_each_transition_is_said_by_one(here: Site) -> None:
    with judging(here) as judged, service_client(here, "api") as bridge:
        second = here._part("watch-2", "-m", "heimdall", "watch").start()
        here.parts.append(second)
        wait_until(lambda: "everything that is published is heard" in second.said(), "the second hears")
        for time_of in (1, 2):
            beat(bridge, names(100), 2)
            wait_until(lambda: states(judged) == ["online"] * 100, "all are online")
            wait_until(lambda: states(judged) == ["offline"] * 100, "all are silent")
            # one an outage
            wait_until(lambda n=time_of: opened(judged) >= 100 * n, "all have alerts")
        assert opened(judged) == 200
        assert here.rows("SELECT count(*) FROM outages") == [(200,)]
        assert sum(part.said().count(" is offline since ") for part in (here.judge, second)) == 200


def states(judged: Judged) -> list[str]:
    return [verdicts[-1][0] for host in names(100) if (verdicts := judged.verdicts(host))]


def opened(judged: Judged) -> int:
    return sum("kind" in alert for alert in judged.alerts())


def test_a_watch_that_is_killed_again_and_again_forgets_nothing_and_floods_nobody(here: Site) -> None:
    with judging(here) as judged:
        agent, other = (here.start_agent(host, 0, **SILENT_AGENT) for host in here.hosts)
        for host in here.hosts:
            judged.becomes(host, "online")
        for _ in range(3):
            here.judge.kill()
            here.start_judge()
        agent.kill()
        judged.becomes("alpha", "offline")
        for _ in range(3):
            here.judge.kill()
            here.start_judge()
        # dead while nobody watches, and back while nobody watches
        here.judge.kill()
        other.kill()
        connections = agent.said().count("connected to")
        agent.start()
        wait_until(lambda: agent.said().count("connected to") > connections, "it is back")
        here.start_judge()
        judged.becomes("beta", "offline")
        judged.becomes("alpha", "online")
        told = [alert.get("source_host", "cleared") for alert in judged.alerts()]
        assert sorted(told) == ["alpha", "beta", "cleared"]
        assert judged.outages("alpha") == [("crashed", True)]
        assert [state for state, _ in judged.verdicts("beta")] == ["online", "offline"]


def test_a_broker_that_hangs_for_longer_than_every_threshold_makes_nobody_late(here: Site) -> None:
    with judging(here) as judged, service_client(here, "api") as bridge:
        agents = [here.start_agent(host, 0, **SILENT_AGENT) for host in here.hosts]
        beat(bridge, ["over-http"], 4)
        for host in (*here.hosts, "over-http"):
            judged.becomes(host, "online")
        here.broker.send(signal.SIGSTOP)
        agents[1].kill()
        time.sleep(15)  # with an interval of 2 s silence is told after 6
        here.broker.send(signal.SIGCONT)
        for _ in range(20):
            beat(bridge, ["over-http"], 4)
            time.sleep(0.5)
        judged.becomes("beta", "offline")
        assert [state for state, _ in judged.verdicts("alpha")] == ["online"]
        assert [state for state, _ in judged.verdicts("over-http")] == ["online"]
        assert [alert.get("source_host") for alert in judged.alerts()] == ["beta"]


def test_a_verdict_waits_for_a_database_that_cannot_be_written(here_on_sqlite: Site) -> None:
    here = here_on_sqlite
    with judging(here) as judged:
        agent = here.start_agent("alpha", 0, **SILENT_AGENT)
        judged.becomes("alpha", "online")
        path = here.database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            agent.kill()
            time.sleep(15)  # it has been time to say it for a while
            assert judged.verdicts("alpha") == [("online", "")]
        judged.becomes("alpha", "offline", "crashed")
        assert judged.outages("alpha") == [("crashed", False)]


def test_what_is_retained_of_hosts_that_nobody_knows_is_cleared(here: Site) -> None:
    here.start()
    with service_client(here, "watch") as earlier:
        earlier.publish_retained(host_topic("forgotten", VERDICT), b"{}")
    with service_client(here, "ops", every_host(VERDICT)) as client:
        wait_until(lambda: [message.payload for message in client.heard] == [b"{}"], "it is retained")
        here.start_judge()
        wait_until(lambda: [message.payload for message in client.heard] == [b"{}", b""], "it is cleared")
