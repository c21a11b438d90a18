"""A month of a fleet: 100,000 hosts with verdicts, scores, tags and outages, and events of 30 days.

Nine in ten events are of 100 busy hosts; one in twenty has an id of version 4.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from bench.load import host_name
from core.clock import rfc3339
from core.messages import VerdictState
from store import Beat, FoundScore, HeldVerdict, Store, hosts, log_counts
from store.database import EventRow
from store.host_list import list_tags
from store.tables import outages

HOSTS = 100_000
BUSY = 100
DAYS = 30
COMMON, RARE = "password", "zircon"
RARE_EVERY = 100_000
TYPES = (
    ("LOGIN_FAIL",) * 6
    + ("LOGIN_SUCCESS",) * 3
    + ("DNS_BLOCK",) * 8
    + ("SUDO_ESCALATION", "CRITICAL_ERROR", "PORT_SCAN")
)
_BATCH = 5_000
_A_MINUTE = 230  # rows, as ten million in a month are
_STATES: tuple[tuple[VerdictState, str], ...] = (
    *((("online", ""),) * 96), ("offline", "crashed"), ("offline", "silent"), ("late", ""), ("offline", "stopped"),
)  # fmt: skip
_TAGS = ("prod", "test", "berlin", "oslo", "db", "web")


def fill_hosts(store: Store, count: int, now: datetime) -> None:
    """Make the hosts, as if each had been heard within the last minute."""
    chance = random.Random(1)
    names = [host_name(number) for number in range(count)]
    for first in range(0, count, _BATCH):
        part = names[first : first + _BATCH]
        store.record_heartbeats(
            Beat(name, chance.choice(("LINUX", "WINDOWS", "MACOS")), now - timedelta(seconds=chance.randrange(60)),
                 first, "a", delay_seconds=0.01)
            for name in part
        )  # fmt: skip
        with store.database.writing() as connection:
            for name in part:
                list_tags(connection, name, f'{{"tags":["{chance.choice(_TAGS)}","{chance.choice(_TAGS)}"]}}')
            began = now - timedelta(days=3)
            rows = [
                {"source_host": name, "began_at": began, "ended_at": began + timedelta(minutes=9), "cause": "crashed"}
                for name in part
            ]
            connection.execute(insert(outages), rows)
    transitions = [
        HeldVerdict(name, *chance.choice(_STATES), now - timedelta(seconds=chance.randrange(10**6)), None, 0)
        for name in names
    ]
    for _ in store.claim(transitions, now):
        pass
    store.keep_scores([FoundScore(name, chance.randrange(101), "{}") for name in names], now)


def fill_logs(store: Store, fleet: int, first: int, count: int, whole: int, now: datetime) -> None:
    """Store events `first` to `first + count` of `whole`, which are spread over the last days; the newest last.

    `fleet` is how many hosts there are.
    """
    chance = random.Random(first)
    database, begin = store.database, now - timedelta(days=DAYS)
    for start in range(first, first + count, _BATCH):
        stored_at = begin + (now - begin) * (start / whole)
        rows = list(_rows(chance, fleet, start, min(_BATCH, first + count - start), stored_at))
        database.prepare_days({stored_at.astimezone(UTC).date()}, now.date())
        with database.writing() as connection:
            before = database.newest_id(connection)
            if database.insert_events(connection, rows) is not None:
                raise RuntimeError("an id of the data set was there already")
            hosts.count_events(database, connection, rows)
            for place in range(0, len(rows), _A_MINUTE):
                minute = stored_at + timedelta(minutes=place // _A_MINUTE)
                log_counts.count_stored(database, connection, rows[place : place + _A_MINUTE], before, minute)
        database.after_write(now)


def settle(store: Store) -> None:
    """Have PostgreSQL tidy up what was filled.

    So many changes at once leave `hosts` nearly four times as large as it is when its rows change one by one, and
    autovacuum at work while others measure.
    """
    if store.database.reader.dialect.name == "postgresql":
        with store.database.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (FULL) hosts, activity")
            connection.exec_driver_sql("VACUUM (ANALYZE)")


def _rows(chance: random.Random, fleet: int, first: int, count: int, stored_at: datetime) -> Iterator[EventRow]:
    moment, ms = rfc3339(stored_at), f"{int(stored_at.timestamp() * 1000):012x}"
    for number in range(first, first + count):
        tail = chance.getrandbits(60)
        event_id = f"{ms[:8]}-{ms[8:]}-7{number & 0xFFF:03x}-8{tail >> 48 & 0xFFF:03x}-{tail & 0xFFFFFFFFFFFF:012x}"
        if number % 20 == 0:
            event_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        host = host_name(number % BUSY if number % 10 else chance.randrange(fleet))
        kind = TYPES[tail % len(TYPES)]
        word = RARE if number % RARE_EVERY == RARE_EVERY // 2 else COMMON if number % 3 == 0 else "something"
        user, last = f"user{tail >> 20 & 0xFFF}", tail >> 8 & 0xFF
        text = f"sshd[{tail & 0x7FFF}]: Failed {word} for {user} from 203.0.113.{last} port {tail & 0xFFFF} ssh2"
        severity = tail % 4 + 1 if tail % 100 else 5
        yield EventRow(
            event_id, moment, host, "LINUX", kind, severity, f"203.0.113.{last}", f"user{user}", text, moment
        )
