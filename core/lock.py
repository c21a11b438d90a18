"""A lock file: one holder at a time, let go by the operating system when the holder dies."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import IO

from core.errors import Conflict


def hold(path: Path, what: str, through_exec: bool = False) -> None:
    """Hold `path` until this process ends, `through_exec` also when it becomes another program.

    Raises `Conflict`, naming `what` and the holder's process.
    """
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 -- it stays open: that is the lock
    try:
        _lock(file)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise Conflict(f"{what} is in use{f' by process {holder}' if holder.isdigit() else ''}") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    os.set_inheritable(file.fileno(), through_exec)
    atexit.register(file.close)  # an open file is the lock: this keeps it as long as the process lives


def is_held(path: Path) -> bool:
    """Whether some process, this one included, holds `path`."""
    if not path.exists():
        return False
    with open(path, "a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError:
            return True
    return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        # a byte far behind the text, so that others can still read who holds it
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
