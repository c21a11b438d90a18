"""The script of faults: what it may say, and how it is told what is wrong, by line and key."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from heimdall.sim.ledger import Rules
from heimdall.sim.plan import end_seconds, make_plan
from heimdall.sim.script import Command, Script, parse_script

NAMES = [f"sim-{number:05d}" for number in range(1, 101)]
RULES = Rules(interval_seconds=5, keep_alive_seconds=5)

GOOD = """
[[fault]]
at = "30s"
kind = "kill"
hosts = 10
for = "1m"

[[fault]]
at = "500ms"
kind = "away"
names = ["sim-00001"]
for = "60s"
late_by = "20s"

[[fault]]
at = "2m"
run = "kill -STOP 123"
blackout = true
until = "3m"
"""


def test_a_script_says_when_what_happens_to_whom() -> None:
    script = parse_script(GOOD, "f.toml")
    kill, away = script.faults
    assert (kill.kind, kill.at, kill.hosts, kill.for_seconds, kill.line) == ("kill", 30.0, 10, 60.0, 2)
    assert (away.at, away.names, away.late_by_seconds) == (0.5, ("sim-00001",), 20.0)
    assert script.commands == (Command(15, 120.0, "kill -STOP 123", 180.0),)


def fault(lines: str) -> str:
    return f'\n[[fault]]\nat = "1s"\nkind = "kill"\nhosts = 1\n\n[[fault]]\n{lines}'


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (fault('at = "1s"\nkind = "kil"\nhosts = 1'), 9, "kind = 'kil'"),
        (fault('at = "1s"\nhosts = 1'), 7, "kind"),
        (fault('kind = "kill"\nhosts = 1'), 7, "at"),
        (fault('at = "soon"\nkind = "kill"\nhosts = 1'), 8, "at = 'soon'"),
        (fault('at = 5\nkind = "kill"\nhosts = 1'), 8, "at = 5"),
        (fault('at = "1s"\nkind = "kill"'), 7, "hosts"),
        (fault('at = "1s"\nkind = "kill"\nhosts = 1\nshare = "1%"'), 11, "share"),
        (fault('at = "1s"\nkind = "kill"\nhosts = 0'), 10, "hosts = 0"),
        (fault('at = "1s"\nkind = "kill"\nhosts = true'), 10, "hosts"),
        (fault('at = "1s"\nkind = "kill"\nshare = "101%"'), 10, "share"),
        (fault('at = "1s"\nkind = "kill"\nshare = 1'), 10, "share"),
        (fault('at = "1s"\nkind = "kill"\nnames = []'), 10, "names"),
        (fault('at = "1s"\nkind = "kill"\nnames = "sim-00001"'), 10, "names"),
        (fault('at = "1s"\nkind = "kill"\nhosts = 1\nlate_by = "1s"'), 11, "late_by"),
        (fault('at = "1s"\nkind = "away"\nhosts = 1'), 7, "for"),
        (fault('at = "1s"\nkind = "away"\nhosts = 1\nfor = "5s"\nlate_by = "5s"'), 12, "late_by"),
        (fault('at = "1s"\nkind = "restart"\nhosts = 1\ndown = "4s"'), 11, "down"),
        (fault('at = "1s"\nkind = "flap"\nhosts = 1\ntimes = 0'), 11, "times = 0"),
        (fault('at = "1s"\nrun = ""'), 9, "run"),
        (fault('at = "1s"\nrun = "true"\nblackout = true'), 7, "until"),
        (fault('at = "1s"\nrun = "true"\nuntil = "5s"'), 7, "blackout"),
        (fault('at = "9s"\nrun = "true"\nblackout = true\nuntil = "5s"'), 11, "until"),
        ('speed = 1\n[[fault]]\nat = "1s"', 1, "speed"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_key(text: str, line: int, key: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_script(text, "f.toml")
    assert str(caught.value).startswith(f"f.toml, line {line}: {key}")


def test_what_is_no_toml_is_named_with_its_line() -> None:
    with pytest.raises(Invalid, match=r"f.toml is no TOML: .*line 2"):
        parse_script("[[fault]]\nat = \n", "f.toml")


@given(st.text(max_size=200))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    with contextlib.suppress(Invalid):
        parse_script(text, "f.toml")


def plan(text: str, seed: int = 1) -> list[tuple[str, ...]]:
    return [planned.hosts for planned in make_plan(parse_script(text, "f.toml"), NAMES, RULES, seed, "f.toml")]


def test_no_host_has_two_faults_at_once_and_a_seed_chooses_the_same_again() -> None:
    text = '[[fault]]\nat = "1s"\nkind = "kill"\nhosts = 40\nfor = "9s"\n' * 2
    first, second = plan(text)
    assert len(first) == len(second) == 40
    assert not set(first) & set(second)
    assert plan(text) == [first, second] != plan(text, seed=2)
    with pytest.raises(Invalid, match=r"f.toml, line 11: kill: wants 40 hosts at 1 s, and 20 of 100 are free"):
        plan(text + text.partition("[[fault]]\nat")[0] + '[[fault]]\nat = "1s"\nkind = "kill"\nhosts = 40\n')


def test_a_host_that_is_settled_again_is_free_again() -> None:
    kill = '[[fault]]\nat = "{}s"\nkind = "kill"\nshare = "100%"\nfor = "9s"\n'
    assert [len(hosts) for hosts in plan(kill.format(1) + kill.format(30))] == [100, 100]
    with pytest.raises(Invalid, match="0 of 100 are free"):
        plan(kill.format(1) + kill.format(12))


def test_a_named_host_that_is_unknown_or_has_a_fault_already_is_an_error() -> None:
    named = '[[fault]]\nat = "{}s"\nkind = "mute"\nnames = ["{}"]\nfor = "20s"\n'
    with pytest.raises(Invalid, match=r"line 1: mute: names: 'web-01' is not in this fleet \(sim-00001 to sim-00100\)"):
        plan(named.format(1, "web-01"))
    with pytest.raises(Invalid, match="line 6: mute: names: sim-00001 has another fault at 10 s"):
        plan(named.format(1, "sim-00001") + named.format(10, "sim-00001"))


def test_it_ends_when_all_must_have_been_said() -> None:
    assert end_seconds(Script(), RULES) < 30
    script = parse_script(GOOD, "f.toml")
    assert end_seconds(script, RULES) >= 180 + 3 * RULES.interval_seconds
    lasting = parse_script('[[fault]]\nat = "10s"\nkind = "hang"\nhosts = 1\n', "f.toml")
    assert end_seconds(lasting, RULES) >= 10 + 1.5 * 5 + 5 + 3
