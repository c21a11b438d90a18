"""What each kind of host says of its sources when it is asked, before anything is read."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ftl import Ftl
from waiting import free_port
from windows_calls import Windows

from agents.address import Address
from agents.agent_firewall import FirewallCollector
from agents.agent_linux import LinuxCollector
from agents.agent_macos import MacosCollector
from agents.agent_pihole import PiholeCollector
from agents.agent_windows import WindowsCollector
from agents.collector import Source
from agents.journal import Cursor, Journal
from agents.receiver import Receiver
from agents.unified_log import UnifiedLog
from agents.windows_log import WindowsEventLog

AT = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


def look_at(journal: Journal, *logs: Path) -> list[Source]:
    """What a Linux machine says of its sources that has these and no other."""
    return LinuxCollector("web-01", journal, logs, [], Path("/nonexistent"), []).sources()


class OwnEntries(Journal):
    """The journal as a user sees it who is in none of its groups. (Root, as who the tests may run, sees all.)"""

    def last(self, *options: str) -> Cursor | None:
        return None if "--system" in options else Cursor("s=1", int(AT.timestamp() * 1_000_000))


def test_without_a_journal_linux_has_the_first_log_that_can_be_read(tmp_path: Path) -> None:
    missing, kept, further = tmp_path / "auth.log", tmp_path / "secure", tmp_path / "further"
    for path in (kept, further):
        path.touch()
        os.utime(path, (AT.timestamp(), AT.timestamp()))
    nothing = Journal(("/nonexistent/journalctl",))
    assert look_at(nothing, missing, kept, further) == [Source(str(kept), AT)]
    journal, log = look_at(nothing, missing)
    assert "there is none" in journal.trouble
    assert (log.name, log.trouble, log.advice) == (str(missing), "No such file or directory", "")


def test_a_journal_of_which_only_the_users_own_is_seen_is_none_of_the_machine(tmp_path: Path) -> None:
    [source] = look_at(OwnEntries())
    assert (source.newest, source.trouble) == (AT, "only this user's own entries can be read")
    assert "systemd-journal" in source.advice


def test_windows_names_each_log_and_why_it_may_not_be_read() -> None:
    windows = Windows()
    windows.logs["Security"] = [1, 2]
    windows.errors["Security", "EvtQuery"] = 5
    sources = {source.name: source for source in WindowsCollector("win-01", WindowsEventLog(windows.calls)).sources()}
    assert "Event Log Readers" in sources["the log Security"].trouble
    assert sources["the log System"].trouble == ""
    assert "no such log" in sources["the log Microsoft-Windows-Windows Defender/Operational"].trouble
    assert not windows.open, "all that Windows gave is given back"


def test_any_other_system_has_no_logs_of_windows() -> None:
    assert all("this is no Windows" in source.trouble for source in WindowsCollector("win-01").sources())


def test_macos_says_what_its_log_answers(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.touch()
    program = Path(__file__).parent / "log_program.py"
    collector = MacosCollector("mac-01", UnifiedLog((sys.executable, str(program), str(store))))
    assert collector.sources() == [Source("the unified log")]
    (tmp_path / "store.broken").touch()
    [source] = collector.sources()
    assert source.trouble == "log: Could not open local log store: Operation not permitted"
    assert "root" in source.advice
    [absent] = MacosCollector("mac-01", UnifiedLog(("/nonexistent/log",))).sources()
    assert "No such file" in absent.trouble


def test_a_pihole_says_where_its_database_is_and_how_new(tmp_path: Path) -> None:
    path = tmp_path / "pihole-FTL.db"
    collector = PiholeCollector("pi-hole", tmp_path)
    [source] = collector.sources()
    assert (source.name, source.trouble) == (str(path), "No such file or directory")
    assert source.advice == "is Pi-hole installed here, and has it run?"
    with closing(Ftl(path)) as ftl:
        assert collector.sources() == [Source(str(path))]
        ftl.ask(at=AT)
        assert collector.sources() == [Source(str(path), AT)]
    path.write_bytes(b"no database " * 100)
    assert "cannot be read as a database" in collector.sources()[0].trouble
    (tmp_path / "pihole-FTL.conf").write_text("DBFILE=\n")
    assert "keep no database" in collector.sources()[0].trouble


def test_a_firewall_port_is_tried_and_left_free() -> None:
    address = Address("127.0.0.1", free_port())
    collector = FirewallCollector("fw-01", address)
    for _ in range(2):
        assert collector.sources() == [Source(f"syslog at {address} (UDP and TCP)")]
    with closing(Receiver(address)):
        [source] = collector.sources()
        assert source.taken
        assert "another program listens there" in source.trouble
