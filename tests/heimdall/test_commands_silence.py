"""`heimdall silence` and `heimdall maintenance`, typed as an operator would."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from heimdall_home import outside

from core.clock import parse_time, rfc3339, utc_now

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**outside(), "HEIMDALL_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-m", "heimdall", *words], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_silence_is_said_listed_and_ended(typed: Typed) -> None:
    nothing = typed("silence")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "none\n")
    made = typed("silence", "web-*", "db-1", "--for", "2h", "--kind", "crashed", "--reason", "a new\nswitch")
    silence_id = made.stdout.strip()
    assert (made.returncode, made.stderr.startswith("web-* db-1: from ")) == (0, True)
    head, line = typed("silence").stdout.splitlines()
    assert head.split() == ["ID", "FROM", "UNTIL", "HOSTS", "KINDS", "BY", "REASON"]
    assert line.startswith(silence_id)
    assert f"crashed  local:{getpass.getuser()}  a new\\nswitch" in line
    [listed] = json.loads(typed("silence", "--json").stdout)
    assert parse_time(listed["until"]) - parse_time(listed["from"]) == timedelta(hours=2)
    assert json.loads(typed("maintenance", "--json").stdout) == []
    ended = typed("silence", "--end", silence_id)
    assert (ended.returncode, "over since" in ended.stderr) == (0, True)
    assert json.loads(typed("silence", "--json").stdout) == []
    assert [one["action"] for one in json.loads(typed("audit", "--json").stdout)] == ["silence.ended", "silence.made"]


def test_maintenance_is_announced_listed_and_called_off(typed: Typed) -> None:
    begins = rfc3339(utc_now() + timedelta(hours=5))
    made = json.loads(typed("maintenance", "db-1", "--from", begins, "--for", "90m", "--json").stdout)
    assert (made["from"], made["hosts"]) == (begins, ["db-1"])
    assert json.loads(typed("maintenance", "--json").stdout) == [made]
    assert json.loads(typed("silence", "--json").stdout) == []
    assert typed("maintenance", "--end", made["id"]).returncode == 0
    assert json.loads(typed("maintenance", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("silence", "web-1"), "--for None is no duration: use a number above 0 and m, h or d, such as 30m, 2h or 3d"),
        (("silence", "web-1", "--for", "soon"), "--for 'soon' is no duration"),
        (("silence", "web 1", "--for", "2h"), "hosts 'web 1' fits no host name"),
        (("silence", "--for", "2h"), "belong to hosts"),
        (("silence", "--end", "nobody"), "there is no silence with the id 'nobody'"),
        (("silence", "web-1", "--for", "2h", "--end", "x"), "name no hosts beside it"),
        (("silence", "web-1", "--for", "2h", "--kind", "a b"), "'a b' is no kind"),
        (("maintenance", "web-1", "--for", "2h"), "--from None is not an RFC 3339 time"),
        (("maintenance", "web-1", "--from", "2020-01-01T00:00:00Z", "--for", "2h"), "over already"),
        (("maintenance", "web-1", "--from", "9999-12-31T23:00:00Z", "--for", "2h"), "too far ahead"),
        (("maintenance", "--from", "2020-01-01T00:00:00Z"), "belong to hosts"),
        (("maintenance", "--end", "nobody"), "there is no maintenance with the id 'nobody'"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(typed: Typed, words: tuple[str, ...], says: str) -> None:
    result = typed(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr
