"""Which files of a home a backup has: those that nobody could make again as they are.

Not the broker's store and the agent's spool. What is accepted lies in the spools of those who accepted it until it is
in the database, and the broker's store is no part of that promise; this machine's own agent is one of many, and where
it had read to is true on its machine alone. The gateway's spool is the API's: what is in it was answered with 200.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import Invalid, Unavailable
from core.home import Home

FILES = ("api-key", "ports", "server", "ca.pem", "client.pem", "rules.toml", "broker/dynsec.json")
FOLDERS = ("credentials", "tls", "sigma")
GATEWAY_SPOOL = "spool/gateway.db"
# no separator of any system, and nothing hidden: those are half written
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


def is_kept(path: str) -> bool:
    """Whether `path`, below the home, is one that a backup may have."""
    folder, _, name = path.partition("/")
    return path in FILES or path == GATEWAY_SPOOL or (folder in FOLDERS and _NAME.fullmatch(name) is not None)


def read_files(home: Home) -> dict[str, bytes]:
    """Every file that is kept, by its path below the home, but for the spool. Raises `Unavailable`."""
    found: dict[str, bytes] = {}
    in_folders = (path for name in FOLDERS for path in sorted((home.path / name).glob("*")))
    for path in (*(home.path / name for name in FILES), *in_folders):
        name = path.relative_to(home.path).as_posix()
        if not is_kept(name) or not path.is_file():
            continue
        try:
            found[name] = path.read_bytes()
        except FileNotFoundError:
            continue  # gone since
        except OSError as error:
            raise Unavailable(f"{path} cannot be read ({error.strerror}): give yourself the right to it") from error
    return found


def copy_pending(home: Home, scratch: Path) -> Path | None:
    """A copy of the gateway's spool, when something waits in it; an API that runs may go on. Raises `Unavailable`."""
    if not home.gateway_spool.exists():
        return None
    copy = scratch / home.gateway_spool.name
    copy.unlink(missing_ok=True)
    try:
        with closing(_open(home.gateway_spool)) as spool, closing(_open(copy)) as copied:
            spool.execute("PRAGMA wal_autocheckpoint = 0")
            spool.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")
            waiting = copied.execute("SELECT (SELECT count(*) FROM spool) + (SELECT count(*) FROM quarantine)")
            return copy if waiting.fetchone()[0] else None
    except sqlite3.Error as error:
        raise Unavailable(f"the spool {home.gateway_spool} cannot be read: {error}") from error


def renew_spool(path: Path) -> None:
    """Give a copy of a spool an id of its own: a receipt for the first one names nothing in it. Raises `Invalid`."""
    try:
        with closing(_open(path)) as spool:
            spool.execute("UPDATE identity SET spool_id = randomblob(16)")
    except sqlite3.Error as error:
        raise Invalid(f"the backup's spool cannot be used: {error}") from error


def find_anything(home: Home) -> Path | None:
    """A file that is in the home already, but for what a restore leaves that is stopped; `None` without any."""
    for path in sorted(home.path.rglob("*")):
        top = path.relative_to(home.path).parts[0]
        if not (top.startswith(".") and ".restoring" in top) and not path.is_dir():
            return path
    return None


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30, isolation_level=None)
