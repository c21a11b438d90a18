"""A host is forgotten while the API is killed between two transactions: the same again completes it."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from dying_api import STEPS
from faults_site import Site
from waiting import wait_until

from api.auth import issue_key
from core.clock import utc_now
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
    user, password = here.home.credential("ops")
    command = ["mosquitto_sub", "-p", str(here.mqtt_port), "-u", user, "-P", password, "-V", "5", "-W", "1"]
    wanted = f"heimdall/v1/hosts/{host}/+"
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
