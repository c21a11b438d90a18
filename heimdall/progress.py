"""How far something is, on a terminal: one line that is written over. Without a terminal nothing is said."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SAY_SECONDS = 0.2


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """What takes a line, as often as one likes; the last is gone at the end."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    said = 0.0

    def say(text: str) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAY_SECONDS:
            said = time.monotonic()
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
