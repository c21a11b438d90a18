"""What a process asks of the operating system about itself and about the processes that it starts."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Callable, Optional

_PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent(number: int) -> Optional[Callable[[], None]]:
    """For `subprocess`' `preexec_fn`: the child gets signal `number` when its parent dies. Linux; else `None`."""
    if sys.platform != "linux":
        return None
    # loaded before the fork: afterwards only what cannot wait for a lock is safe
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, number)

    return ask


def allow_many_connections() -> None:
    """Each client is an open file, and 1,024 is the usual limit."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 -- not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # macOS names a limit that it then refuses
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
