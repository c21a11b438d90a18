"""`heimdall keys` and `heimdall audit`, typed as an operator would."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from heimdall_home import outside

from api.auth import hash_secret
from core.clock import utc_now
from store import open_store

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**outside(), "HEIMDALL_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-m", "heimdall", *words], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_key_is_printed_once_listed_without_itself_and_revoked(typed: Typed, tmp_path: Path) -> None:
    made = typed("keys", "--make", "grafana", "--scope", "read", "--expires", "1y")
    key = made.stdout.strip()
    assert (made.returncode, len(key), key in made.stderr) == (0, 43, False)
    store = open_store(f"sqlite:///{tmp_path / 'home' / 'mini_siem.db'}")
    found = store.find_key(hash_secret(key), utc_now())
    store.close()
    assert found is not None
    assert found.name == "grafana"
    listed = typed("keys")
    assert listed.stdout.splitlines()[0].split() == ["ID", "NAME", "SCOPES", "EXPIRES", "LAST", "USED"]
    assert "grafana" in listed.stdout
    assert key not in listed.stdout
    assert typed("keys", "--revoke", "grafana").returncode == 0
    assert json.loads(typed("keys", "--json").stdout) == []
    told = json.loads(typed("audit", "--json").stdout)
    assert [(one["who"], one["action"]) for one in told] == [
        (f"local:{getpass.getuser()}", "key.revoked"), (f"local:{getpass.getuser()}", "key.made"),
    ]  # fmt: skip
    assert len(typed("audit", "--limit", "1").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("keys", "--make", "x"), 2, "needs a scope"),
        (("keys", "--make", "x", "--scope", "root"), 2, "'root' is unknown"),
        (("keys", "--make", "x", "--scope", "read", "--expires", "soon"), 2, "--expires='soon'"),
        (("keys", "--scope", "read"), 2, "belong to --make"),
        (("keys", "--revoke", "nobody"), 2, "'nobody'"),
        (("audit", "--limit", "0"), 2, "--limit 0"),
    ],
)
def test_wrong_use_is_said_and_exits_with_2(typed: Typed, words: tuple[str, ...], code: int, says: str) -> None:
    done = typed(*words)
    assert (done.returncode, says in done.stderr, done.stdout) == (code, True, "")


def test_a_name_that_is_taken_exits_with_1(typed: Typed) -> None:
    assert typed("keys", "--make", "x", "--scope", "agent:web-01", "--json").returncode == 0
    again = typed("keys", "--make", "x", "--scope", "read")
    assert (again.returncode, "revoke it first" in again.stderr) == (1, True)
    assert json.loads(typed("keys", "--json").stdout)[0]["scopes"] == ["agent:web-01"]
