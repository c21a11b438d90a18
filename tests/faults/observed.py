"""What can be seen in the database of one host: its signs of life, its numbers, what its agent says of itself."""

from __future__ import annotations

import time

from faults_site import Site
from waiting import wait_until


def last_seen(here: Site, host: str) -> object:
    return here.rows(f"SELECT last_seen FROM heartbeats WHERE source_host = '{host}'")


def expect_beats(here: Site, host: str, times: int) -> None:
    """Wait until `last_seen` has changed `times` times."""
    for _ in range(times):
        before = last_seen(here, host)
        wait_until(lambda before=before: last_seen(here, host) != before, f"{host} beats")


def stored_numbers(here: Site, host: str) -> set[int]:
    texts = here.rows(f"SELECT raw_message FROM logs WHERE source_host = '{host}' AND event_type = 'LOGIN_FAIL'")
    return {int(text.removeprefix("number ")) for (text,) in texts}


def take_alerts(here: Site, host: str, words: str) -> list[str]:
    """What the agent of `host` has said of itself with `words` in it; the oracle is told that these are no numbers."""
    query = "SELECT event_id, raw_message FROM logs WHERE event_type = 'SYSTEM_ALERT' AND source_host = "
    alerts = [(str(event_id), text) for event_id, text in here.rows(f"{query}'{host}'") if words in text]
    here.exempt |= {event_id for event_id, _ in alerts}
    return [text for _, text in alerts]


def stands_still(here: Site, host: str) -> bool:
    """Whether the agent neither reads nor sends."""
    before = here.spooled(host)
    time.sleep(0.2)
    return here.spooled(host) == before
