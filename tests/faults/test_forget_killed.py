"""A host is forgotten while the API is killed between two transactions, or while it is being judged."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from dying_api import STEPS
from faults_site import Site
from service_client import ServiceClient, service_client
from waiting import wait_until

from api.auth import issue_key
from core.clock import utc_now
from core.messages import Heartbeat, encode
from core.topics import HEARTBEAT, host_topic
from store.tables import metadata

pytestmark = pytest.mark.mosquitto
EVENTS = 230


def forget(here: Site, host: str, key: str) -> httpx.Response | None:
    """The answer of the API, `None` when it died."""
    url = f"http://127.0.0.1:{here.http_port}/hosts/{host}?events=true"
    try:
        return httpx.delete(url, headers={"api-key": key}, timeout=60)
    except httpx.TransportError:
        return None


def read_retained(here: Site, host: str) -> list[str]:
    """The topics that the broker retains of `host`."""
    return _read_retained(here, f"heimdall/v1/hosts/{host}/+")


def read_retained_alerts(here: Site) -> list[str]:
    return _read_retained(here, "heimdall/v1/alerts/+")


def _read_retained(here: Site, wanted: str) -> list[str]:
    user, password = here.home.credential("ops")
    command = ["mosquitto_sub", "-p", str(here.mqtt_port), "-u", user, "-P", password, "-V", "5", "-W", "1"]
    done = subprocess.run(
        [*command, "--retained-only", "-F", "%t", "-t", wanted], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def tables_naming(here: Site, host: str) -> set[str]:
    named = [table.name for table in metadata.tables.values() if "source_host" in table.c]
    return {
        name for name in named if here.rows(f"SELECT count(*) FROM {name} WHERE source_host = '{host}'") != [(0,)]
    }  # fmt: skip


@pytest.mark.parametrize("step", [f"{STEPS[0]}:1", f"{STEPS[0]}:3", f"{STEPS[1]}:1", f"{STEPS[2]}:1"])
def test_a_host_is_forgotten_though_the_api_is_killed_between_two_transactions(here: Site, step: str) -> None:
    here.api.command = [sys.executable, str(Path(__file__).with_name("dying_api.py"))]
    here.api.environment["TEST_DIES"] = step
    here.start(api=True)
    keeper = here._part("keeper", "-m", "heimdall", "keeper")
    here.parts.append(keeper)
    keeper.start()
    here.start_judge()
    for host in here.hosts:
        here.start_agent(host, EVENTS)
    wait_until(lambda: here.stored() == 2 * EVENTS, "all is stored")
    wait_until(lambda: "verdict" in str(read_retained(here, "alpha")), "it is judged")
    enrol(here, "alpha")
    key = issue_key(here.store, "eva", ["operate"], None, "test")
    assert forget(here, "alpha", key) is None
    here.api.environment["TEST_DIES"] = ""
    here.api.process.wait(30) if here.api.process else None
    here.start_api()
    answer = forget(here, "alpha", key)
    assert answer is not None
    # what was done as a whole before the kill is not there any more
    assert answer.status_code == (404 if step.startswith(STEPS[1]) else 200), answer.text
    wait_until(lambda: "alpha is forgotten" in here.judge.said(), "the watch has heard of it")
    wait_until(lambda: read_retained(here, "alpha") == [], "the broker retains nothing of it")
    assert tables_naming(here, "alpha") <= {"alerts", "enrolled"}
    [audited] = here.rows("SELECT who, target FROM audit WHERE action = 'host.forget'")
    assert audited == ("eva", "alpha")
    assert here.rows("SELECT count(*) FROM logs WHERE source_host = 'beta'") == [(EVENTS,)]
    assert "verdict" in str(read_retained(here, "beta"))


def enrol(here: Site, host: str) -> None:
    """In the database, as `heimdall enroll` does; at the broker it is known already."""
    now = utc_now()
    here.store.add_token("token", host, 1, now + timedelta(hours=1), "local:eva", now, replaces=True)
    number = here.store.use_token("token", host, "secret", b"sealed", now)
    assert number is not None
    here.store.finish_order(number, None, now)


def test_hosts_that_are_forgotten_while_two_watches_judge_them_are_brought_back_by_neither(here: Site) -> None:
    here.start(api=True)
    here.start_judge()
    second = here._part("watch-2", "-m", "heimdall", "watch").start()
    here.parts.append(second)
    wait_until(lambda: "everything that is published is heard" in second.said(), "the second hears")
    key = issue_key(here.store, "eva", ["operate"], None, "test")
    names = [f"web-{number:02}" for number in range(40)]
    with service_client(here, "api") as bridge:
        for host in names:
            beat(bridge, host)
        wait_until(lambda: count(here, "verdicts", "state = 'online'") == 40, "all are judged")
        wait_until(lambda: count(here, "verdicts", "state <> 'online'") > 0, "silence is being judged")
        with ThreadPoolExecutor(8) as pool:
            answers = [*pool.map(lambda host: forget(here, host, key), names)]
    assert {answer.status_code for answer in answers if answer is not None} == {200}
    for part in (here.judge, second):
        wait_until(lambda part=part: part.said().count(" is forgotten") == 40, "each watch has heard of each")
    wait_until(lambda: read_retained(here, "+") == [], "the broker retains nothing of them")
    for table in ("heartbeats", "beats", "verdicts", "outages", "scores"):
        assert count(here, table) == 0, table
    assert count(here, "alerts", "resolved_at IS NULL") == 0
    wait_until(lambda: not read_retained_alerts(here), "no alert is retained")
    beat_again = names[0]
    with service_client(here, "api") as bridge:
        beat(bridge, beat_again)
        wait_until(lambda: count(here, "verdicts", "state = 'offline'") == 1, "one that is back is judged anew")
    assert tables_naming(here, beat_again) >= {"heartbeats", "verdicts", "outages"}


def beat(bridge: ServiceClient, host: str) -> None:
    bridge.publish(host_topic(host, HEARTBEAT), encode(Heartbeat("LINUX", interval_s=2)))


def count(here: Site, table: str, where: str = "1 = 1") -> int:
    return int(here.rows(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])
