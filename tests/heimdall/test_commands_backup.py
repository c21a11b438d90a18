"""`heimdall backup` and `heimdall restore`, typed as an operator would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from heimdall_home import outside
from waiting import wait_until

from core.clock import utc_now
from core.home import Home
from core.ids import uuid7
from core.messages import Event
from core.spool import Spool
from heimdall.archive import ArchiveWriter, Manifest
from store import WriteBatch, open_store
from store.migrations import HEAD
from store.snapshot import TableTold, Told

Done = subprocess.CompletedProcess[str]

# a command that stops, and says so by the file `held`, before a function is run, or after it
HOLDING = """
import importlib, signal, sys, time
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
where, name, when, held, *words = sys.argv[1:]
module = importlib.import_module(where)
owner, _, attribute = name.rpartition(".")
place = getattr(module, owner) if owner else module
real = getattr(place, attribute)

def hold(*given, **named):
    if when == "after":
        real(*given, **named)
    Path(held).touch()
    while True:
        time.sleep(0.1)

setattr(place, attribute, hold)
from heimdall.main import main
raise SystemExit(main(words))
"""


class Site:
    """Two homes, each with a database of its own: one with something in it, one with nothing."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.folder, self.urls = folder, urls
        self.file = folder / "backup"

    def environment(self, home: str) -> dict[str, str]:
        set_url = {"HEIMDALL_DATABASE_URL": self.urls[home]} if home in self.urls else {}
        return {**outside(), "HEIMDALL_HOME": str(self.folder / home), **set_url}

    def typed(self, home: str, *words: str, **environment: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "heimdall", *words], env={**self.environment(home), **environment},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    @contextlib.contextmanager
    def held(self, home: str, where: tuple[str, str, str], *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that is held at a place of the code."""
        mark = self.folder / "held"
        mark.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING, *where, str(mark), *words], env=self.environment(home),
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: mark.exists() or process.poll() is not None, "it is held")
            assert process.poll() is None
            yield process
        finally:
            process.kill()
            process.wait()

    def fill(self) -> None:
        assert self.typed("home", "setup").returncode == 0
        assert self.typed("home", "keys", "--make", "curl", "--scope", "read").returncode == 0
        home = Home(self.folder / "home")
        home.rules.write_text("[detection]\n")
        home.sigma.mkdir()
        (home.sigma / "0f06a3a5-6a09-413f-8743-e6cf35561297.json").write_text("{}")
        store = open_store(self.urls.get("home", f"sqlite:///{home.path / 'mini_siem.db'}"))
        store.write(WriteBatch([an_event(number) for number in range(500)], utc_now()))
        store.close()

    def files(self, home: str) -> dict[str, bytes]:
        """What a backup has of a home's files."""
        path = self.folder / home
        left_out = ("mini_siem.db", "broker/mosquitto.conf", "database/", "spool/")
        return {
            name: one.read_bytes()
            for one in path.rglob("*")
            if one.is_file() and not (name := str(one.relative_to(path))).startswith(left_out)
        }


def an_event(number: int) -> Event:
    return Event(uuid7(), utc_now(), "web-01", "LINUX", "LOGIN_FAIL", 3, f"line {number}", "203.0.113.7", "admin")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        urls = {}
        if request.param == "postgresql":
            from postgresql_server import database

            urls = {home: stack.enter_context(database()) for home in ("home", "other")}
        made = Site(tmp_path, urls)
        made.fill()
        yield made


@pytest.fixture
def plain(tmp_path: Path) -> Site:
    """For what does not depend on the database."""
    made = Site(tmp_path, {})
    made.fill()
    return made


@pytest.fixture
def bare(tmp_path: Path) -> Site:
    """For backups that somebody else has made."""
    return Site(tmp_path, {})


def secret_file(folder: Path, text: str) -> str:
    path = folder / "passphrase"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_backup_restored_into_an_empty_home_is_that_home(site: Site) -> None:
    made = site.typed("home", "backup", str(site.file), "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["tables"]["logs"], told["schema"], told["encrypted"], told["events"]) == (500, HEAD, False, True)
    assert told["bytes"] == site.file.stat().st_size
    assert stat.S_IMODE(site.file.stat().st_mode) == 0o600
    checked = site.typed("other", "restore", str(site.file), "--check", "--json")
    assert json.loads(checked.stdout) == {**told, "restored": False}
    assert not (site.folder / "other").exists()
    restored = site.typed("other", "restore", str(site.file))
    assert (restored.returncode, "`heimdall up` goes on with it" in restored.stderr) == (0, True), restored.stderr
    assert site.files("other") == site.files("home")
    assert {"api-key", "rules.toml", "broker/dynsec.json", "credentials/ops"} < {*told["files"]}
    for path in (site.folder / "other", *(site.folder / "other").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert site.typed("other", "keys", "--json").stdout == site.typed("home", "keys", "--json").stdout
    assert sorted(path.name for path in site.folder.iterdir() if path.name.startswith("backup")) == ["backup"]


def test_an_encrypted_backup_opens_with_its_passphrase_alone(plain: Site) -> None:
    file, words = str(plain.file), secret_file(plain.folder, "correct horse\n")
    assert plain.typed("home", "backup", file, "--passphrase-file", words).returncode == 0
    key = (plain.folder / "home" / "api-key").read_bytes()
    assert key not in plain.file.read_bytes()
    for given, says in (
        ({}, "it is encrypted: name the file of its passphrase with --passphrase-file"),
        ({"HEIMDALL_BACKUP_PASSPHRASE": "battery staple"}, "the passphrase is wrong"),
    ):
        refused = plain.typed("other", "restore", file, **given)
        assert (refused.returncode, refused.stderr) == (2, f"heimdall restore: {file}: {says}\n")
    assert not (plain.folder / "other").exists()
    restored = plain.typed("other", "restore", file, HEIMDALL_BACKUP_PASSPHRASE="correct horse")
    assert restored.returncode == 0, restored.stderr
    assert (plain.folder / "other" / "api-key").read_bytes() == key


@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [(0o644, "words", "may be read by others"), (0o600, "\n", "is empty"), (0o600, None, "cannot be read")],
)
def test_a_passphrase_that_is_none_is_refused(plain: Site, mode: int, text: str | None, says: str) -> None:
    path = plain.folder / "words"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    refused = plain.typed("home", "backup", str(plain.file), "--passphrase-file", str(path))
    assert (refused.returncode, says in refused.stderr, plain.file.exists()) == (2, True, False)


def test_what_cannot_be_backed_up_is_said(plain: Site) -> None:
    plain.file.write_text("mine")
    taken = plain.typed("home", "backup", str(plain.file))
    assert (taken.returncode, "is there already, and is not written over" in taken.stderr) == (1, True)
    assert plain.file.read_text() == "mine"
    nowhere = plain.typed("home", "backup", str(plain.folder / "no" / "backup"))
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (1, True)
    nothing = plain.typed("other", "backup", str(plain.folder / "b"))
    assert (nothing.returncode, "nothing to back up" in nothing.stderr) == (2, True)
    assert not (plain.folder / "other").exists()
    (plain.folder / "empty").mkdir()
    nothing = plain.typed("empty", "backup", str(plain.folder / "b"))
    assert (nothing.returncode, "nothing to back up" in nothing.stderr) == (2, True)
    assert sorted(path.name for path in plain.folder.iterdir()) == ["backup", "empty", "home"]


def test_ctrl_c_leaves_nothing_and_a_killed_backup_is_cleaned_up_by_the_next(site: Site) -> None:
    before = sorted(site.folder.iterdir())
    end = ("heimdall.archive", "ArchiveWriter.finish", "after")
    with site.held("home", end, "backup", str(site.file)) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
    with site.held("home", end, "backup", str(site.file)) as process:
        assert (site.folder / "backup.partial").stat().st_mode & 0o777 == 0o600
        beside = site.typed("home", "backup", str(site.file))
        assert (beside.returncode, f"is in use by process {process.pid}" in beside.stderr) == (1, True), beside.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    (site.folder / "held").unlink()
    assert sorted(site.folder.iterdir()) == before
    with site.held("home", end, "backup", str(site.file)) as process:
        process.kill()
    (site.folder / "held").unlink()
    assert not site.file.exists()
    assert site.typed("home", "backup", str(site.file)).returncode == 0
    assert sorted(site.folder.iterdir()) == sorted([*before, site.file])


def test_a_home_or_a_database_with_something_in_it_is_left_alone(site: Site) -> None:
    assert site.typed("home", "backup", str(site.file)).returncode == 0
    refused = site.typed("home", "restore", str(site.file))
    assert (refused.returncode, "is not empty, it has api-key" in refused.stderr) == (1, True), refused.stderr
    home = Home(site.folder / "home")
    url = site.urls.get("home", f"sqlite:///{home.path / 'mini_siem.db'}")
    refused = site.typed("other", "restore", str(site.file), "--to-database", url)
    assert refused.returncode == 1
    assert "is there already" in refused.stderr or "is not empty, it has activity" in refused.stderr
    assert not (site.folder / "other").exists()
    # folders alone are nothing
    Home(site.folder / "other").prepare()
    assert site.typed("other", "restore", str(site.file)).returncode == 0


def test_a_backup_of_one_kind_does_not_go_into_the_other(plain: Site) -> None:
    assert plain.typed("home", "backup", str(plain.file)).returncode == 0
    url = "postgresql://heimdall:hidden@127.0.0.1:1/heimdall"
    refused = plain.typed("other", "restore", str(plain.file), "--to-database", url)
    assert (refused.returncode, "hidden" in refused.stderr) == (2, False)
    assert "`heimdall copy` then takes it from one kind to the other" in refused.stderr


def test_a_restore_that_is_killed_is_cleaned_up_by_the_next(site: Site) -> None:
    assert site.typed("home", "backup", str(site.file)).returncode == 0
    module, kind = ("postgres_copy", "PostgreSQLTarget") if site.urls else ("sqlite_copy", "SQLiteTarget")
    with site.held("other", (f"store.{module}", f"{kind}.finish", "after"), "restore", str(site.file)) as process:
        for command in ("keys", "backup"):
            refused = site.typed("other", command, *([str(site.folder / "b")] if command == "backup" else []))
            assert (refused.returncode, "a backup is being restored there" in refused.stderr) == (1, True)
        beside = site.typed("other", "restore", str(site.file))
        assert (beside.returncode, f"is in use by process {process.pid}" in beside.stderr) == (1, True), beside.stderr
    assert (site.folder / "other" / ".restoring").exists()
    assert not (site.folder / "other" / "api-key").exists()
    again = site.typed("other", "restore", str(site.file))
    assert again.returncode == 0, again.stderr
    assert site.files("other") == site.files("home")
    assert site.typed("other", "keys", "--json").stdout == site.typed("home", "keys", "--json").stdout


def test_ctrl_c_leaves_a_restore_undone(site: Site) -> None:
    assert site.typed("home", "backup", str(site.file)).returncode == 0
    module, kind = ("postgres_copy", "PostgreSQLTarget") if site.urls else ("sqlite_copy", "SQLiteTarget")
    with site.held("other", (f"store.{module}", f"{kind}.finish", "after"), "restore", str(site.file)) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert not (site.folder / "other").exists()
    assert site.typed("other", "restore", str(site.file)).returncode == 0


def test_killed_while_things_are_put_in_their_places_nothing_starts_there(site: Site) -> None:
    assert site.typed("home", "backup", str(site.file)).returncode == 0
    with site.held("other", ("heimdall.restore", "sync_folder", "before"), "restore", str(site.file)):
        pass
    placed = [path.name for path in (site.folder / "other").iterdir()]
    assert ".restoring" in placed
    assert len(placed) > 1
    for words in (("keys",), ("up",), ("setup",)):
        refused = site.typed("other", *words)
        assert (refused.returncode, "was stopped before its end" in refused.stderr) == (1, True), refused.stderr
    refused = site.typed("other", "restore", str(site.file))
    assert (refused.returncode, "remove what is in that folder" in refused.stderr) == (1, True), refused.stderr


def test_what_waits_in_the_apis_spool_is_in_the_backup_under_a_new_id(plain: Site) -> None:
    homes = [Home(plain.folder / name) for name in ("home", "other")]
    spool = Spool(homes[0].gateway_spool)
    plain_file = str(plain.file) + "-empty"
    assert "spool/gateway.db" not in json.loads(plain.typed("home", "backup", plain_file, "--json").stdout)["files"]
    spool.append([an_event(number) for number in range(5)])
    told = json.loads(plain.typed("home", "backup", str(plain.file), "--json").stdout)
    assert "spool/gateway.db" in told["files"]
    assert plain.typed("other", "restore", str(plain.file)).returncode == 0
    restored = Spool(homes[1].gateway_spool)
    assert (restored.id != spool.id, len(restored), restored.last_position()) == (True, 5, 5)
    spool.close()
    restored.close()


def test_on_a_terminal_it_says_how_far_it_is(plain: Site) -> None:
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "heimdall", "backup", str(plain.file)], env=plain.environment("home"), stderr=its
    )
    os.close(its)
    said = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the process is
        while piece := os.read(mine, 65_536):
            said += piece
    os.close(mine)
    assert process.wait(30) == 0
    assert b"%" in said
    assert b"it is not encrypted" in said


def hostile(file: Path, *names: str, **changed: Any) -> None:
    """A backup that fits its manifest, and has parts of these names."""
    told = Told("sqlite", HEAD, events=True, tables=[TableTold("logs", 0)])
    manifest = Manifest(1, "0.1.0", "2025-12-03T20:49:50.123456Z", "vm", told)
    with file.open("wb") as sink:
        archive = ArchiveWriter(sink)
        manifest.parts = [archive.add(name, 4, iter([b"evil"])) for name in names]
        archive.finish(msgspec.structs.replace(manifest, **changed) if changed else manifest)


@pytest.mark.parametrize(
    "name",
    [
        "home/../evil", "home//etc/evil", "/etc/evil", "home/credentials/../../evil", "home/credentials/..", "evil",
        "home/credentials/.hidden", "home/credentials/a/b", "home/mini_siem.db", "home/spool/agent.db", "home/lock",
        "home/credentials/a\\b", "home/credentials/", "home/.restoring/lock", "home/logs/x", "home/sigma/\x1b[2J",
    ],
)  # fmt: skip
def test_a_part_that_belongs_nowhere_is_refused(bare: Site, name: str) -> None:
    hostile(bare.file, name)
    before = sorted(bare.folder.rglob("*"))
    for words in (("--check",), ()):
        refused = bare.typed("other", "restore", str(bare.file), *words)
        assert (refused.returncode, "belongs nowhere: nothing of it is restored" in refused.stderr) == (2, True)
        assert "\x1b" not in refused.stderr
    assert sorted(bare.folder.rglob("*")) == before


def test_a_part_that_is_there_twice_is_refused(bare: Site) -> None:
    hostile(bare.file, "home/api-key", "home/rules.toml", "home/api-key")
    refused = bare.typed("other", "restore", str(bare.file))
    assert (refused.returncode, "a part twice" in refused.stderr) == (2, True)


def test_a_database_that_is_none_is_refused_and_leaves_nothing(bare: Site) -> None:
    hostile(bare.file, "database/mini_siem.db", "home/api-key")
    refused = bare.typed("other", "restore", str(bare.file))
    assert (refused.returncode in (1, 2), "Traceback" in refused.stderr) == (True, False), refused.stderr
    assert "no SQLite database" in refused.stderr
    assert not (bare.folder / "other").exists()


def test_a_link_in_a_tar_is_refused(bare: Site) -> None:
    with tarfile.open(bare.file, "w:gz") as tar:
        told = tarfile.TarInfo("home/credentials")
        told.type, told.linkname = tarfile.SYMTYPE, str(bare.folder)
        tar.addfile(told)
        inside = tarfile.TarInfo("home/credentials/evil")
        inside.size = 4
        tar.addfile(inside, io.BytesIO(b"evil"))
    refused = bare.typed("other", "restore", str(bare.file))
    assert (refused.returncode, "is no plain file: nothing of it is restored" in refused.stderr) == (2, True)
    assert not (bare.folder / "evil").exists()
