"""The agent's file compiled for one Python: what that Python takes of it, and what another does."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from machine import oldest_python

from agents.compiled import compile_modules, read_origin
from api.agent_file import build_agent_file
from core.agent_file import digest
from core.errors import Invalid

WHERE = "import sys; sys.path.insert(0, sys.argv[1]); from agents import run; print(run.__file__)"


@pytest.fixture(scope="module")
def served() -> bytes:
    return build_agent_file()


@pytest.fixture
def file(served: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "agent.pyz"
    path.write_bytes(compile_modules(served))
    return path


def say(*words: object) -> str:
    ended = subprocess.run([str(word) for word in words], env={}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_its_python_compiles_nothing_again(file: Path) -> None:
    assert say(sys.executable, "-I", "-S", "-c", WHERE, file) == str(file / "agents" / "run.pyc")
    assert say(sys.executable, "-I", "-S", file, "--version") == f"heimdall {version('heimdall-siem')}"


def test_another_python_takes_the_sources(file: Path) -> None:
    other = oldest_python()
    if say(other, "-c", "import sys; print(*sys.version_info[:2])") == f"{sys.version_info[0]} {sys.version_info[1]}":
        pytest.skip("needs a second Python")
    assert say(other, "-I", "-S", "-c", WHERE, file) == str(file / "agents" / "run.py")
    assert say(other, "-I", "-S", file, "--version") == f"heimdall {version('heimdall-siem')}"


def test_it_is_the_same_however_often_it_is_compiled(served: bytes) -> None:
    once = compile_modules(served)
    assert read_origin(once) == read_origin(served) == digest(served)
    assert compile_modules(once) == once
    assert once.startswith(b"#!/usr/bin/env python3\n")


@pytest.mark.parametrize("damage", ["cut", "not a zip", "empty"])
def test_a_damaged_file_is_refused(damage: str, served: bytes) -> None:
    with pytest.raises(Invalid, match="damaged"):
        compile_modules({"cut": served[:-30], "not a zip": b"x" * 1000, "empty": b""}[damage])
