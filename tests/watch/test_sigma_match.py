"""The ruleset: read from a folder and read again, fast because most rules are not asked, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import grows_linearly
from test_sigma_constructs import CONSTRUCTS
from watch_sigma import OWN, SECURITY, everything, own_rules, plain, raw_event, windows_event

from core.errors import Invalid
from core.messages import EVENT_TYPES, OS_TYPES
from store.rows import StoredEvent
from watch.sigma import match
from watch.sigma.collect import convert_files, keep, remove
from watch.sigma.fields import read_records
from watch.sigma.match import PlainRule, Rule, Ruleset, read_plain
from watch.sigma.tree import compile_node

FAILED = windows_event(4625, TargetUserName="alice", LogonType="3", IpAddress="192.0.2.9")


def kept(folder: Path) -> Path:
    converted, _ = convert_files(sorted(OWN.glob("*.yml")))
    keep(folder, converted)
    return folder


def test_what_is_kept_is_read_and_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    folder = kept(tmp_path / "sigma")
    rules = Ruleset.read(folder)
    assert len(rules) == len(read_plain(folder)) >= 10
    assert Ruleset.read(folder, rules) is rules
    (tmp_path / "sigma" / "notes.txt").write_text("x")
    assert Ruleset.read(folder, rules) is rules
    remove(folder, "Somebody was made an administrator")
    fewer = Ruleset.read(folder, rules)
    assert fewer is not rules
    assert len(fewer) == len(rules) - 1


def test_a_folder_that_has_long_been_quiet_is_not_looked_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kept(tmp_path / "sigma")
    os.utime(folder, (1e9, 1e9))
    rules = Ruleset.read(folder)
    with monkeypatch.context() as patched:
        patched.setattr(match, "_stamp", lambda _: pytest.fail("it was looked through"))
        assert Ruleset.read(folder, rules) is rules
    remove(folder, "Somebody was made an administrator")
    assert len(Ruleset.read(folder, rules)) == len(rules) - 1


def test_without_a_folder_there_are_no_rules_and_nothing_is_met(tmp_path: Path) -> None:
    rules = Ruleset.read(tmp_path / "nothing")
    assert (len(rules), rules.match(FAILED)) == (0, [])
    assert Ruleset.read(tmp_path / "nothing", rules) is rules


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = kept(tmp_path / "sigma")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"null", b"[]", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_damaged_file_is_left_out_and_the_others_count(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder = kept(tmp_path / "sigma")
    whole = len(Ruleset.read(folder))
    path = next(folder.glob("*.json"))
    path.write_bytes(damage)
    assert len(Ruleset.read(folder)) == whole - 1
    assert f"{path} is left out" in caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2), ("severity", 9), ("id", "another"), ("trees", {"windows/4625": ["what"]}),
        ("trees", {"windows/4625": ["re", "a", "(?=x)"]}), ("trees", {"windows/4625": ["text"]}), ("trees", {"x": []}),
        ("trees", {"windows/4625": ["not", ["cidr", "a", "b"]]}),
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_left_out(tmp_path: Path, key: str, value: object) -> None:
    folder = kept(tmp_path / "sigma")
    path = next(folder.glob("*.json"))
    whole = len(read_plain(folder))
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert len(read_plain(folder)) == whole - 1


def test_what_is_met_is_told_once_the_gravest_first() -> None:
    def rule(title: str, severity: int) -> PlainRule:
        return msgspec.structs.replace(plain(SECURITY, "sel: {TargetUserName: alice}", title), severity=severity)

    rules = Ruleset([rule("low", 2), rule("grave", 5), rule("high", 4)])
    assert [(one.title, one.severity) for one in rules.match(FAILED)] == [("grave", 5), ("high", 4), ("low", 2)]
    assert isinstance(rules.match(FAILED)[0], Rule)


@cache
def all_rules() -> list[PlainRule]:
    """A rule of every construct that is tested, and our own."""
    found = []
    for number, (name, _, source, detection, _) in enumerate(CONSTRUCTS):
        rule = plain(source, detection, f"{number} {name}")
        found.append(rule)
    converted, _ = convert_files(sorted(OWN.glob("*.yml")))
    return found + [one.plain for one in converted if not one.plain.count]


def asked_one_by_one(event: StoredEvent) -> set[str]:
    return {
        rule.id
        for record in read_records(event)
        for rule in all_rules()
        if record.kind in rule.trees and compile_node(rule.trees[record.kind])(record)
    }


def test_whoever_is_not_asked_would_have_said_no() -> None:
    rules = Ruleset(all_rules())
    met = 0
    for event in (*everything(), *(event for _, event, *_ in CONSTRUCTS)):
        found = {rule.id for rule in rules.match(event)}
        assert found == asked_one_by_one(event), event.raw_message
        met += len(found)
    assert met > 100


def test_where_the_search_for_all_texts_cannot_be_made_every_rule_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "_PATTERNS_BYTES", 1_000)
    rules = Ruleset(all_rules())
    for event in everything()[::7]:
        found = rules.match(event)
        assert {rule.id for rule in found} == asked_one_by_one(event)
        assert len({rule.id for rule in found}) == len(found)


MESSAGES = [event.raw_message for event in everything()] + [event.raw_message for _, event, *_ in CONSTRUCTS]
PIECES = st.sampled_from(MESSAGES) | st.text(max_size=30) | st.sampled_from(
    ['"', " ", "ALICE", "Straße", "ſ", "İ", "Σ", "\ud800", "\0", "\n", "NoProfile", "/etc/sudoers", " command: "]
)  # fmt: skip


@given(
    text=st.lists(PIECES, min_size=1, max_size=4).map("".join), os_type=st.sampled_from((*OS_TYPES, "OTHER", "")),
    event_type=st.sampled_from(EVENT_TYPES), swapped=st.booleans(), timestamp=st.text(max_size=30),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_no_event_raises_and_none_is_overlooked(
    text: str, os_type: str, event_type: str, swapped: bool, timestamp: str
) -> None:
    event = raw_event(os_type, text.swapcase() if swapped else text, event_type, timestamp=timestamp)
    assert {rule.id for rule in Ruleset(all_rules()).match(event)} == asked_one_by_one(event)
    own_rules_once().match(event)


@cache
def own_rules_once() -> Ruleset:
    return own_rules()


def test_a_letter_that_is_folded_into_several_is_found() -> None:
    event = windows_event(4625, TargetUserName="STRASSE", LogonType="3")
    assert Ruleset([plain(SECURITY, "sel: {TargetUserName|contains: straße}")]).match(event)


@pytest.mark.parametrize("how", ["contains: 'a'", "re: '(a+)+$'", "endswith: 'a*a?a'", "re|i: '(.*)(.*)(.*)[^a]$'"])
def test_a_long_message_costs_no_more_than_its_length_whatever_a_rule_asks(how: str) -> None:
    rules = Ruleset([plain({"product": "linux", "service": "auditd"}, f"sel: {{comm|{how}}}")])

    def ask(text: str) -> None:
        rules.match(raw_event("LINUX", text))

    assert grows_linearly(ask, 'type=SYSCALL msg=audit(1.1:1): comm="', "aa a", 400_000)


def test_the_matcher_holds_nothing_of_pysigma(tmp_path: Path) -> None:
    folder = kept(tmp_path / "sigma")
    code = (
        "import sys; from pathlib import Path; from watch.sigma.match import Ruleset; "
        f"assert len(Ruleset.read(Path({str(folder)!r}))) > 9; "
        "held = {name.partition('.')[0] for name in sys.modules}; "
        "print(sorted(held & {'sigma', 'yaml', 'pyparsing', 'jinja2', 'agents'}))"
    )
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert done.stdout.strip() == "[]"


def test_an_interruption_leaves_whole_files_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted, _ = convert_files(sorted(OWN.glob("*.yml")))
    replaced = os.replace

    def interrupted(source: str, target: str) -> None:
        if len(list((tmp_path / "sigma").glob("*.json"))) == 3:
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path / "sigma", converted)
    assert len(Ruleset.read(tmp_path / "sigma")) == 3
    assert not list((tmp_path / "sigma").glob(".*"))


def test_a_rule_is_removed_by_its_id_or_its_title_and_not_while_it_is_counted(tmp_path: Path) -> None:
    folder = kept(tmp_path / "sigma")
    whole = len(read_plain(folder))
    counting = next(one for one in read_plain(folder) if one.count)
    with pytest.raises(Invalid, match="counts it: remove that one"):
        remove(folder, "A login to Windows failed")
    assert remove(folder, counting.id.upper()) == counting
    remove(folder, "A login to Windows failed")
    with pytest.raises(Invalid, match="there is no rule"):
        remove(folder, "A login to Windows failed")
    assert len(read_plain(folder)) == whole - 2
    assert len(list(folder.iterdir())) == 2 * (whole - 2)
