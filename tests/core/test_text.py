from __future__ import annotations

import io
import logging
import sys

import pytest

from core.text import LineFormatter, printable, put_line

FORGED = "a\n2025-12-03T20:49:50.123Z INFO api: forged\r\x1b[31m\u202e\x9b\u2028"


def test_text_becomes_one_printable_line_of_bounded_length() -> None:
    assert printable("ü 東京") == "ü 東京"
    assert printable("\n\x1b[31m\u202e\ud800") == "\\n\\x1b[31m\\u202e\\ud800"
    assert printable("x" * 1000, 10) == "x" * 10


@pytest.mark.parametrize("fails", [False, True])
def test_a_record_of_a_log_is_one_line_and_a_traceback_is_indented(fails: bool) -> None:
    formatter = LineFormatter("%(asctime)sZ %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    record = logging.makeLogRecord({"name": "api", "msg": "%s", "args": (FORGED,), "created": 0.0})
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__) if fails else None
    first, *others = formatter.format(record).split("\n")
    assert first.startswith("1970-01-01T00:00:00Z api: a\\n2025")
    assert bool(others) == fails
    assert all(line.startswith("    ") for line in others)
    assert all(line.isprintable() for line in (first, *others))


def test_a_console_that_lacks_a_character_gets_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="cp1252", newline="\n") as console:
        monkeypatch.setattr(sys, "stdout", console)
        put_line("grün, 緑")
        assert raw.getvalue() == "grün, \\u7dd1\n".encode("cp1252")
