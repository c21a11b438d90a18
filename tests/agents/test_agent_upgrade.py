"""`heimdall agent upgrade`: which file of the server's is taken, and that no other changes anything."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

from agents import upgrade as upgrading
from agents.compiled import read_origin
from agents.install import DONE, read_version
from agents.upgrade import is_older, upgrade
from api.agent_file import build_agent_file
from core.agent_file import digest, write_sum
from core.errors import HeimdallError
from core.home import Home

OURS = version("heimdall-siem")


def agent_of(number: str) -> bytes:
    """The agent's file, as one of another version would be."""
    changed = io.BytesIO()
    with ZipFile(io.BytesIO(build_agent_file())) as built, ZipFile(changed, "w") as archive:
        for name in built.namelist():
            content = built.read(name)
            if name.startswith("heimdall_siem-") and name.endswith("/METADATA"):
                content = content.replace(f"Version: {OURS}".encode(), f"Version: {number}".encode())
            archive.writestr(name, content)
    return changed.getvalue()


class Installed:
    """A service whose start is all that can be seen of it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.program, self.home = folder / "heimdall-agent.pyz", folder / "home"
        self.started = 0
        Home(self.home).prepare()
        Home(self.home).write_server({"api": url})

    def check(self) -> None:
        pass

    def installed(self) -> bool:
        return True

    @contextlib.contextmanager
    def writing_home(self) -> Iterator[None]:
        yield


class Server:
    """Answers what it is told to, by path."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.asked.append(self.path)
                content = told.answers.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("content-length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def serve(self, content: bytes, named: bytes | None = None) -> None:
        """Serve `content`, and name the SHA-256 of `named`, else its own."""
        self.answers = {
            "/agent.pyz": content,
            "/agent.pyz.sha256": write_sum(content if named is None else named).encode(),
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as started:
        yield started


@pytest.fixture
def service(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """One that is installed, of the version of here."""
    installed = Installed(tmp_path, server.url)
    installed.program.write_bytes(build_agent_file())

    def start(one: Installed) -> int:
        one.started += 1
        return DONE

    monkeypatch.setattr(upgrading, "start", start)
    return installed


def files(service: Installed) -> list[str]:
    return sorted(path.name for path in service.program.parent.iterdir())


def test_the_same_file_is_up_to_date_and_not_fetched(server: Server, service: Installed) -> None:
    server.serve(build_agent_file())
    assert upgrade(service, force=False) == DONE
    assert (server.asked, service.started) == (["/agent.pyz.sha256"], 0)


@pytest.mark.parametrize("number", ["9.9.0", OURS])
def test_a_file_that_is_no_older_is_taken_and_started(server: Server, service: Installed, number: str) -> None:
    server.serve(agent_of(number))
    assert upgrade(service, force=False) == DONE
    assert (read_version(service.program), service.started) == (number, 1)
    assert read_origin(service.program.read_bytes()) == digest(server.answers["/agent.pyz"])
    assert Home(service.home).back_by.exists(), "the agent that is about to end says that it will be back"
    assert service.program.stat().st_mode & 0o777 == 0o755
    assert files(service) == ["heimdall-agent.pyz", "home"]


def test_an_older_one_is_taken_only_by_force(server: Server, service: Installed) -> None:
    server.serve(agent_of("0.0.9"))
    before = service.program.read_bytes()
    assert upgrade(service, force=False) == DONE
    assert (service.program.read_bytes(), service.started) == (before, 0)
    assert upgrade(service, force=True) == DONE
    assert (read_version(service.program), service.started) == ("0.0.9", 1)
    assert upgrade(service, force=True) == DONE
    assert service.started == 1, "it is the server's already, though it was compiled since"


@pytest.mark.parametrize(
    "what", ["half of it", "one bit of it", "no agent", "an agent that fails", "no sum", "no answer", "no server"]
)
def test_whatever_else_comes_changes_nothing(server: Server, service: Installed, what: str) -> None:
    whole = agent_of("9.9.0")
    server.serve(whole)
    if what == "half of it":
        server.serve(whole[: len(whole) // 2], named=whole)
    elif what == "one bit of it":
        server.serve(whole[:-1] + bytes([whole[-1] ^ 1]), named=whole)
    elif what == "no agent":
        server.serve(b"<html>a captive portal</html>")
    elif what == "an agent that fails":
        server.serve(_failing())
    elif what == "no sum":
        server.answers["/agent.pyz.sha256"] = b"<html>a captive portal</html>"
    elif what == "no answer":
        server.answers = {}
    else:
        Home(service.home).write_server({"api": "http://127.0.0.1:1"})
    before = service.program.read_bytes()
    with pytest.raises(HeimdallError):
        upgrade(service, force=False)
    assert (service.program.read_bytes(), service.started) == (before, 0)
    assert files(service) == ["heimdall-agent.pyz", "home"]


def _failing() -> bytes:
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("__main__.py", "import sys; print('heimdall 9.9.0'); sys.exit('a newer Python is needed')")
    return archive.getvalue()


def test_a_file_that_is_damaged_here_is_replaced(server: Server, service: Installed) -> None:
    server.serve(build_agent_file())
    service.program.write_bytes(b"damaged")
    assert upgrade(service, force=False) == DONE
    assert (read_origin(service.program.read_bytes()), service.started) == (digest(build_agent_file()), 1)


def test_without_a_service_there_is_nothing_to_upgrade(service: Installed) -> None:
    os.unlink(service.program)
    with pytest.raises(HeimdallError, match="no agent is installed"):
        upgrade(service, force=False)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("0.1.0", "0.1.1"), ("0.9.0", "0.10.0"), ("1.0", "1.0.1"), ("1.0rc1", "1.0"), ("1.0.dev2", "1.0"), ("", "0.0.1"),
     ("1.0a9", "1.0b1"), ("1.0", "1.0.post1")],
)  # fmt: skip
def test_versions_are_ordered_by_their_numbers(older: str, newer: str) -> None:
    assert is_older(older, newer)
    assert not is_older(newer, older)
    assert not is_older(newer, newer)


def test_zeros_at_the_end_make_no_version_newer() -> None:
    assert not is_older("1.0", "1")
    assert not is_older("1", "1.0.0")
