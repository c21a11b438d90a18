"""Mosquitto with the limits that it is shipped with: it drops what exceeds 1,000 waiting messages, and says success."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faults_site import Site
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
OURS = ("max_queued_messages", "max_inflight_messages", "persist", "autosave")
BATCH_BYTES = 3_000


def start_broker_as_shipped(here: Site) -> None:
    """The site's broker without what Heimdall's configuration says of queues and of the store."""
    here.start_broker()
    here.broker.stop()
    configuration = here.home.broker / "mosquitto.conf"
    lines = configuration.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(OURS)]
    assert len(kept) <= len(lines) - len(OURS)
    configuration.write_text("".join(kept))
    here.broker.start()
    here.wait_for_broker()


def test_what_a_broker_as_shipped_drops_comes_again_for_want_of_a_receipt(
    here: Site, often: Callable[[int], int]
) -> None:
    start_broker_as_shipped(here)
    here.start_ingestor()
    here.ingestor.kill()
    count = often(100_000) // len(here.hosts)
    for host in here.hosts:
        # without back-pressure: with it two agents have 16 messages out, and this broker would do
        here.start_agent(host, count, TEST_AT_ONCE="1000", TEST_WINDOW="100000", TEST_BATCH_BYTES=str(BATCH_BYTES))
    wait_until(lambda: all(here.spooled(host) == (count, count) for host in here.hosts), "all wait in the spools")
    dropping = "Outgoing messages are being dropped for client @ingestor-1."
    wait_until(lambda: dropping in here.broker.said(), "the broker drops what it has acknowledged")
    here.start_ingestor()
    here.expect_all_stored_once()
