"""A SQLite file, opened for a moment: `sqlite3.connect` as a context commits, but does not close."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are committed at the end, or rolled back when the block raises; then closed."""
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        yield connection
