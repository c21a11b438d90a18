"""`heimdall alerts`, typed as an operator would."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from heimdall_home import outside
from people import Person

from core.clock import utc_now
from store import HeldVerdict, open_store

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def typed(home: Path) -> Typed:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "heimdall", "alerts", *words], env={**outside(), "HEIMDALL_HOME": str(home)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def test_open_alerts_are_listed_and_none_is_said_to_be_none(typed: Typed, home: Path) -> None:
    nothing = typed()
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "none is open\n")
    store, now = open_store(f"sqlite:///{home / 'mini_siem.db'}"), utc_now()
    list(store.claim([HeldVerdict("web-01", "offline", "crashed", now, None, 0)], now))
    list(store.claim([HeldVerdict("db-01", "offline", "silent", now, None, 0)], now))
    list(store.claim([HeldVerdict("db-01", "online", "", now, None, 1)], now))
    store.close()
    head, line = typed().stdout.splitlines()
    assert head.split() == ["ID", "SINCE", "RESOLVED", "SEEN", "TO", "BY", "KIND", "WHAT"]
    assert "web-01 is offline: its connection broke" in line
    assert len(typed("--state", "any").stdout.splitlines()) == 3
    assert [one["source_host"] for one in json.loads(typed("--state", "resolved", "--json").stdout)] == ["db-01"]


def test_alerts_are_acknowledged_by_their_ids_and_what_cannot_be_is_said(typed: Typed, home: Path) -> None:
    store, now = open_store(f"sqlite:///{home / 'mini_siem.db'}"), utc_now()
    [lost] = store.claim([HeldVerdict(host, "offline", "crashed", now, None, 0) for host in ("web-1", "db-1")], now)
    list(store.claim([HeldVerdict("db-1", "online", "", now, None, 1)], now))
    store.close()
    ids = {one.source_host: one.id for one in lost.opened}
    done = typed("ack", ids["web-1"], ids["db-1"], "nobody")
    me = f"local:{getpass.getuser()}"
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"web-1 is offline: its connection broke and did not come back: {me} sees to it",
        f"heimdall alerts: alert {ids['db-1']} is resolved: there is nothing left to see to",
        "heimdall alerts: there is no alert with the id 'nobody': `heimdall alerts` lists them",
    ]
    assert me in typed().stdout
    [again] = json.loads(typed("ack", ids["web-1"].upper(), "--json").stdout)
    assert (again["id"], again["acked_by"]) == (ids["web-1"], me)


def test_a_test_is_said_to_each_channel_and_fails_when_one_does_not_take_it(typed: Typed, home: Path) -> None:
    person = Person()
    (home / "rules.toml").write_text(
        f'[notify.ops]\nurl = "{person.url}"\nallow_private = true\n[notify.guest]\nurl = "{person.url}"\n'
    )
    with person.listening():
        every, ops = typed("test"), typed("test", "ops", "--json")
    assert [one.tone for one in person.said] == ["info", "info"]
    assert every.returncode == 1
    assert every.stdout.startswith("ops: it was taken\nguest: ")
    assert "127.0.0.1 lies inside the network, and allow_private is not set" in every.stdout
    assert (ops.returncode, json.loads(ops.stdout)) == (0, {"ops": ""})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("test",), "nobody is notified: there is no [notify.NAME] in"),
        (("list", "ops"), "channels belong to"),
        (("ack",), "needs the ids of alerts"),
        (("--limit", "0"), "use a number above 0"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(typed: Typed, words: tuple[str, ...], says: str) -> None:
    result = typed(*words)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_channel_that_the_rules_do_not_have_is_refused_with_those_that_they_have(typed: Typed, home: Path) -> None:
    (home / "rules.toml").write_text('[notify.ops]\nurl = "json://example.com"\n')
    result = typed("test", "opps")
    assert (result.returncode, "there is no [notify.opps]" in result.stderr) == (2, True)
    assert "it has ops" in result.stderr
