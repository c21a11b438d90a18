"""A log followed across rotation by rename, copytruncate, compression and truncation: each line once."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from agents.tail import Place, Tail, is_backup
from core.errors import Invalid


class Reader:
    """Reads a log to its end, and goes on from the same place the next time, as a restarted agent does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = Tail(path).end().dump()
        self.alarms: list[str] = []

    def read(self) -> list[str]:
        lines: list[str] = []
        while True:
            span = Tail(self.path).read(Place.load(self.place))
            if span.alarm:
                self.alarms.append(span.alarm)
            lines += [line.decode().strip() for line in span.lines]
            if span.place.dump() == self.place and not span.lines:
                return lines
            self.place = span.place.dump()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.write_text("old 1\nold 2\n")
    return path


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(line + "\n" for line in lines)


def test_a_first_start_begins_at_the_end(log: Path) -> None:
    reader = Reader(log)
    add(log, "new 1", "new 2")
    assert reader.read() == ["new 1", "new 2"]
    assert reader.read() == []


def test_a_line_without_its_end_waits_for_it(log: Path) -> None:
    reader = Reader(log)
    with log.open("a") as file:
        file.write("half")
    assert reader.read() == []
    add(log, " and half")
    assert reader.read() == ["half and half"]


def test_a_first_start_amid_a_line_begins_before_it(log: Path) -> None:
    with log.open("a") as file:
        file.write("half")
    reader = Reader(log)
    add(log, " and half")
    assert reader.read() == ["half and half"]


def test_the_rest_of_a_renamed_log_is_read_first(log: Path) -> None:
    reader = Reader(log)
    add(log, "before")
    log.rename(log.with_name("auth.log.1"))
    add(log, "after")
    assert reader.read() == ["before", "after"]
    assert reader.alarms == []


def test_a_renamed_log_is_followed_until_the_new_one_has_something(log: Path) -> None:
    reader = Reader(log)
    log.rename(log.with_name("auth.log.1"))
    assert reader.read() == []
    log.touch()
    add(log.with_name("auth.log.1"), "late")
    assert reader.read() == ["late"]
    add(log, "after")
    assert reader.read() == ["after"]
    assert reader.alarms == []


def test_several_rotations_while_the_agent_was_away_are_read_in_order(log: Path) -> None:
    reader = Reader(log)
    add(log, "a")
    log.rename(log.with_name("auth.log.2"))
    add(log, "b")
    log.rename(log.with_name("auth.log.1"))
    add(log, "c")
    assert reader.read() == ["a", "b", "c"]
    assert reader.alarms == []


def test_the_rest_of_a_compressed_log_is_read(log: Path) -> None:
    reader = Reader(log)
    add(log, "before")
    log.with_name("auth.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    add(log, "after")
    assert reader.read() == ["before", "after"]
    assert reader.alarms == []


def test_copytruncate_is_no_tampering(log: Path) -> None:
    reader = Reader(log)
    add(log, "before")
    shutil.copy2(log, log.with_name("auth.log.1"))
    with log.open("r+") as file:
        file.truncate(0)
    assert reader.read() == ["before"]
    add(log, "after")
    assert reader.read() == ["after"]
    assert reader.alarms == []


def test_copytruncate_is_seen_when_the_log_is_longer_again(log: Path) -> None:
    reader = Reader(log)
    shutil.copy2(log, log.with_name("auth.log.1"))
    with log.open("r+") as file:
        file.truncate(0)
    add(log, *(f"after {number}" for number in range(10)))
    assert reader.read() == [f"after {number}" for number in range(10)]
    assert reader.alarms == []


def test_a_truncated_log_is_an_alarm_and_what_follows_is_read(log: Path) -> None:
    reader = Reader(log)
    with log.open("r+") as file:
        file.truncate(0)
    assert reader.read() == []
    add(log, "after")
    assert reader.read() == ["after"]
    assert len(reader.alarms) == 1
    assert "was cleared" in reader.alarms[0]


def test_a_deleted_and_new_log_is_an_alarm(log: Path) -> None:
    reader = Reader(log)
    log.unlink()
    add(log, "after")
    assert reader.read() == ["after"]
    assert len(reader.alarms) == 1


def test_lines_cut_out_of_a_log_are_an_alarm_and_the_rest_is_no_news(log: Path) -> None:
    add(log, "evidence", "old 3")
    reader = Reader(log)
    log.write_text("old 1\nold 2\nold 3\n")
    assert reader.read() == []
    add(log, "after")
    assert reader.read() == ["after"]
    assert len(reader.alarms) == 1
    assert "was rewritten" in reader.alarms[0]


def test_an_empty_log_that_fills_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.touch()
    reader = Reader(log)
    add(log, "first", "second")
    assert reader.read() == ["first", "second"]
    assert reader.alarms == []


def test_more_lines_than_one_read_takes_all_come(log: Path) -> None:
    reader = Reader(log)
    add(log, *(str(number) for number in range(2_500)))
    assert reader.read() == [str(number) for number in range(2_500)]


def test_a_log_that_is_gone_is_an_os_error(log: Path) -> None:
    reader = Reader(log)
    log.unlink()
    with pytest.raises(FileNotFoundError):
        reader.read()


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"inode":"x"}', "null"])
def test_a_damaged_position_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        Place.load(text)


def test_a_log_that_was_renamed_after_it_was_seen_empty_is_read_to_its_end(log: Path) -> None:
    log.write_text("")
    reader = Reader(log)
    add(log, "new 1", "new 2")
    log.rename(log.with_name("auth.log.1"))
    add(log, "new 3")
    assert reader.read() == ["new 1", "new 2", "new 3"]
    assert reader.alarms == []


@pytest.mark.parametrize("compressed", [False, True])
def test_a_log_that_caddy_rotated_is_read_to_its_end(tmp_path: Path, compressed: bool) -> None:
    log = tmp_path / "access.log"
    add(log, "old")
    reader = Reader(log)
    add(log, "new 1")
    backup = tmp_path / "access-2026-11-24T10-00-00.000.log"
    log.rename(backup)
    if compressed:
        with gzip.open(backup.with_name(backup.name + ".gz"), "wb") as file:
            file.write(backup.read_bytes())
        backup.unlink()
    add(log, "new 2")
    assert reader.read() == ["new 1", "new 2"]
    assert reader.alarms == []


def test_only_a_name_with_the_time_before_its_ending_is_a_backup() -> None:
    assert is_backup("access-2026-11-24T10-00-00.000.log")
    assert is_backup("a-b-2026-11-24T10-00-00.000.log.gz")
    assert not any(map(is_backup, ["access.log", "my-site-access.log", "access-2026-11-24.log", "access.log.1"]))
