"""What the watch says of hosts: every verdict and alert in the order in which the broker told of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faults_site import Site
from service_client import ServiceClient, service_client
from waiting import wait_until

from core.topics import ALERTS, VERDICT, every_host, parse_host_topic

SILENT_AGENT = {"TEST_INTERVAL": "2", "TEST_KEEP_ALIVE": "5"}


class Judged:
    """Verdicts as (state, reason), by host."""

    def __init__(self, here: Site, client: ServiceClient) -> None:
        self._here, self._client = here, client

    def verdicts(self, host: str) -> list[tuple[str, str]]:
        found = []
        for message in list(self._client.heard):
            named = parse_host_topic(message.topic)
            if named is not None and named.host == host and named.kind == VERDICT:
                told = json.loads(message.payload)
                found.append((told["state"], told["reason"]))
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """What is said of alerts; a cleared one is its id alone."""
        found = []
        for message in list(self._client.heard):
            if message.topic.startswith(f"{ALERTS}/"):
                alert_id = message.topic.rpartition("/")[2]
                found.append(json.loads(message.payload) if message.payload else {"id": alert_id})
        return found

    def becomes(self, host: str, state: str, reason: str | None = None, seconds: float = 90) -> None:
        """Wait until the last that is said of `host` is this."""

        def is_so() -> bool:
            said = self.verdicts(host)[-1:]
            return said == [(state, reason)] if reason is not None else [one[0] for one in said] == [state]

        try:
            wait_until(is_so, f"{host} is {state} {reason or ''}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.verdicts(host)}; {self._here.describe()}") from None

    def outages(self, host: str) -> list[tuple[str, bool]]:
        """Each outage's cause and whether it has ended."""
        query = "SELECT cause, ended_at IS NOT NULL FROM outages WHERE source_host = "
        return [(cause, bool(ended)) for cause, ended in self._here.rows(f"{query}'{host}' ORDER BY id")]


@contextmanager
def judging(here: Site, start: bool = True) -> Iterator[Judged]:
    """A site whose silence is judged, started unless it is there, and what is said of it from now on or retained."""
    if start:
        here.start()
    with service_client(here, "ops", every_host(VERDICT), f"{ALERTS}/+") as client:
        if start:
            here.start_judge()
        yield Judged(here, client)
