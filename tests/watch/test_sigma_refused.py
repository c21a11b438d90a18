"""What is not converted: with the rule's title and a reason, whatever a file holds, and without harm to the rest."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from watch_sigma import PROCESSES, SECURITY, plain

from core.errors import Invalid
from watch.sigma.collect import convert_files

LINUX = {"product": "linux", "service": "auditd"}


@pytest.mark.parametrize(
    ("source", "detection", "reason"),
    [
        ({"product": "windows", "category": "registry_set"}, "sel: {TargetObject: x}", "no agent collects anything"),
        ({"product": "windows", "service": "sysmon"}, "sel: {EventID: 1}", "product windows, service sysmon"),
        ({"product": "aws", "service": "cloudtrail"}, "sel: {a: x}", "no agent collects anything"),
        ({"product": "linux", "service": "clamav"}, "sel: [x]", "no agent collects anything"),
        ({"product": "linux", "category": "file_event"}, "sel: {TargetFilename: x}", "no agent collects anything"),
        (SECURITY, "sel: {EventID: 4663, ObjectName: x}", "no agent collects such records (EventID 4663)"),
        (SECURITY, "sel: {EventID: 4624, LogonType: 9}", "no agent collects such records"),
        (LINUX, "sel: {type: PATH, name: /etc/shadow}", "no agent collects such records (type PATH)"),
        (LINUX, "sel: {type: SYSCALL, SYSCALL: finit_module}", "no agent collects such records"),
        (PROCESSES, "sel: {ParentCommandLine: x}", "no agent tells ParentCommandLine"),
        (PROCESSES, "sel: {Image: x, Hashes|contains: y}", "no agent tells Hashes"),
        (PROCESSES, "{sel: {Image: x}, not_this: {IntegrityLevel: System}, condition: sel and not not_this}",
         "no agent tells IntegrityLevel"),
        (PROCESSES, "sel: {OriginalFileName: null}", "no agent tells OriginalFileName"),
        (PROCESSES, "sel: {Image: x, CommandLine: null}", "its absence is never certain"),
        (SECURITY, "{sel: {EventID: 4625}, condition: %s sel}" % ("not " * 101), "more than 100 levels deep"),
        (PROCESSES, "sel: {Image|fieldref: OriginalFileName}", "no agent tells OriginalFileName"),
        (SECURITY, "sel: {EventID: 4625, IpAddress|expand: '%known%'}", "placeholder"),
        (SECURITY, "sel: {TargetUserName|foo: x}", "it is no rule"),
        (SECURITY, "sel: {TargetUserName|re: '(?=a)b'}", "invalid perl operator: (?="),
        (SECURITY, "sel: {TargetUserName|re: '(a)\\1'}", "invalid escape sequence"),
        (SECURITY, "sel: {TargetUserName|re: '(('}", "missing )"),
        (SECURITY, "sel: {TargetUserName|re: '(a{1,900}){1,900}'}", "invalid repetition size"),
        (SECURITY, "sel: {TargetUserName|hour: 3}", "not supported"),
        (SECURITY, "sel: {IpAddress|cidr: 192.0.2.1/24}", "it is no rule"),
        (SECURITY, "{sel: {EventID: 4625}, condition: nothing}", "it is no rule"),
        (SECURITY, "{sel: {EventID: 4625}, condition: sel and}", "it is no rule"),
        (SECURITY, "{sel: {EventID: 4625}, condition: 'sel | count() > 5'}", "it is no rule"),
        (SECURITY, "{sel: {EventID: 4625}, condition: ''}", "it is no rule"),
        (SECURITY, "sel: ['']", "empty word"),
        (SECURITY, "sel: {TargetUserName|utf16: x}", "can never fire"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_converted_is_refused_with_the_reason(
    source: dict[str, str], detection: str, reason: str
) -> None:
    with pytest.raises(Invalid) as refused:
        plain(source, detection)
    assert reason in str(refused.value)


def test_an_alternative_that_no_agent_tells_is_left_out_and_named() -> None:
    rule = plain(PROCESSES, r"sel: [{Image|endswith: '\net.exe'}, {OriginalFileName: net.exe}]")
    assert rule.untold == ["OriginalFileName"]
    assert "OriginalFileName" not in str(rule.trees)


def test_an_exception_that_no_agent_tells_in_part_is_taken_to_hold() -> None:
    detection = "{sel: {Image: x}, not_this: {CommandLine: y, CurrentDirectory: z}, condition: sel and not not_this}"
    without = plain(PROCESSES, detection.replace(", CurrentDirectory: z", ""))
    assert plain(PROCESSES, detection).trees == without.trees
    assert plain(PROCESSES, detection).untold == ["CurrentDirectory"]


RULE = """
title: {title}
logsource: {{product: windows, service: security}}
detection: {{a: {{EventID: 4625}}, condition: a}}
"""
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it holds no rule"),
        (b"\x00\x01\x02\xff\xfe", "it is no text in UTF-8"),
        (b"a: b: c", "it is no YAML"),
        (b"- a\n- b", "it holds no mapping"),
        (b"just words", "it holds no mapping"),
        (BOMB.encode(), "aliases"),
        (b"a: &a [*a]", "its YAML is refused"),
        (b"a: &a\n  b: *a", "its YAML is refused"),
        (b"a: 1\na: 2", "Duplicate key"),
        (b"!!python/object/apply:os.system [id]", "it is no YAML"),
        (b"[" * 100_000, "it is no YAML"),
        (b"{a: " * 5_000, "levels deep"),
        (b"#" * 2_000_000, "it is larger than 1024 KiB"),
        (b"a: 1\n---\n" * 1_500, "more than 1000 documents"),
        (b"? [a, b]\n: c", "it is no YAML"),
        (b"title: x\ndate: 99999-99-99", "it is no rule"),
    ],
)
def test_a_file_of_anything_is_refused_and_the_others_are_converted(tmp_path: Path, raw: bytes, reason: str) -> None:
    (tmp_path / "a.yml").write_bytes(raw)
    (tmp_path / "b.yml").write_text(RULE.format(title="good"))
    converted, refused = convert_files(sorted(tmp_path.glob("*.yml")))
    assert [one.plain.title for one in converted] == ["good"]
    assert refused
    assert all(one.file.name == "a.yml" for one in refused)
    assert reason in refused[0].reason, refused[0].reason


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": "\ud800"}, "it is no YAML"),
        ({"id": "../../etc/passwd"}, "no UUID"),
        ({"id": 5}, "UUID"),
        ({"level": "worst"}, "it is no rule"),
        ({"logsource": None}, "it is no rule"),
        ({"logsource": {}}, "it is no rule"),
        ({"detection": None}, "it is no rule"),
        ({"detection": {"condition": "a"}}, "it is no rule"),
        ({"detection": {"a": {}, "condition": "a"}}, "it is no rule"),
        ({"detection": {"a": {"EventID": {"x": 1}}, "condition": "a"}}, "it is no rule"),
        ({"filter": {}}, "a filter of other rules is not converted"),
        ({"action": "global"}, "the older form"),
    ],
)
def test_a_rule_of_anything_is_refused(tmp_path: Path, told: dict[str, object], reason: str) -> None:
    whole = {"title": "x", "logsource": SECURITY, "detection": {"a": {"EventID": 4625}, "condition": "a"}}
    (tmp_path / "a.yml").write_text(yaml.safe_dump(whole | told))
    converted, (refused,) = convert_files([tmp_path / "a.yml"])
    assert converted == []
    assert reason in refused.reason


def test_two_rules_of_one_id_are_one_and_the_other_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text(RULE.format(title="same"))
    converted, (refused,) = convert_files(sorted(tmp_path.glob("*.yml")))
    assert [one.file.name for one in converted] == ["a.yml"]
    assert "has a rule of the same id" in refused.reason


@pytest.mark.parametrize("condition", ["(" * 400 + "a" + ")" * 400, "not " * 3000 + "a", " and ".join(["a"] * 3000)])
def test_a_deep_condition_ends_nothing(tmp_path: Path, condition: str) -> None:
    (tmp_path / "a.yml").write_text(
        yaml.safe_dump(
            {"title": "x", "logsource": SECURITY, "detection": {"a": {"EventID": 4625}, "condition": condition}}
        )
    )
    converted, refused = convert_files([tmp_path / "a.yml"])
    assert len(converted) + len(refused) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["*", "?", "\\*", "%a%", "192.0.2.0/24", "(a", "-a", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["EventID", "Image", "CommandLine|contains", "a|re", "|all", "x|cidr", "a|base64offset|contains", "b|windash",
         "c|gt", "d|exists", "e|fieldref", "f|expand", "g|utf16"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    detection=st.dictionaries(st.sampled_from(["sel", "a", "b", "condition", "timeframe"]), VALUES, max_size=4),
    condition=st.sampled_from(["sel", "not sel", "1 of them", "all of *", "a or b", "(", "", "sel and not 1 of b*"]),
    source=st.sampled_from([SECURITY, PROCESSES, LINUX, {"product": "linux"}, {"product": "macos"}]),
)
@settings(max_examples=300, deadline=None)
def test_no_detection_raises_anything_but_a_reason(
    detection: dict[str, object], condition: str, source: dict[str, str]
) -> None:
    with suppress(Invalid):
        plain(source, yaml.safe_dump({"condition": condition} | detection))
