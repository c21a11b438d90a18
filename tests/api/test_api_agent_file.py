"""`GET /agent.pyz`: how it is served, that it is always the same, and what is in it. What it does: `tests/agents`."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from api_parts import Api
from test_api_process import answers, process
from waiting import free_port, wait_until

from api import agent_file
from tools.document import ROOT

OLDEST = (3, 9)
BUILD = "import sys; from api.agent_file import build_agent_file; sys.stdout.buffer.write(build_agent_file())"


@pytest.fixture(scope="module")
def archive() -> ZipFile:
    return ZipFile(io.BytesIO(agent_file.build_agent_file()))


def test_it_is_sent_to_anyone_as_a_file_whose_etag_is_its_sha_256(lone_api: Api) -> None:
    answer = lone_api.anyone.get("/agent.pyz")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="heimdall-agent.pyz"'
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert lone_api.anyone.get("/agent.pyz").content == answer.content


def test_its_sha_256_is_sent_as_sha256sum_reads_it(lone_api: Api, tmp_path: Path) -> None:
    (tmp_path / "heimdall-agent.pyz").write_bytes(lone_api.anyone.get("/agent.pyz").content)
    told = lone_api.anyone.get("/agent.pyz.sha256")
    assert (told.status_code, told.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    subprocess.run(["sha256sum", "--check", "--strict"], cwd=tmp_path, input=told.content, check=True)


def test_what_make_agent_writes_is_what_is_served(lone_api: Api, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tools.agent_file", tmp_path / "dist"], cwd=ROOT, check=True)
    written = {path.name: path.read_bytes() for path in (tmp_path / "dist").iterdir()}
    assert written == {
        "heimdall-agent.pyz": lone_api.anyone.get("/agent.pyz").content,
        "heimdall-agent.pyz.sha256": lone_api.anyone.get("/agent.pyz.sha256").content,
    }


def test_its_head_is_the_same_without_the_file(lone_api: Api) -> None:
    head, answer = lone_api.anyone.head("/agent.pyz"), lone_api.anyone.get("/agent.pyz")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "content-disposition"):
        assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize("known", ["{}", "W/{}", '"another", {}', "*"])
def test_who_has_it_is_not_sent_it_again(lone_api: Api, known: str) -> None:
    etag = lone_api.anyone.head("/agent.pyz").headers["etag"]
    answer = lone_api.anyone.get("/agent.pyz", headers={"if-none-match": known.format(etag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)


@pytest.mark.parametrize("known", ['"another"', "", ",", "nonsense"])
def test_who_has_another_is_sent_it(lone_api: Api, known: str) -> None:
    assert lone_api.anyone.get("/agent.pyz", headers={"if-none-match": known}).status_code == 200


def test_an_api_process_serves_what_is_built_here(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port) as api:
        wait_until(lambda: answers(port), "it answers")
        served = httpx.get(f"http://127.0.0.1:{port}/agent.pyz").content
        assert api.poll() is None
    assert served == agent_file.build_agent_file()


def test_a_copy_elsewhere_with_other_times_gives_the_same_bytes(tmp_path: Path) -> None:
    for package in ("core", "agents", "mqtt", "store", "api", "heimdall"):
        shutil.copytree(ROOT / package, tmp_path / package, copy_function=shutil.copyfile)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "7"}
    script = f"import core; assert core.__file__.startswith({str(tmp_path)!r}); {BUILD}"
    built = subprocess.run([sys.executable, "-c", script], env=environment, cwd="/", capture_output=True, check=True)
    assert built.stdout == agent_file.build_agent_file()


@pytest.mark.parametrize(("what", "key"), [("PACKAGES", "the package"), ("DISTRIBUTIONS", "the licences of")])
def test_a_part_that_is_not_there_is_a_problem_that_names_it(
    lone_api: Api, monkeypatch: pytest.MonkeyPatch, what: str, key: str
) -> None:
    whole = getattr(agent_file, what)
    monkeypatch.setattr(agent_file, what, (*whole, "no_such_part"))
    answer = lone_api.anyone.get("/agent.pyz")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert f"{key} no_such_part cannot be found" in answer.json()["detail"]
    # the failure is not kept
    monkeypatch.setattr(agent_file, what, whole)
    assert lone_api.anyone.get("/agent.pyz").status_code == 200


def test_it_holds_the_licences_and_nothing_of_the_server(archive: ZipFile) -> None:
    names = archive.namelist()
    assert names == sorted(names)
    ours, pahos = f"heimdall_siem-{version('heimdall-siem')}.dist-info", f"paho_mqtt-{version('paho-mqtt')}.dist-info"
    for paper in (f"{ours}/METADATA", f"{ours}/licenses/LICENSE", f"{pahos}/METADATA",
                  f"{pahos}/licenses/edl-v10", f"{pahos}/licenses/epl-v20"):  # fmt: skip
        assert archive.read(paper)
    assert {name.partition("/")[0] for name in names} == {
        "__main__.py", "agents", "core", "heimdall", "paho", ours, pahos,
    }  # fmt: skip


def test_its_sources_are_the_language_of_the_oldest_python(archive: ZipFile) -> None:
    sources = [name for name in archive.namelist() if name.endswith(".py")]
    assert "heimdall/agent.py" in sources
    for name in sources:
        ast.parse(archive.read(name), name, feature_version=OLDEST)
    with pytest.raises(SyntaxError):
        ast.parse("match 1:\n    case 1: pass", feature_version=OLDEST)


def test_its_imports_are_in_it_or_in_the_standard_library(archive: ZipFile) -> None:
    names = archive.namelist()
    known = {*sys.stdlib_module_names, "agents", "core", "paho"}
    # what paho-mqtt tries to import besides is optional there
    for name in (name for name in names if name.endswith(".py") and not name.startswith("paho/")):
        for node in ast.walk(ast.parse(archive.read(name))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                is_there = module.partition(".")[0] in known or f"{module.replace('.', '/')}.py" in names
                assert is_there, f"{name} imports {module}"
