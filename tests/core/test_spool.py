"""The spool: nothing leaves it that was not named, whatever happens to receipts, processes and the disk."""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import Unavailable
from core.ids import uuid7
from core.messages import Event
from core.spool import Receipt, Spool, SpoolDamaged, SpoolFull

AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(text: str = "x", severity: int = 3, host: str = "web-01") -> Event:
    return Event(uuid7(), AT, host, "LINUX", "LOGIN_FAIL", severity, text)


def texts(spool: Spool) -> list[str]:
    found: list[str] = []
    after = 0
    while batch := spool.batch(after):
        found += [entry["raw_message"] for entry in json.loads(batch.payload)]
        after = batch.last
    return found


def fill_up(spool: Spool, source: str = "") -> None:
    for number in range(1_000):
        try:
            spool.append([event("x" * 1_000)], source, str(number))
        except SpoolFull:
            return
    pytest.fail("the spool never became full")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool.db")


def test_events_and_the_source_position_are_kept_together(tmp_path: Path, spool: Spool) -> None:
    spool.append([event("a"), event("b")], "journal", "cursor 7")
    spool.close()
    again = Spool(tmp_path / "spool.db")
    assert texts(again) == ["a", "b"]
    assert again.source_position("journal") == "cursor 7"
    assert again.source_position("other") is None


def test_a_full_spool_keeps_neither_events_nor_position(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit_bytes=200_000)
    fill_up(spool, "log")
    assert spool.source_position("log") == str(len(spool) - 1)


def test_making_room_drops_the_oldest_of_the_lowest_severity(spool: Spool) -> None:
    spool.append([event(f"{severity}-{number}", severity) for number in range(10) for severity in (5, 1, 3)])
    assert spool.make_room(0.2) == 6
    assert [text for text in texts(spool) if text.startswith("1-")] == ["1-6", "1-7", "1-8", "1-9"]
    assert len(spool) == 24


def test_room_that_was_made_can_be_used(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit_bytes=200_000)
    fill_up(spool)
    spool.make_room(0.5)
    spool.append([event("y" * 1_000)])
    assert texts(spool)[-1].startswith("y")


def test_positions_are_never_used_twice(spool: Spool) -> None:
    spool.append([event()])
    first = spool.last_position()
    spool.delete([(0, first)])
    spool.append([event()])
    assert spool.last_position() == first + 1
    assert spool.first_position() == first + 1


def test_an_empty_spool_has_no_positions(spool: Spool) -> None:
    assert (spool.first_position(), spool.last_position(), spool.batch(0)) == (None, 0, None)


def test_a_batch_is_of_one_host_and_within_its_limits(spool: Spool) -> None:
    spool.append([event("a"), event("b"), event("c", host="web-02"), event("d")])
    first = spool.batch(0)
    assert first is not None
    assert (first.host, first.count) == ("web-01", 2)
    second = spool.batch(first.last)
    assert second is not None
    assert (second.host, second.count) == ("web-02", 1)
    single = spool.batch(0, max_events=1)
    assert single is not None
    assert single.count == 1
    small = spool.batch(0, max_bytes=len(first.payload) - 1)
    assert small is not None
    assert small.count == 1
    assert len(small.payload) < len(first.payload)


def test_what_is_too_large_is_set_aside_and_its_neighbours_stay(spool: Spool) -> None:
    spool.append([event("a"), event("x" * 5_000), event("b")])
    found: list[str] = []
    after = 0
    while batch := spool.batch(after, max_bytes=2_000):
        found += [entry["raw_message"] for entry in json.loads(batch.payload)]
        after = batch.last
    assert found == ["a", "b"]
    assert (spool.quarantined(), len(spool)) == (1, 2)


def test_refused_events_are_set_aside_with_their_reasons(spool: Spool) -> None:
    kept, refused = event("kept"), event("refused")
    spool.append([kept, refused])
    assert spool.quarantine(0, spool.last_position(), {str(refused.event_id): "no"}) == 1
    assert texts(spool) == ["kept"]
    assert spool.quarantined() == 1


def test_a_receipt_survives_packing_and_nothing_else_is_one() -> None:
    receipt = Receipt(os.urandom(16), 1, 2**63)
    assert Receipt.unpack(receipt.pack()) == receipt
    for wrong in (None, b"", b"x" * 31, b"x" * 33):
        assert Receipt.unpack(wrong) is None


def test_a_spool_made_anew_has_another_id(tmp_path: Path) -> None:
    one, two = Spool(tmp_path / "one.db"), Spool(tmp_path / "two.db")
    assert one.id != two.id
    assert len(one.id) == 16
    assert Spool(tmp_path / "one.db").id == one.id


@pytest.mark.parametrize("content", [b"no database at all " * 300, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_a_damaged_file_is_told_apart_from_an_unusable_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(content)
    with pytest.raises(SpoolDamaged):
        Spool(path)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be used"):
        Spool(tmp_path / "file" / "spool.db")


def test_a_page_that_is_damaged_while_in_use_is_told(tmp_path: Path, spool: Spool) -> None:
    path = tmp_path / "spool.db"
    spool.append([event("x" * 900) for _ in range(500)])
    spool.close()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(path.stat().st_size - 4_096))
    with pytest.raises(SpoolDamaged):
        texts(Spool(path))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE spool SET payload = 7",
        "UPDATE spool SET host = CAST(x'ff' AS TEXT)",
        "UPDATE identity SET spool_id = x'01'",
    ],
)
def test_a_row_that_was_never_written_is_damage(tmp_path: Path, spool: Spool, damage: str) -> None:
    spool.append([event()])
    spool._db.execute(damage)
    with pytest.raises(SpoolDamaged):
        texts(Spool(tmp_path / "spool.db"))


def test_the_file_may_be_read_by_its_owner_alone(tmp_path: Path, spool: Spool) -> None:
    assert (tmp_path / "spool.db").stat().st_mode & 0o077 == 0


def _write(path: Path, name: str) -> None:
    spool = Spool(path, checkpoints=False)
    for number in range(100):
        spool.append([event(f"{name}-{number}")])
    spool.close()


def test_two_processes_write_at_once(tmp_path: Path, spool: Spool) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "spool.db", name)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = texts(spool)
    assert len(found) == 200
    for name in ("a", "b"):
        assert [text for text in found if text.startswith(name)] == [f"{name}-{number}" for number in range(100)]
