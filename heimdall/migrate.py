"""`heimdall migrate`: the schema of the database, which every command brings up to date by itself."""

from __future__ import annotations

import argparse
import json
import sys

from core.home import Home
from core.settings import Settings
from core.text import printable
from store import open_store
from store.migrations import HEAD
from store.store import read_schema_version


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Upgrade the schema, or with `--check` say whether that is needed. Raises `Invalid` and `Unavailable`."""
    found = read_schema_version(settings.database_url)
    if options.check:
        _tell(options, found, found)
        return 0 if found == HEAD else 1
    Home(settings.home).prepare()
    open_store(settings.database_url, keep_days=settings.keep_days).close()
    _tell(options, found, HEAD)
    return 0


def _tell(options: argparse.Namespace, before: str | None, now: str | None) -> None:
    if options.json:
        print(json.dumps({"schema": now, "needed": HEAD, "before": before}))
    elif now == HEAD:
        print(f"schema {now}" + (", as before" if before == now else f", upgraded from {printable(before or 'none')}"))
    else:
        what = "is upgraded at the next start" if now is None or now < HEAD else "is newer: upgrade Heimdall"
        print(f"schema {printable(now or 'none')} {what}; this Heimdall needs {HEAD}", file=sys.stderr)
