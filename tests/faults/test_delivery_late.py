"""What was held back is dated back: a heartbeat by the time it waited, an event by its own timestamp."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from faults_site import Site
from ingestors import wait_for_sessions
from service_client import ServiceClient, service_client
from waiting import wait_until

from core.clock import rfc3339, utc_now
from core.ids import uuid7
from core.messages import Event, Heartbeat, encode
from core.topics import EVENTS, HEARTBEAT, host_topic

pytestmark = pytest.mark.mosquitto
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)  # the broker counts in whole seconds
HOST = "gamma"


def send_beat(client: ServiceClient, host: str, interval_seconds: int, waited_seconds: int = 0) -> None:
    """A heartbeat of `host` as one that has waited for so long: its expiry is counted down."""
    beat = encode(Heartbeat("LINUX", interval_s=interval_seconds))
    client.publish(host_topic(host, HEARTBEAT), beat, MessageExpiryInterval=2 * interval_seconds - waited_seconds)


def last_seen(here: Site, host: str = HOST) -> datetime | None:
    found = here.store.get_host(host)
    return found and found.last_seen


def test_a_heartbeat_held_for_a_day_is_a_day_old_and_last_seen_stays_the_newest(here: Site) -> None:
    here.start()
    with service_client(here, "api") as client:
        began = utc_now()
        send_beat(client, HOST, 86_400, waited_seconds=86_400)
        held = wait_until(lambda: last_seen(here), "the held one is stored")
        assert began - DAY - SECOND <= held <= utc_now() - DAY + SECOND

        began = utc_now()
        send_beat(client, HOST, 86_400)
        newest = wait_until(lambda: (seen := last_seen(here)) != held and seen, "the fresh one is stored")
        assert began - SECOND <= newest <= utc_now()

        for hours in (1, 24, 47):
            send_beat(client, HOST, 86_400, waited_seconds=hours * 3_600)
        send_beat(client, "behind", 86_400)  # in order: the old ones have been stored before it
        wait_until(lambda: last_seen(here, "behind"), "the last one is stored")
        assert last_seen(here) == newest
    here.expect_all_stored_once()


def test_a_heartbeat_that_waited_in_the_brokers_queue_is_dated_back(here: Site) -> None:
    here.start()
    here.ingestor.kill()
    with service_client(here, "api") as client:
        began = utc_now()
        send_beat(client, HOST, 1_000)
        queued = utc_now()
        wait_until(lambda: utc_now() > queued + 3 * SECOND, "it has waited for three seconds")
        started = utc_now()
        sessions = here.ingestor.said().count("is subscribed at")
        here.ingestor.start()
        wait_for_sessions(here.ingestor, sessions)
        stored = wait_until(lambda: last_seen(here), "it is stored")
    assert began - SECOND <= stored < started
    here.expect_all_stored_once()


def make_event(host: str, happened: datetime) -> Event:
    made_in_ms = int(happened.timestamp() * 1_000)
    event_id = UUID(int=(made_in_ms << 80) | (uuid7().int & ((1 << 80) - 1)))
    return Event(event_id, happened, host, "LINUX", "LOGIN_FAIL", 3, f"made at {happened}")


def test_an_event_held_for_a_day_is_stored_once_with_its_own_timestamp(here: Site) -> None:
    here.start()
    held, fresh, last = (make_event(*of) for of in ((HOST, utc_now() - DAY), (HOST, utc_now()), ("last", utc_now())))
    with service_client(here, "api") as client:
        for event in (fresh, held, held):
            client.publish(host_topic(HOST, EVENTS), encode(event))
        here.ingestor.restart()
        for event in (held, last):
            client.publish(host_topic(event.source_host, EVENTS), encode(event))
        wait_until(lambda: here.store.get_event(str(last.event_id)), "the last one is stored")
    stored = here.store.get_event(str(held.event_id))
    assert stored is not None
    assert stored.timestamp == rfc3339(held.timestamp)
    query = f"SELECT events, newest_timestamp FROM activity WHERE source_host = '{HOST}'"
    ((events, newest),) = here.rows(query)
    assert events == 2
    assert (newest if isinstance(newest, str) else rfc3339(newest)) == rfc3339(fresh.timestamp)
    here.exempt = {str(event.event_id) for event in (held, fresh, last)}
    here.expect_all_stored_once()
