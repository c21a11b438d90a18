"""`heimdall backup`: one file that has all that is needed to go on elsewhere, made while everything runs."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from core import lock
from core.clock import rfc3339, utc_now
from core.errors import Conflict, Invalid, Unavailable
from core.home import Home, sync_folder
from core.settings import Settings
from core.text import printable
from heimdall.archive import DATABASE, FORMAT, HOME, ArchiveWriter, Manifest
from heimdall.kept_files import GATEWAY_SPOOL, copy_pending, read_files
from heimdall.progress import progress
from store.backup import open_snapshot
from store.snapshot import Snapshot

_ATTEMPTS = 10
_CHUNK_BYTES = 1024 * 1024


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Write the backup, or nothing. Raises `Invalid`, `Conflict` when its file is there already, and `Unavailable`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop it cleans up, as after Ctrl-C
    passphrase = read_passphrase(settings, options)
    home, file = Home(settings.home), Path(options.file).absolute()
    if not home.path.is_dir():
        raise Invalid(f"HEIMDALL_HOME {home.path} does not exist: nothing to back up")
    if home.restoring.exists():
        raise Unavailable(f"HEIMDALL_HOME {home.path}: a backup is being restored there, or that was stopped")
    with progress() as say, _made_whole(file) as (partial, scratch):
        manifest = _write(settings, home, partial, scratch, passphrase, say, events=not options.without_events)
    told = summarize(manifest, file, encrypted=bool(passphrase))
    if options.json:
        print(json.dumps(told))
        return 0
    print_summary(told)
    if not passphrase:
        print(
            "it is not encrypted, and has keys and passwords in it: keep it as you keep the home, or make one with "
            "--passphrase-file",
            file=sys.stderr,
        )
    return 0


def _write(
    settings: Settings,
    home: Home,
    partial: BinaryIO,
    scratch: Path,
    passphrase: str,
    say: Callable[[str], None],
    *,
    events: bool,
) -> Manifest:
    """First what waits in the spool, then the database: what leaves the one meanwhile is in the other."""
    for _ in range(_ATTEMPTS):
        spool, files = copy_pending(home, scratch), read_files(home)
        with open_snapshot(settings.database_url, scratch, events=events) as snapshot:
            # who is enrolled stands in the database and at the broker: both shall be of one moment
            if read_files(home) == files:
                return _write_parts(snapshot, files, spool, ArchiveWriter(partial, passphrase), say)
    raise Unavailable(f"the files in {home.path} change again and again: try it later")


def _write_parts(
    snapshot: Snapshot, files: dict[str, bytes], spool: Path | None, archive: ArchiveWriter, say: Callable[[str], None]
) -> Manifest:
    manifest = Manifest(FORMAT, version("heimdall-siem"), rfc3339(utc_now()), socket.gethostname(), snapshot.told)
    for part in snapshot.take_parts(say):
        name = DATABASE + part.name
        if part.size is None:
            told = archive.add_pieces(name, part.chunks)
        else:
            say(f"compressing {part.size // 1_000_000:,} MB")
            told = archive.add(name, part.size, part.chunks)
        manifest.parts.append(told)
    for path, content in files.items():
        manifest.parts.append(archive.add(HOME + path, len(content), iter([content])))
    if spool is not None:
        manifest.parts.append(archive.add(HOME + GATEWAY_SPOOL, spool.stat().st_size, _read(spool)))
    archive.finish(manifest)
    return manifest


@contextmanager
def _made_whole(file: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """An open file that gets the name `file` at the end, and a folder beside for what is needed until then.

    Nothing of either stays when something is raised; what a killed process left is removed by the next.
    """
    _expect_absent(file)
    partial, scratch = file.with_name(f"{file.name}.partial"), file.with_name(f"{file.name}.partial.d")
    try:
        scratch.mkdir(mode=0o700, exist_ok=True)
        lock.hold(scratch / "lock", f"{partial}, which another `heimdall backup` writes,")
    except OSError as error:
        raise Unavailable(f"{file} cannot be written ({error.strerror}): see who owns its folder") from error
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            yield opened, scratch
            opened.flush()
            os.fsync(opened.fileno())
        _expect_absent(file)
        os.rename(partial, file)
        sync_folder(file.parent)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _expect_absent(file: Path) -> None:
    if os.path.lexists(file):
        raise Conflict(f"{file} is there already, and is not written over: name another")


def read_passphrase(settings: Settings, options: argparse.Namespace) -> str:
    """What the backup is sealed with, of --passphrase-file or the environment; empty when it is not."""
    if not options.passphrase_file:
        return settings.backup_passphrase
    path = Path(options.passphrase_file)
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            passphrase = file.read(4_096).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"--passphrase-file {path} cannot be read: {error}") from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        raise Invalid(f"--passphrase-file {path} may be read by others: run chmod 600 {path}")
    if not passphrase:
        raise Invalid(f"--passphrase-file {path} is empty: write the passphrase into it")
    return passphrase


def summarize(manifest: Manifest, file: Path, *, encrypted: bool) -> dict[str, Any]:
    """What a backup has, for JSON."""
    told = manifest.database
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "encrypted": encrypted,
        "made_at": manifest.made_at,
        "host": manifest.host,
        "heimdall": manifest.heimdall,
        "database": told.kind,
        "schema": told.schema,
        "events": told.events,
        "tables": {table.name: table.rows for table in told.tables},
        "files": [part.name.removeprefix(HOME) for part in manifest.parts if part.name.startswith(HOME)],
    }


def print_summary(told: dict[str, Any]) -> None:
    """The same for people, on standard error."""
    rows, events = sum(told["tables"].values()), told["tables"].get("logs", 0)
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[told["database"]]
    for name, text in (
        ("backup", f"{told['file']}, {told['bytes']:,} bytes, {'encrypted' if told['encrypted'] else 'not encrypted'}"),
        ("made", f"{told['made_at']} on {told['host']} by Heimdall {told['heimdall']}"),
        ("database", f"{kind}, schema {told['schema'] or 'of the HTTP version'}, {rows:,} rows"),
        ("events", f"{events:,}" if told["events"] else "left out"),
        ("files", ", ".join(told["files"]) or "none"),
    ):
        print(f"{name:<9} {printable(text, 2_000)}", file=sys.stderr)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
