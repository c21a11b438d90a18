"""`heimdall copy`: an installation moves from SQLite to PostgreSQL.

What it says on the way goes to standard error: where it stands on a terminal, each stage where there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from core.settings import Settings
from core.text import printable
from heimdall.asking import agrees
from heimdall.table import print_table
from store.copying import Copied, Progress, copy_database, shown_url

_SHOWN_SECONDS = 0.2
_WORDS = {"copy": "copied", "check": "compared"}


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Move the database, and say what was moved. Raises `Invalid`, `Conflict`, `Unavailable` and `Differs`."""
    if not options.yes and not agrees(_question(options.to)):
        print("nothing was moved", file=sys.stderr)
        return 1
    shown = _Shown()
    try:
        done = copy_database(settings.database_url, options.to, settings.keep_days, shown.tell)
    except KeyboardInterrupt:
        shown.end()
        print("stopped: the same command again goes on where this one was", file=sys.stderr)
        raise
    finally:
        shown.end()
    if options.json:
        print(json.dumps(_as_json(done)))
    else:
        _print(done)
    return 0


def _question(url: str) -> str:
    what = f"Move this installation's database to {printable(shown_url(url))}?"
    return f"{what} At the end nothing is stored for some seconds."


class _Shown:
    """Where the copy stands, for people: one line that changes on a terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._doing = ""
        self._began = self._shown_at = 0.0
        self._open = False

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.doing == "stop":
            self.end()
            print("the last part: nothing is stored until it is done; whoever stores waits", file=sys.stderr)
            return
        if progress.doing != self._doing:
            self.end()
            self._doing, self._began, self._shown_at = progress.doing, now, 0.0
        if now - self._shown_at < _SHOWN_SECONDS and progress.left:
            return
        self._shown_at = now
        if self._terminal:
            rate = progress.rows / max(now - self._began, 0.001)
            line = f"{progress.rows:,} events {_WORDS[progress.doing]}, {rate:,.0f} a second, {progress.left:,} left"
            print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)
            self._open = True

    def end(self) -> None:
        """End the line that changes."""
        if self._open:
            print(file=sys.stderr)
        self._open = False


def _as_json(done: Copied) -> dict[str, object]:
    told = asdict(done)
    told["rows"] = sum(done.tables.values())
    told["changed"] = [{"what": what, "rows": rows, "first_ids": ids} for what, (rows, *ids) in done.changed.items()]
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in told.items()}


def _print(done: Copied) -> None:
    print_table(("TABLE", "ROWS"), [(name, f"{rows:,}") for name, rows in sorted(done.tables.items())])
    print(f"checksum of logs {done.checksum}, the same on both sides")
    if done.new_ids:
        print(f"{done.new_ids:,} events have another event_id, for theirs was no UUID or not theirs alone")
    for what, (rows, *ids) in done.changed.items():
        where = f", such as {', '.join(map(str, ids))}: their dead letters hold all that they held" if ids else ""
        print(f"{what}: {rows:,} rows were changed{where}")
    print(f"{done.seconds:.1f} s, in {done.stopped_seconds:.1f} s of which nothing was stored", file=sys.stderr)
    print(f"moved: set HEIMDALL_DATABASE_URL={printable(done.target)}, and start again", file=sys.stderr)
