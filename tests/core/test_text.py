from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from heimdall_home import outside

from core.text import JsonFormatter, LineFormatter, printable, put_line

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


def test_a_record_in_json_is_one_object_on_one_line() -> None:
    record = logging.makeLogRecord({"name": "api", "msg": "%s", "args": (FORGED,), "created": 1.25, "msecs": 250.0})
    record.levelname = "WARNING"
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert told.pop("exception").endswith(f"ValueError: {FORGED}")
    assert told == {"time": "1970-01-01T00:00:01.250Z", "level": "WARNING", "logger": "api", "message": FORGED}


@pytest.mark.parametrize(("words", "setting"), [(["--log", "json"], "text"), ([], "json")])
def test_a_command_logs_in_json_when_it_is_told(tmp_path: Path, words: list[str], setting: str) -> None:
    environment = {**outside(), "HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_LOG": setting}
    command = [sys.executable, "-m", "heimdall", *words, "setup", "--broker-folder", str(tmp_path / "broker")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert [json.loads(line)["logger"] for line in done.stderr.splitlines()] == ["setup"]


def test_a_console_that_lacks_a_character_gets_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="cp1252", newline="\n") as console:
        monkeypatch.setattr(sys, "stdout", console)
        put_line("grün, 緑")
        assert raw.getvalue() == "grün, \\u7dd1\n".encode("cp1252")
