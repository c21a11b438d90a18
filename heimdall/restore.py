"""`heimdall restore`: a backup into an empty home and an empty database, whole or not at all.

1. All of the file is read and compared with what it says of itself.
2. Home and database must be empty.
3. The files go to `.restoring` in the home, with which nothing of Heimdall starts; the database beside its place, or
   into one transaction.
4. The database is put in its place, then the files, and last `.restoring` is removed.

Killed before 4, the same again cleans up. Killed in 4, it is refused, and nothing starts there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core import lock
from core.errors import Conflict, Invalid, Unavailable
from core.home import Home, sync_folder
from core.settings import Settings
from heimdall.archive import DATABASE, HOME, ArchiveReader, Manifest, hold_to, is_sealed, verify
from heimdall.backup import print_summary, read_passphrase, summarize
from heimdall.kept_files import GATEWAY_SPOOL, find_anything, is_kept, renew_spool
from heimdall.progress import progress
from store.backup import check_target, open_target


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Check the backup, and restore it unless only that was asked. Raises `Invalid`, `Conflict` and `Unavailable`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop it cleans up, as after Ctrl-C
    file, home = Path(options.file), Home(settings.home)
    url = options.to_database or settings.database_url
    try:
        source = file.open("rb")
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error
    with source, progress() as say:
        try:
            encrypted = is_sealed(source)
            passphrase = read_passphrase(settings, options) if encrypted else ""
            if encrypted and not passphrase:
                raise Invalid("it is encrypted: name the file of its passphrase with --passphrase-file")
            manifest = verify(source, passphrase, say)
            _check_names(manifest)
        except Invalid as error:
            raise Invalid(f"{file}: {error}") from error
        except OSError as error:
            raise Unavailable(f"{file} cannot be read: {error.strerror}") from error
        if not options.check:
            _expect_empty(home)
            check_target(url, manifest.database)
            _restore(source, passphrase, manifest, home, url, say)
    told = summarize(manifest, file.absolute(), encrypted=encrypted)
    if options.json:
        print(json.dumps({**told, "restored": not options.check}))
        return 0
    print_summary(told)
    _say_what_next(settings, options)
    return 0


def _say_what_next(settings: Settings, options: argparse.Namespace) -> None:
    if options.check:
        print("it is whole: every part is as it was written", file=sys.stderr)
        return
    print(f"restored to {settings.home}: `heimdall up` goes on with it", file=sys.stderr)
    if options.to_database:
        print("set HEIMDALL_DATABASE_URL to the database that it was restored to", file=sys.stderr)


def _check_names(manifest: Manifest) -> None:
    """Raise `Invalid` for a part that has no place, such as one that leads out of the home."""
    for part in manifest.parts:
        its_place = part.name.startswith(DATABASE) or (
            part.name.startswith(HOME) and is_kept(part.name.removeprefix(HOME))
        )
        if not its_place:
            raise Invalid(f"it has a part {part.name!r:.80} that belongs nowhere: nothing of it is restored")
    names = [part.name for part in manifest.parts]
    if len(set(names)) < len(names):
        raise Invalid("it has a part twice: nothing of it is restored")


def _expect_empty(home: Home) -> None:
    found = find_anything(home)
    if found is None:
        return
    if home.restoring.exists():
        raise Conflict(
            f"HEIMDALL_HOME {home.path}: a restore was stopped there while it put things in their places; remove what "
            "is in that folder, and what it has put into a database elsewhere, and restore again"
        )
    raise Conflict(
        f"HEIMDALL_HOME {home.path} is not empty, it has {found.relative_to(home.path)}: a backup is restored into an "
        "empty one; set HEIMDALL_HOME to another folder, or move this one away"
    )


def _restore(
    source: BinaryIO, passphrase: str, manifest: Manifest, home: Home, url: str, say: Callable[[str], None]
) -> None:
    with _placed(home) as staged:
        parts = {part.name: part for part in manifest.parts}
        with open_target(url, manifest.database) as target:
            for name, chunks in ArchiveReader(source, passphrase).parts():
                if name not in parts:
                    raise Invalid("the backup was changed while it was read")
                say(f"restoring {name}")
                whole = hold_to(parts[name], chunks)
                if name.startswith(DATABASE):
                    target.put(name.removeprefix(DATABASE), whole)
                else:
                    _write_file(staged / name.removeprefix(HOME), whole)
            if (staged / GATEWAY_SPOOL).exists():
                renew_spool(staged / GATEWAY_SPOOL)
            say("bringing the tables up to date")
            target.finish()


@contextmanager
def _placed(home: Home) -> Iterator[Path]:
    """A folder whose files are moved to their places in the home at the end, or nowhere when something is raised."""
    had_home, staged = home.path.exists(), home.restoring / "home"
    try:
        home.restoring.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.path.chmod(0o700)
        lock.hold(home.restoring / "lock", f"HEIMDALL_HOME {home.path}, to which another `heimdall restore` writes,")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(mode=0o700)
    except OSError as error:
        raise Unavailable(f"HEIMDALL_HOME {home.path} cannot be written ({error.strerror})") from error
    try:
        yield staged
    except BaseException:
        # with the database in its place nothing must start there without the files
        if find_anything(home) is None:
            shutil.rmtree(home.restoring, ignore_errors=True)
        if not had_home and not any(home.path.iterdir()):
            home.path.rmdir()
        raise
    try:
        for path in sorted(staged.rglob("*")):
            place = home.path / path.relative_to(staged)
            if path.is_dir():
                place.mkdir(mode=0o700, exist_ok=True)
            else:
                os.rename(path, place)
                sync_folder(place.parent)
        shutil.rmtree(home.restoring)
        sync_folder(home.path)
    except OSError as error:
        raise Unavailable(f"HEIMDALL_HOME {home.path} cannot be written ({error.strerror})") from error


def _write_file(path: Path, chunks: Iterator[bytes]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(f"{path} cannot be written ({error.strerror})") from error
