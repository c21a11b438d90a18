"""What Pi-hole blocked, from FTL's database: every status, folded, once, whatever happens to the database meanwhile."""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from ftl import BLOCKED, MORNING, RECORDED, SCHEMAS, Asked, Ftl, a_day
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import agent_pihole
from agents.agent_pihole import PiholeCollector, read_file
from agents.pihole_database import ROWS_PER_READ, find_database
from agents.pihole_queries import ALLOWED, fold, make_event, parse_blocked
from agents.pihole_queries import BLOCKED as WORDS
from agents.reading import Summary
from agents.syslog import LONGEST_MESSAGE_BYTES
from core.errors import Invalid, Unavailable
from core.messages import Event, check_event
from core.spool import Spool

Key = tuple[str, str, str]


def count_of(event: Event) -> int:
    found = re.search(r" (\d+) times from ", event.raw_message)
    return int(found[1]) if found else 1


def domains(events: list[Event]) -> list[str]:
    return [event.raw_message.split()[2] for event in events]


def blocked_by_key(asked: list[Asked]) -> Counter[Key]:
    """How often each client was refused each domain for each reason, counted without the agent's code."""
    return Counter((query.client, query.domain, WORDS[query.status]) for query in asked if query.status in BLOCKED)


def told_by_key(events: list[Event]) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for event in events:
        text = event.raw_message
        found[event.source_ip, text.split()[2], text.partition("Z: ")[2]] += count_of(event)
    return found


class Reader:
    """The agent's part: keeps events and position in a spool in one transaction, and begins there at each start."""

    def __init__(self, folder: Path, host: str = "pi-hole") -> None:
        self.folder, self.host = folder, host
        self.spool = Spool(folder / "spool.db")
        self.kept: list[Event] = []
        self.restart()

    def restart(self) -> None:
        self.collector = PiholeCollector(self.host, self.folder)
        self.position = self.spool.source_position("pihole")

    def read(self, survives: Callable[[], bool] = lambda: True) -> list[Event]:
        """The events of all there is now. Where it does not survive, it dies between reading and spooling."""
        events: list[Event] = []
        while True:
            reading = self.collector.read(self.position)
            if reading.position == self.position and not reading.events:
                break
            if not survives():
                self.restart()
                continue
            self.spool.append(reading.events, self.collector.name, reading.position)
            self.position = reading.position
            events += reading.events
        for event in events:
            check_event(event, self.host)
        self.kept += events
        return events


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_pihole, "LOOK_SECONDS", 0)
    monkeypatch.setattr(agent_pihole, "LOOK_AGAIN_SECONDS", 0)


@pytest.fixture
def make_ftl(tmp_path: Path) -> Iterator[Callable[..., Ftl]]:
    made: list[Ftl] = []

    def make(*arguments: Any, **options: Any) -> Ftl:
        made.append(Ftl(tmp_path / "pihole-FTL.db", *arguments, **options))
        return made[-1]

    yield make
    for ftl in made:
        ftl.close()


@pytest.fixture
def ftl(make_ftl: Callable[..., Ftl]) -> Ftl:
    return make_ftl()


@pytest.fixture
def reader(tmp_path: Path, ftl: Ftl) -> Reader:
    """One that has begun, at the end of an empty database."""
    made = Reader(tmp_path)
    assert made.read() == []
    return made


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_blocked_status_is_an_event_in_words_and_no_other_is(
    make_ftl: Callable[..., Ftl], tmp_path: Path, schema: str, wal: bool
) -> None:
    ftl = make_ftl(schema, wal)
    reader = Reader(tmp_path)
    reader.read()
    ftl.write(Asked(status=status, domain=f"status-{status}.example") for status in range(19))
    events = reader.read()
    assert domains(events) == [f"status-{status}.example" for status in BLOCKED]
    assert [event.raw_message.partition("Z: ")[2] for event in events] == [WORDS[status] for status in BLOCKED]
    assert {(event.event_type, event.severity, event.os_type) for event in events} == {("DNS_BLOCK", 2, "PIHOLE")}


def test_the_statuses_are_those_of_the_documentation() -> None:
    assert tuple(WORDS) == BLOCKED
    assert sorted([*WORDS, *ALLOWED]) == list(range(19))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_blocked_query_is_told_whole(make_ftl: Callable[..., Ftl], tmp_path: Path, schema: str) -> None:
    ftl = make_ftl(schema)
    reader = Reader(tmp_path)
    reader.read()
    ftl.ask(domain="shop.example.com", client="192.0.2.9", status=9, type=16, info="tracker.example.net")
    (event,) = reader.read()
    assert event.raw_message == (
        "Pi-hole blocked shop.example.com (HTTPS) for 192.0.2.9 at 2026-11-23T06:55:00.000000Z: "
        "a CNAME behind the domain is on a list (gravity), tracker.example.net"
    )
    assert (event.timestamp, event.source_ip, event.user) == (MORNING, "192.0.2.9", "N/A")


@pytest.mark.parametrize(
    ("number", "name"), [(1, "A"), (2, "AAAA"), (16, "HTTPS"), (166, "TYPE66"), (0, "unknown"), (40, "unknown")]
)
def test_types_have_their_names(reader: Reader, ftl: Ftl, number: int, name: str) -> None:
    ftl.ask(type=number)
    assert f"({name})" in reader.read()[0].raw_message


def test_repeated_queries_are_one_event_with_the_count_and_both_ends(reader: Reader, ftl: Ftl) -> None:
    ftl.ask(count=17, type=1)
    ftl.ask(at=MORNING + timedelta(seconds=20.5), type=2)
    (event,) = reader.read()
    assert event.raw_message == (
        "Pi-hole blocked ads.example.com (A, AAAA) for 192.0.2.10 18 times "
        "from 2026-11-23T06:55:00.000000Z to 2026-11-23T06:55:20.500000Z: the domain is on a list (gravity)"
    )
    assert event.timestamp == MORNING


def test_another_client_domain_reason_or_minute_is_an_event_of_its_own(reader: Reader, ftl: Ftl) -> None:
    ftl.ask(2)
    ftl.ask(3, client="192.0.2.11")
    ftl.ask(4, domain="ads.example.net")
    ftl.ask(5, status=5)
    ftl.ask(6, at=MORNING + timedelta(minutes=1))
    assert [count_of(event) for event in reader.read()] == [2, 3, 4, 5, 6]


def test_what_comes_in_a_later_reading_is_an_event_of_its_own(reader: Reader, ftl: Ftl) -> None:
    counts = []
    for _ in range(3):
        ftl.ask(2)
        counts.append([count_of(event) for event in reader.read()])
    assert counts == [[2], [2], [2]]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_day_comes_out_count_by_count(make_ftl: Callable[..., Ftl], tmp_path: Path, schema: str) -> None:
    ftl = make_ftl(schema)
    reader = Reader(tmp_path)
    reader.read()
    asked = a_day(seed=7, queries=3_000)
    minute: list[Asked] = []
    ftl.db.execute("PRAGMA synchronous = OFF")  # a day of the disk's time is not what is tested
    for query in asked:  # written once a minute, as FTL does
        if minute and query.at - minute[0].at >= timedelta(minutes=1):
            ftl.write(minute)
            minute = []
            reader.read()
        minute.append(query)
    ftl.write(minute)
    reader.read()
    assert told_by_key(reader.kept) == blocked_by_key(asked)
    assert sum(told_by_key(reader.kept).values()) > 1.2 * len(reader.kept), "many are folded"
    assert len(reader.spool) == len(reader.kept)


def test_a_backlog_is_read_in_pieces_without_a_pause(reader: Reader, ftl: Ftl, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = a_day(seed=8, queries=2 * ROWS_PER_READ + 7)
    ftl.write(asked)
    monkeypatch.setattr(agent_pihole, "LOOK_SECONDS", 3_600)
    monkeypatch.setattr(agent_pihole, "LOOK_AGAIN_SECONDS", 3_600)
    assert told_by_key(reader.read()) == blocked_by_key(asked)


def test_an_agent_that_is_killed_between_reading_and_spooling_loses_and_doubles_nothing(
    reader: Reader, ftl: Ftl
) -> None:
    seed = 11
    print(f"seed {seed}")
    chance = random.Random(seed)
    asked = a_day(seed, queries=4_000)
    deaths = 0

    def survives() -> bool:
        nonlocal deaths
        dies = chance.random() < 0.4
        deaths += dies
        return not dies

    for start in range(0, len(asked), 100):
        ftl.write(asked[start : start + 100])
        reader.read(survives)
    assert deaths > 10
    assert told_by_key(reader.kept) == blocked_by_key(asked)
    assert len(reader.spool) == len(reader.kept) == len({event.event_id for event in reader.kept})


def test_the_same_rows_are_folded_in_the_same_way_again(reader: Reader, ftl: Ftl) -> None:
    ftl.write(a_day(seed=12, queries=1_500))
    position = reader.position
    first, again = (PiholeCollector("pi-hole", reader.folder).read(position) for _ in range(2))
    assert first.position == again.position
    assert [event.raw_message for event in first.events] == [event.raw_message for event in again.events]
    assert {event.event_id.version for event in first.events} == {7}


def test_a_first_start_begins_at_the_end_and_a_restart_where_it_was(ftl: Ftl, tmp_path: Path) -> None:
    ftl.ask(5, domain="history.example")
    reader = Reader(tmp_path)
    assert reader.read() == []
    ftl.ask(domain="while-down.example")
    reader.restart()
    assert domains(reader.read()) == ["while-down.example"]
    reader.restart()
    assert reader.read() == []


def test_a_database_that_was_not_there_is_read_from_its_beginning(
    make_ftl: Callable[..., Ftl], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader(tmp_path)
    for _ in range(3):
        assert reader.read() == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No such file or directory (is Pi-hole installed here" in caplog.text
    reader.restart()  # the agent was started again before Pi-hole was there
    ftl = make_ftl()
    ftl.ask(domain="first.example")
    assert domains(reader.read()) == ["first.example"]
    assert reader.read() == []


def test_a_database_made_anew_is_read_from_its_start_and_is_no_alarm(
    reader: Reader, ftl: Ftl, make_ftl: Callable[..., Ftl], caplog: pytest.LogCaptureFixture
) -> None:
    ftl.ask(30)
    reader.read()
    ftl.close()
    ftl.path.rename(ftl.path.with_name("pihole-FTL_11-26.db"))
    later = make_ftl(created=1_700_009_999)
    # more rows than before, so that the old position exists in it, and with a clock that was set back
    later.ask(40, domain="new.example", at=MORNING - timedelta(days=1, seconds=5))
    events = reader.read()
    assert (domains(events), [count_of(event) for event in events]) == (["new.example"] * 2, [5, 35])
    assert "was made anew" in caplog.text
    assert reader.read() == []


def test_a_database_that_was_copied_back_is_not_read_twice(reader: Reader, ftl: Ftl, tmp_path: Path) -> None:
    ftl.ask(3)
    reader.read()
    ftl.close()
    inode = ftl.path.stat().st_ino
    copy = tmp_path / "copy.db"
    shutil.copyfile(ftl.path, copy)
    copy.replace(ftl.path)
    assert ftl.path.stat().st_ino != inode
    assert reader.read() == []


def test_a_backup_that_was_put_back_is_not_read_again_and_what_follows_is(
    reader: Reader, ftl: Ftl, make_ftl: Callable[..., Ftl]
) -> None:
    ftl.ask(3, domain="old.example")
    ftl.close()
    backup = ftl.path.read_bytes()
    later = make_later(ftl)
    later.ask(3, domain="lost.example", at=MORNING + timedelta(hours=1))
    assert domains(reader.read()) == ["old.example", "lost.example"]
    later.close()
    ftl.path.write_bytes(backup)
    assert reader.read() == []
    again = make_later(ftl)
    again.ask(2, domain="after.example", at=MORNING + timedelta(hours=2))
    assert domains(reader.read()) == ["after.example"]
    again.close()


def make_later(ftl: Ftl) -> Ftl:
    """FTL started again on the same database."""
    later = Ftl.__new__(Ftl)
    later.path, later.plain, later.table = ftl.path, ftl.plain, ftl.table
    later.db = sqlite3.connect(ftl.path, isolation_level=None)
    return later


def test_retention_deletes_rows_and_nothing_is_lost_or_doubled(reader: Reader, ftl: Ftl) -> None:
    for day in range(3):
        ftl.ask(4, domain=f"day-{day}.example", at=MORNING + timedelta(days=day))
    assert len(reader.read()) == 3
    assert ftl.delete("timestamp < ?", (MORNING + timedelta(days=2)).timestamp()) == 8
    assert reader.read() == []
    assert ftl.delete("1") == 4  # all that was read, the row of the position too
    assert reader.read() == []
    ftl.ask(2, domain="day-9.example", at=MORNING + timedelta(days=9))
    reader.restart()
    assert domains(reader.read()) == ["day-9.example"]
    assert reader.read() == []


@pytest.mark.parametrize("asleep", [False, True], ids=["running", "started-later"])
def test_a_flush_whose_ids_are_given_again_loses_and_doubles_nothing(
    reader: Reader, ftl: Ftl, caplog: pytest.LogCaptureFixture, asleep: bool
) -> None:
    ftl.ask(5, domain="last-week.example", at=MORNING - timedelta(days=7))
    ftl.ask(10, domain="flushed.example")
    reader.read()
    assert ftl.delete("timestamp >= ?", (MORNING - timedelta(days=1)).timestamp()) == 10
    ftl.db.execute("UPDATE sqlite_sequence SET seq = 5")
    if not asleep:
        assert reader.read() == []
    # as many as were flushed, and more: the position's id is another row's
    ftl.ask(20, domain="after.example", at=MORNING + timedelta(minutes=5))
    reader.restart()
    events = reader.read()
    assert [(domains([event])[0], count_of(event)) for event in events] == [("after.example", 20)]
    assert "going on with what is newer" in caplog.text
    assert reader.read() == []


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
def test_a_locked_database_is_waited_for(
    make_ftl: Callable[..., Ftl], tmp_path: Path, caplog: pytest.LogCaptureFixture, wal: bool
) -> None:
    ftl = make_ftl(wal=wal)
    reader = Reader(tmp_path)
    reader.read()
    ftl.ask(2)
    ftl.db.execute("BEGIN EXCLUSIVE")
    ftl._insert(Asked())
    if not wal:
        assert reader.read() == []
        assert reader.read() == []
    else:
        assert [count_of(event) for event in reader.read()] == [2], "writers keep no reader of a WAL out"
    ftl.db.execute("COMMIT")
    assert sum(map(count_of, reader.read())) == (1 if wal else 3)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_reader_keeps_no_lock_and_leaves_no_file(make_ftl: Callable[..., Ftl], tmp_path: Path) -> None:
    ftl = make_ftl(wal=False)
    ftl.db.execute("PRAGMA busy_timeout = 0")
    reader = Reader(tmp_path)
    for _ in range(5):
        ftl.ask()  # would fail at once if somebody read
        reader.read()
    assert sum(map(count_of, reader.kept)) == 4, "the first was there already"
    names = {path.name for path in tmp_path.iterdir() if path.name.startswith("pihole")}
    assert names == {"pihole-FTL.db"}


def test_a_database_of_a_stopped_ftl_is_read_and_nothing_is_written_beside_it(reader: Reader, ftl: Ftl) -> None:
    ftl.ask(3)
    ftl.close()
    before = ftl.path.read_bytes()
    assert [count_of(event) for event in reader.read()] == [3]
    assert [path.name for path in ftl.path.parent.glob("pihole-FTL.db*")] == ["pihole-FTL.db"]
    assert ftl.path.read_bytes() == before


def test_without_the_right_it_says_once_what_to_do_and_goes_on_when_it_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="heimdall-test-", dir="/tmp"))
    is_root = os.geteuid() == 0
    ftl = Ftl(folder / "pihole-FTL.db")
    reader = Reader(folder)
    try:
        folder.chmod(0o755)
        ftl.path.chmod(0)
        if is_root:
            os.seteuid(65_534)
        for _ in range(3):
            assert reader.collector.read(None).events == []
        if is_root:
            os.seteuid(0)
        (said,) = [record.getMessage() for record in caplog.records]
        assert "Permission denied (the agent's user needs the group pihole): only heartbeats are sent" in said
        ftl.ask(domain="history.example")
        ftl.path.chmod(0o640)
        assert reader.read() == [], "it was there all the while: its end is the beginning"
        ftl.ask(domain="next.example")
        assert domains(reader.read()) == ["next.example"]
    finally:
        if is_root:
            os.seteuid(0)
        ftl.close()
        shutil.rmtree(folder)


def fill_with_noise(path: Path) -> None:
    path.write_bytes(random.Random(3).randbytes(9_000))


def be_another_schema(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE queries (number INTEGER)")
    db.close()


def tear_out_pages(path: Path) -> None:
    ftl = Ftl(path, wal=False)
    ftl.ask(500)
    ftl.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize("spoil", [fill_with_noise, be_another_schema, tear_out_pages, Path.mkdir])
def test_what_is_no_database_of_ftl_is_said_once_and_looked_at_again(
    make_ftl: Callable[..., Ftl], tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "pihole-FTL.db"
    spoil(path)
    reader = Reader(tmp_path)
    for _ in range(3):
        assert reader.read() == []
    (said,) = [record.getMessage() for record in caplog.records]
    assert "pihole-FTL.db cannot be read" in said
    assert "only heartbeats are sent; looking again each" in said
    path.rmdir() if path.is_dir() else path.unlink()
    ftl = make_ftl()
    reader.read()
    ftl.ask()
    assert len(reader.read()) == 1


def test_a_position_that_is_none_begins_at_the_end(reader: Reader, ftl: Ftl, caplog: pytest.LogCaptureFixture) -> None:
    ftl.ask()
    for nonsense in ("x", "{}", '{"created":"1","id":-4,"at":1}', '{"created":"1","id":1e999,"at":1}', "[]"):
        reading = PiholeCollector("pi-hole", reader.folder).read(nonsense)
        assert (reading.events, reading.position) == ([], PiholeCollector("pi-hole", reader.folder).read(None).position)
        assert "is none of a Pi-hole's database" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("2001:db8::7", "2001:db8::7"), ("fe80::1%eth0", "fe80::1"), ("laptop.lan", "N/A"), ("", "N/A"),
        ("0.0.0.0", "N/A"), ("::", "N/A"), ("192.0.2.999", "N/A"), ("x" * 70_000, "N/A"),
    ],
)  # fmt: skip
def test_a_client_is_an_address_or_none(reader: Reader, ftl: Ftl, client: str, address: str) -> None:
    ftl.ask(client=client)
    (event,) = reader.read()
    assert event.source_ip == address
    assert f" for {client[:1024] or 'unknown'} at " in event.raw_message


HOSTILE = {
    "nul": "evil\0.example",
    "controls": "a\r\nNov 23 06:55:46 web-01 sshd[2]: Failed\x1b[2J",
    "bidirectional": "\u202eelpmaxe.sda",
    "long": "a." * 600_000,
    "blob": b"\xff\x00\xfe",
    "empty": "",
    "int": 7,
}


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("name", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_names_stay_in_one_printable_line(
    make_ftl: Callable[..., Ftl], tmp_path: Path, schema: str, name: Any
) -> None:
    ftl = make_ftl(schema)
    reader = Reader(tmp_path)
    reader.read()
    ftl.ask(domain=name, client=name, status=10, info=name)
    ftl.ask()
    event, after = reader.read()
    assert event.raw_message.isprintable()
    assert len(event.raw_message.encode()) <= LONGEST_MESSAGE_BYTES
    assert "matches a regex" in event.raw_message
    assert domains([after]) == ["ads.example.com"]


def test_a_name_that_is_not_utf_8_is_shown_all_the_same(reader: Reader, ftl: Ftl) -> None:
    ftl.loosen()
    ftl.db.execute(
        "INSERT INTO queries VALUES (1, ?, 1, 1, CAST(x'ff2e6578616d706c65' AS TEXT), '192.0.2.1')",
        (MORNING.timestamp(),),
    )
    assert domains(reader.read()) == ["\ufffd.example"]


def test_rows_that_ftl_never_writes_do_no_harm_and_are_told_once(
    reader: Reader, ftl: Ftl, caplog: pytest.LogCaptureFixture
) -> None:
    ftl.loosen()
    at = MORNING.timestamp()
    rows = [
        (at, 1, 99, "new-status.example", "192.0.2.1"), (at, 1, 99, "again.example", "192.0.2.1"),
        (at, 1, None, "no-status.example", "192.0.2.1"), (at, 1, "1", "text-status.example", "192.0.2.1"),
        (None, 1, 1, "no-time.example", "192.0.2.1"), ("soon", 1, 1, "no-time.example", "192.0.2.1"),
        (-5, 1, 1, "no-time.example", "192.0.2.1"), (9e300, 1, 1, "no-time.example", "192.0.2.1"),
        (at, None, 1, None, None),
        (at + 1, "x", 1, "last.example", "192.0.2.1"),
    ]  # fmt: skip
    ftl.db.executemany("INSERT INTO queries (timestamp, type, status, domain, client) VALUES (?, ?, ?, ?, ?)", rows)
    assert domains(reader.read()) == ["unknown", "last.example"]
    assert Counter(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING) == {
        "queries of status 99, unknown to this version, are no events": 1,
        "queries of status None, unknown to this version, are no events": 1,
        "queries of status '1', unknown to this version, are no events": 1,
        "blocked queries without a time are left out": 1,
    }


def test_a_database_without_the_column_for_more_is_read(reader: Reader, ftl: Ftl) -> None:
    ftl.loosen()
    ftl.db.execute("INSERT INTO queries VALUES (1, ?, 1, 9, 'a.example', '192.0.2.1')", (MORNING.timestamp(),))
    assert domains(reader.read()) == ["a.example"]


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary()
TIMES = st.floats(0, 4e9) | st.integers(0, 4 * 10**9) | VALUES
ROWS = st.tuples(
    st.integers(1, 2**63 - 1) | VALUES, TIMES, st.integers(0, 200) | VALUES, st.sampled_from(BLOCKED) | VALUES,
    st.sampled_from(["a.example", "b.example"]) | VALUES, st.sampled_from(["192.0.2.1", "::1"]) | VALUES, VALUES,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(ROWS, max_size=30))
def test_any_rows_at_all_give_events_that_can_be_stored(rows: list[tuple[Any, ...]]) -> None:
    queries = [query for query in map(parse_blocked, rows) if query]
    repetitions = list(fold(queries))
    assert sum(repetition.count for repetition in repetitions) == len(queries)
    for repetition in repetitions:
        event = make_event("pi-hole", uuid4(), repetition)
        check_event(event, "pi-hole")
        assert event.raw_message.isprintable()
        assert len(event.raw_message.encode()) <= LONGEST_MESSAGE_BYTES
        assert repetition.since <= repetition.until < repetition.since + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "pihole-FTL.db"),
        ({"pihole.toml": '[files]\n  # a comment\n  pid = "/x"\n  database = "/q.db" ### CHANGED\n'}, "/q.db"),
        ({"pihole.toml": "[files]\ndatabase = '/data/a \\ b.db'\n"}, "/data/a \\ b.db"),
        ({"pihole.toml": '[files]\ndatabase = "/data/\\"q\\".db"\n'}, '/data/"q".db'),
        ({"pihole.toml": 'files.database = "/data/q.db"\n'}, "/data/q.db"),
        ({"pihole.toml": '[database]\nDBinterval = 60\n[files]\n#database = "/no"\n'}, "pihole-FTL.db"),
        ({"pihole.toml": '[files]\npid = ""\n[files.log]\ndatabase = "/no"\n'}, "pihole-FTL.db"),
        ({"pihole.toml": "[files]\n", "pihole-FTL.conf": "DBFILE=/old.db\n"}, "pihole-FTL.db"),
        ({"pihole-FTL.conf": "#DBFILE=/no\nPRIVACYLEVEL=0\nDBFILE=/data/5.db \n"}, "/data/5.db"),
        ({"pihole-FTL.conf": "PRIVACYLEVEL=0\n"}, "pihole-FTL.db"),
        ({"pihole-FTL.conf": "DBFILE=\nPRIVACYLEVEL=0\n"}, None),
        ({"pihole.toml": '[files]\ndatabase = ""\n'}, None),
    ],
)  # fmt: skip
def test_the_database_is_where_ftls_configuration_says(
    tmp_path: Path, files: dict[str, str], found: str | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert find_database(tmp_path) == (tmp_path / found if found else None)


def test_an_ftl_that_keeps_no_database_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pihole-FTL.conf").write_text("DBFILE=\n")
    reader = Reader(tmp_path)
    for _ in range(3):
        assert reader.read() == []
    assert len(caplog.records) == 1
    assert "told to keep no database" in caplog.text


def read_all(path: Path) -> tuple[list[Event], Summary]:
    summary = Summary(str(path))
    return list(read_file(path, "pi-hole", summary)), summary


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_given_database_is_read_whole_and_folded_by_the_minute(make_ftl: Callable[..., Ftl], schema: str) -> None:
    ftl = make_ftl(schema)
    asked = a_day(seed=21, queries=2 * ROWS_PER_READ + 50)
    ftl.write(asked)
    events, summary = read_all(ftl.path)
    by_minute = {
        (query.client, query.domain, query.status, query.at.replace(second=0, microsecond=0))
        for query in asked if query.status in BLOCKED
    }  # fmt: skip
    assert summary.lines == len(asked)
    assert len(events) == len(by_minute)
    assert told_by_key(events) == blocked_by_key(asked)


def test_the_same_database_again_adds_nothing_also_copied(ftl: Ftl, tmp_path: Path) -> None:
    ftl.write(a_day(seed=22, queries=ROWS_PER_READ + 50))
    first, _ = read_all(ftl.path)
    again, _ = read_all(ftl.path)
    ftl.close()
    (tmp_path / "elsewhere").mkdir()
    copied, _ = read_all(Path(shutil.copy(ftl.path, tmp_path / "elsewhere" / "100% copy?#.db")))
    assert first == again == copied
    assert len({event.event_id for event in first}) == len(first)


def test_a_database_that_has_grown_or_shrunk_adds_what_is_new_and_contradicts_nothing(ftl: Ftl) -> None:
    asked = a_day(seed=23, queries=1_200)
    ftl.write(asked[:800])
    before, _ = read_all(ftl.path)
    ftl.write(asked[800:])
    cutoff = asked[200].at
    ftl.delete("timestamp <= ?", cutoff.timestamp())
    after, _ = read_all(ftl.path)
    known = {event.event_id: event for event in before}
    assert [event for event in after if known.get(event.event_id, event) != event] == []
    again = [event for event in after if event.event_id in known]
    edges = {cutoff.replace(second=0, microsecond=0), asked[799].at.replace(second=0, microsecond=0)}
    inner = [event for event in before if event.timestamp > cutoff and minute_of(event) not in edges]
    assert inner
    assert [event for event in inner if event not in again] == []


def minute_of(event: Event) -> datetime:
    return event.timestamp.astimezone(UTC).replace(second=0, microsecond=0)


def test_a_given_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text("Nov 23 06:55:46 web-01 sshd[2]: Failed\n" * 99)
    with pytest.raises(Invalid, match="file is not a database"):
        read_all(log)
    with pytest.raises(OSError, match="No such file"):
        read_all(tmp_path / "none.db")


def test_a_given_database_that_stays_locked_is_an_error(
    make_ftl: Callable[..., Ftl], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_pihole, "PATIENCE_SECONDS", 0.01)
    ftl = make_ftl(wal=False)
    ftl.db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="is busy"):
        read_all(ftl.path)


def test_every_schema_has_its_origin() -> None:
    notes = (RECORDED / "README.md").read_text()
    assert sorted(path.stem for path in RECORDED.glob("*.sql")) == sorted(SCHEMAS)
    assert [name for name in SCHEMAS if f"`{name}.sql`" not in notes] == []
