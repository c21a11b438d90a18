"""docs/sigma.md names what can be asked of each kind of record, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from watch.sigma.documents import DEEPEST, LARGEST_FILE_BYTES
from watch.sigma.kinds import AUDIT, LINUX_SERVICES, OWN_FIELDS, WINDOWS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "sigma.md").read_text()


def rows(first: str) -> dict[str, set[str]]:
    """The rows of the table whose head begins with `first`: the words in code of the second column, by the first."""
    table = PAGE.split(f"\n| {first} |")[1].split("\n\n")[0]
    return {
        name: set(re.findall(r"`([^`]+)`", told))
        for names, told in re.findall(r"^\| ([^|]+) \| ([^|]*) \|$", table, re.MULTILINE)
        for name in names.split(", ")
        if name.strip("-")
    }


def test_each_event_of_windows_is_named_with_its_fields() -> None:
    told = {int(name.split()[0]): fields for name, fields in rows("event of Windows").items() if name[0].isdecimal()}
    assert told == {number: set(names.split()) for number, (_, _, names) in WINDOWS.items()}


def test_each_audit_record_is_named_with_its_fields() -> None:
    told = {name: fields for name, fields in rows("audit record").items() if name.isupper()}
    assert told == {name: set(fields.split()) or {"a0", "a1"} for name, fields in AUDIT.items()}


def test_the_events_own_fields_the_services_and_the_limits_are_named() -> None:
    for name in OWN_FIELDS:
        assert f"`{name}`" in PAGE
    for name in LINUX_SERVICES:
        assert re.search(rf"product linux, service [^|]*\b{name}\b", PAGE)
    assert f"{LARGEST_FILE_BYTES // 1024**2} MiB" in PAGE
    assert f"{DEEPEST} levels" in PAGE
