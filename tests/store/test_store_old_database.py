"""A database of the HTTP version, in the shapes that it had, is opened as it is and loses nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from host_status import read_status
from sqlite_file import opened
from store_samples import NOW, a_batch, an_event

from core.errors import Invalid
from core.ids import ingested_id
from store import EventFilter, Store, Written, open_store

LOGS = (
    "CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, timestamp TEXT, source_host TEXT,"
    " os_type TEXT, event_type TEXT, severity INTEGER, source_ip TEXT, user TEXT, raw_message TEXT, created_at TEXT)"
)
# as an object-relational mapper made it
MAPPED_LOGS = (
    "CREATE TABLE logs (id INTEGER NOT NULL, event_id VARCHAR NOT NULL, timestamp DATETIME NOT NULL,"
    " source_host VARCHAR(255) NOT NULL, os_type VARCHAR(8) NOT NULL, event_type VARCHAR(18) NOT NULL,"
    " severity INTEGER NOT NULL, source_ip VARCHAR, user VARCHAR, raw_message TEXT, created_at DATETIME,"
    " PRIMARY KEY (id), UNIQUE (event_id))"
)
HEARTBEATS = (
    "CREATE TABLE heartbeats (id INTEGER PRIMARY KEY AUTOINCREMENT, source_host TEXT, os_type TEXT,"
    " last_seen TEXT, updated_at TEXT)"
)
INSERT = "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Make = Callable[..., Store]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mini_siem.db"


@pytest.fixture
def make(path: Path) -> Make:
    """Makes an old file of `statements` and `rows` of logs, and opens it."""

    def made(*statements: str, rows: list[tuple] = [], beats: list[tuple] = []) -> Store:  # noqa: B006
        with opened(path) as old:
            for statement in statements:
                old.execute(statement)
            if rows:
                old.executemany(INSERT, rows)
            if beats:
                old.executemany("INSERT INTO heartbeats VALUES (?, ?, ?, ?, ?)", beats)
        old.close()
        return open_store(f"sqlite:///{path}", checkpointer=True)

    return made


def query(path: Path, statement: str) -> list[tuple]:
    with opened(path) as connection:
        return connection.execute(statement).fetchall()


def a_row(number: int, host: str, moment: str = "2025-12-03T20:49:50.123456+00:00Z", **changes: object) -> tuple:
    values = {
        "event_id": f"{host}-failed-pwd-{number}", "timestamp": moment, "source_host": host, "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 1 + number % 5, "source_ip": "203.0.113.7", "user": "root",
        "raw_message": f"message {number}", "created_at": moment,
    }  # fmt: skip
    return (number, *(values | changes).values())


@pytest.mark.parametrize("logs", [LOGS, MAPPED_LOGS], ids=["plain", "mapped"])
def test_42_000_rows_are_kept_as_they_are_and_every_host_is_shown(make: Make, path: Path, logs: str) -> None:
    start = datetime(2025, 11, 1, tzinfo=UTC)
    rows = [
        a_row(n, f"host-{n % 60:02d}", (start + timedelta(minutes=n)).isoformat(timespec="microseconds") + "Z")
        for n in range(1, 42_001)
    ]
    beats = [(n, f"beat-{n}", "MACOS", "2025-11-03 20:49:50.123456", "2025-11-03 20:49:50.123456") for n in (1, 2)]
    store = make(logs, HEARTBEATS, "CREATE TABLE notes (a)", "INSERT INTO notes VALUES (7)", rows=rows, beats=beats)
    assert query(path, "SELECT * FROM logs ORDER BY id") == rows
    assert query(path, "SELECT * FROM notes") == [(7,)]
    status = read_status(store, 15, start + timedelta(minutes=42_000))
    assert [h.hostname for h in status.active] == [f"host-{n % 60:02d}" for n in range(60) if n < 1 or n > 44]
    hosts = {h.hostname: h for h in [*status.active, *status.inactive]}
    assert len(hosts) == 62
    assert sum(h.total_events for h in hosts.values()) == 42_000
    assert hosts["host-01"].last_seen == start + timedelta(minutes=41_941)
    assert hosts["beat-1"].last_seen == datetime(2025, 11, 3, 20, 49, 50, 123456, UTC)
    assert query(path, "SELECT sum(severity_1), sum(severity_5) FROM activity") == [(8_400, 8_400)]
    page = store.events(EventFilter(source_host="host-00"), 3).events
    assert [(e.id, e.timestamp[-1], e.created_at[10]) for e in page] == [
        (42_000, "Z", "T"), (41_940, "Z", "T"), (41_880, "Z", "T"),
    ]  # fmt: skip
    store.close()


def test_it_goes_on_as_any_other_database(make: Make, path: Path) -> None:
    known = UUID("7d9a1f0e-1111-4222-8333-444455556666")
    store = make(LOGS, rows=[a_row(1, "web-01", event_id=str(known))])
    assert store.write(a_batch(an_event("web-01"), an_event("new-01"))) == Written(2, 0, 0)
    same = an_event(
        "web-01", known, severity=2, user="root", raw_message="message 1",
        timestamp=datetime(2025, 12, 3, 20, 49, 50, 123456, UTC),
    )  # fmt: skip
    assert store.write(a_batch(same)) == Written(0, 1, 0)
    assert store.write(a_batch(an_event("web-01", known))) == Written(0, 0, 1)
    host = store.get_host("web-01")
    assert host is not None
    assert (host.total_events, host.last_seen) == (2, NOW)
    store.close()
    store = open_store(f"sqlite:///{path}")
    assert len(store.events(EventFilter(), 10).events) == 3
    store.close()


def test_ids_that_two_hosts_share_are_kept_and_new_ids_stay_unique(make: Make, path: Path) -> None:
    shared = UUID("7d9a1f0e-1111-4222-8333-444455556666")
    rows = [a_row(n, f"host-{n}", event_id=str(shared)) for n in (1, 2)] + [a_row(3, "c", event_id="x")]
    store = make(LOGS, rows=rows)
    event = an_event("host-9")
    assert store.write(a_batch(event, an_event("host-9"))) == Written(2, 0, 0)
    assert store.write(a_batch(event, an_event("host-9", event.event_id, user="eve"))) == Written(0, 1, 1)
    same_as_second = an_event(
        "host-2", shared, severity=3, user="root", raw_message="message 2",
        timestamp=datetime(2025, 12, 3, 20, 49, 50, 123456, UTC),
    )  # fmt: skip
    assert store.write(a_batch(same_as_second)) == Written(0, 1, 0)
    assert query(path, "SELECT * FROM logs WHERE id <= 3 ORDER BY id") == rows
    with opened(path) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(INSERT, a_row(9, "c", event_id=str(event.event_id)))
    other.close()
    store.close()


def test_an_event_of_an_old_row_that_is_sent_again_is_a_duplicate(make: Make, path: Path) -> None:
    upper = "0193A2B0-7C1E-4ABC-8DEF-0123456789AB"
    ids = ["box-failed-pwd-0cc175b9", upper, upper[:-1].lower() + "c"]
    rows = [(number, ids[number - 1], *a_row(number, "box")[2:]) for number in (1, 2, 3)]
    store = make(LOGS, rows=rows)
    again = [an_event("box", event_id=ingested_id("box", text)) for text in ids[:2]]
    of_another_host = an_event("other", event_id=ingested_id("other", ids[0]))
    new = an_event("box")
    assert store.write(a_batch(*again, of_another_host, new, again[0])) == Written(2, 3, 0)
    assert query(path, "SELECT count(*) FROM logs") == [(5,)]
    host = store.get_host("box")
    assert host is not None
    assert host.total_events == 4


def test_odd_values_are_kept_and_readable(make: Make, path: Path) -> None:
    nothing = (1, *[None] * 10)
    odd = (2, "", "yesterday", "box", "Linux", "Custom", "HIGH", "", b"\xff\xfe", 12, "")
    bare = a_row(3, "box", "2025-12-03 20:49:50", severity=None, created_at="2025-12-03T22:49:50+02:00")
    store = make(LOGS, "INSERT INTO logs (raw_message) VALUES (CAST(x'41ff42' AS TEXT))")
    store.close()
    path.unlink()
    store = make(LOGS, rows=[nothing, odd, bare])
    found = store.events(EventFilter(), 10).events
    assert [(e.timestamp, e.created_at, e.severity) for e in found] == [
        ("2025-12-03T20:49:50.000000Z", "2025-12-03T20:49:50.000000Z", None),
        ("yesterday", "", None),
        ("", "", None),
    ]
    assert (found[1].user, found[1].raw_message, found[1].os_type) == ("\ufffd\ufffd", "12", "Linux")
    assert (found[2].event_id, found[2].source_host, found[2].raw_message) == ("", "", "")
    [host] = read_status(store, 15, NOW).inactive
    assert (host.hostname, host.total_events) == ("box", 2)
    assert host.last_seen == datetime(2025, 12, 3, 20, 49, 50, tzinfo=UTC)
    assert [e.id for e in store.events(EventFilter(os_type="LINUX"), 10).events] == [3, 2]
    assert store.events(EventFilter(severity_gte=1), 10).events == []
    moment = datetime(2025, 12, 3, 20, 49, 50, tzinfo=UTC)
    assert [e.id for e in store.events(EventFilter(since=moment, happened_since=moment), 10).events] == [3]
    assert store.events(EventFilter(happened_until=moment), 10).events == []
    store.close()


def test_text_that_is_no_utf8_is_readable(make: Make) -> None:
    store = make(LOGS, "INSERT INTO logs (raw_message, source_host) VALUES (CAST(x'41ff42' AS TEXT), 'a')")
    assert store.events(EventFilter(), 1).events[0].raw_message == "A\ufffdB"
    store.close()


@pytest.mark.parametrize(
    "stored",
    [
        "2025-12-03T20:49:50.123456+00:00Z", "2025-12-03 20:49:50.123456", "2025-12-03T20:49:50.123456",
        "2025-12-03T20:49:50.123456Z", "2025-12-03T22:49:50.123456+02:00", "2025-12-03 20:49:50.123456+00:00",
    ],
)  # fmt: skip
def test_heartbeats_keep_their_instant_in_our_format(make: Make, path: Path, stored: str) -> None:
    store = make(LOGS, HEARTBEATS, beats=[(5, "web-01", "LINUX", stored, stored)])
    ours = "2025-12-03T20:49:50.123456Z"
    assert query(path, "SELECT * FROM heartbeats") == [(5, "web-01", "LINUX", ours, ours)]
    store.record_heartbeat("web-01", "LINUX", NOW)
    [(row_id, _, _, seen, _)] = query(path, "SELECT * FROM heartbeats ORDER BY last_seen DESC")
    assert (row_id, datetime.fromisoformat(seen)) == (5, NOW)
    store.close()


def test_the_newest_of_several_heartbeats_stays_and_the_others_are_buried(make: Make, path: Path) -> None:
    beats = [
        (1, "web-01", "LINUX", "2025-12-03T20:49:50.000001+00:00Z", None),
        (2, "web-01", "LINUX", "2025-12-03 22:00:00.000000", None),
        (3, "web-01", None, "garbage", None),
        (4, "web-02", None, "garbage", None),
        (5, None, "LINUX", None, None),
    ]
    rows = [a_row(1, "web-02", os_type="PIHOLE")]
    store = make(LOGS, HEARTBEATS, "CREATE INDEX by_seen ON heartbeats (last_seen)", rows=rows, beats=beats)
    assert query(path, "SELECT * FROM heartbeats ORDER BY id") == [
        (2, "web-01", "LINUX", "2025-12-03T22:00:00.000000Z", None),
        (4, "web-02", "PIHOLE", None, None),
    ]
    buried = query(path, "SELECT reason, source_host, payload FROM dead_letters ORDER BY id")
    assert [(reason.split(":")[0], host) for reason, host, _ in buried] == [
        ("no host", None), ("superseded", "web-01"), ("superseded", "web-01"), ("unreadable time", "web-02"),
    ]  # fmt: skip
    assert b'"2025-12-03T20:49:50.000001+00:00Z"' in buried[1][2]
    store.record_heartbeat("web-02", "LINUX", NOW)
    host = store.get_host("web-02")
    assert host is not None
    assert host.last_seen == NOW
    store.close()


def test_old_indexes_go_and_ours_are_made(make: Make, path: Path) -> None:
    store = make(
        LOGS, "CREATE UNIQUE INDEX by_id ON logs (event_id)", "CREATE INDEX by_host ON logs (source_host)",
        'CREATE UNIQUE INDEX "odd "" name" ON logs (source_host, event_id)', "CREATE INDEX i ON logs (timestamp)",
        rows=[a_row(1, "web-01")],
    )  # fmt: skip
    names = query(path, "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'logs' ORDER BY name")
    assert names == [("by_id",), ("logs_segment_host",), ("logs_segment_type",)]
    store.close()


@pytest.mark.parametrize("statements", [(LOGS,), (HEARTBEATS,), (MAPPED_LOGS, HEARTBEATS)])
def test_empty_and_missing_tables_are_no_obstacle(make: Make, statements: tuple[str, ...]) -> None:
    store = make(*statements)
    assert store.write(a_batch(an_event())) == Written(1, 0, 0)
    assert len(read_status(store, 15, NOW).active) == 1
    store.close()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("CREATE TABLE logs (id INTEGER PRIMARY KEY, text TEXT)", "table logs has no column event_id"),
        (LOGS.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT PRIMARY KEY"), "id of the database's table logs"),
        (LOGS.replace(")", ", site TEXT NOT NULL)"), "has a column site that Heimdall cannot fill"),
        ("CREATE TABLE heartbeats (id INTEGER PRIMARY KEY, host TEXT)", "table heartbeats has no column source_host"),
        ("CREATE VIEW logs AS SELECT 1 AS id", "logs"),
    ],
)
def test_a_table_that_is_not_the_http_versions_is_refused_and_stays(
    make: Make, path: Path, table: str, message: str
) -> None:
    with pytest.raises(Invalid, match=message):
        make(table)
    assert len(query(path, "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")) == 1
