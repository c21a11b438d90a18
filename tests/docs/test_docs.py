"""The documentation is true: every command, setting, endpoint and event type is in it, and what it names exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.messages import EVENT_TYPES, OS_TYPES
from core.settings import SETTINGS
from tools.document import DOCS, PAGES, ROOT, prose, subcommands, wrong_commands


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_made_of_the_code_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_command_that_a_page_names_exists() -> None:
    assert wrong_commands() == []


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_every_command_is_documented_outside_the_list_of_commands(name: str) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in prose() if page.name != "commands.md")
    assert re.search(rf"`?heimdall {name}\b", pages)


@pytest.mark.parametrize("setting", [setting.name for setting in SETTINGS])
def test_every_setting_is_documented_and_read(setting: str) -> None:
    assert f"`{setting}`" in text_of("docs/settings.md")
    assert setting in text_of("core/settings.py").split("def load")[1]


def test_no_variable_is_read_that_is_no_setting() -> None:
    known = {setting.name for setting in SETTINGS}
    sources = [
        path
        for folder in ("core", "agents", "broker", "store", "ingestor", "api", "heimdall")
        for path in (ROOT / folder).rglob("*.py")
    ]
    named = set(re.findall(r"\b(?:HEIMDALL|SIEM)_[A-Z_]+\b", "\n".join(path.read_text() for path in sources)))
    assert named <= known


def test_every_endpoint_is_documented() -> None:
    script = "import json; from api.app import describe; print(json.dumps(describe()))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    rest = text_of("docs/rest.md")
    for path, methods in json.loads(out)["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in rest


def test_every_event_type_and_kind_of_host_is_documented() -> None:
    rest = text_of("docs/rest.md")
    assert [name for name in (*EVENT_TYPES, *OS_TYPES) if name not in rest] == []


@pytest.mark.parametrize("page", prose(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", text_of("SECURITY.md"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_version_is_the_newest_in_the_changes() -> None:
    version = re.search(r'^version = "(.+)"', text_of("pyproject.toml"), re.MULTILINE)
    assert version is not None
    newest = re.search(r"^## (\d\S*?),? ", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1].rstrip(",") == version[1]


def test_every_fault_test_is_a_guarantee_and_every_guarantee_names_a_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", text_of("docs/guarantees.md")))
    sources = {path.name: path.read_text() for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    del sources["test_faulty_network.py"]  # it holds the proxy to its word, not Heimdall
    assert named == set(re.findall(r"^def (test_\w+)", "\n".join(sources.values()), re.MULTILINE))
