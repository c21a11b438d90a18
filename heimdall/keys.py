"""`heimdall keys` and `heimdall audit`: commands of the home's own machine, which act as `local:<user>`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from api.auth import KEPT_KEYS, issue_key, local_name
from api.keys import describe_entry, describe_key
from core.clock import utc_now
from core.errors import Invalid
from core.settings import Settings, parse_days
from core.text import printable
from heimdall.table import print_table, second
from store import Store, open_store

PAGE_ENTRIES = 1_000


def run_keys(settings: Settings, options: argparse.Namespace) -> int:
    """List, make or revoke. Raises `Invalid`, `Conflict` and `Unavailable`."""
    if not options.make and (options.scope or options.expires):
        raise Invalid("--scope and --expires belong to --make NAME")
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        if options.make:
            return _make(store, options)
        if options.revoke:
            return _revoke(store, options)
        described = [describe_key(row) for row in store.list_keys()]
    if options.json:
        print(json.dumps(described))
        return 0
    print_table(
        ("ID", "NAME", "SCOPES", "EXPIRES", "LAST USED"),
        [
            (
                str(key["id"]), str(key["name"]), " ".join(key["scopes"]), second(key["expires_at"]),
                second(key["last_used"]),
            )
            for key in described
        ],
    )  # fmt: skip
    return 0


def _make(store: Store, options: argparse.Namespace) -> int:
    expires_at = utc_now() + timedelta(days=parse_days("--expires", options.expires)) if options.expires else None
    key = issue_key(store, options.make, options.scope, expires_at, local_name())
    print(json.dumps({"name": options.make, "key": key}) if options.json else key)
    return 0


def _revoke(store: Store, options: argparse.Namespace) -> int:
    row = store.revoke_key(options.revoke, local_name())
    if row is None:
        raise Invalid(f"there is no key with the id or the name {options.revoke!r:.80}: `heimdall keys` lists them")
    if options.json:
        print(json.dumps(describe_key(row)))
    else:
        print(f"revoked: {printable(row.name)} ({row.id})", file=sys.stderr)
    if row.name in KEPT_KEYS:
        print(f"it comes back with the next start of the API, unless you {KEPT_KEYS[row.name]}", file=sys.stderr)
    return 0


def run_audit(settings: Settings, options: argparse.Namespace) -> int:
    """Print the newest entries of the audit trail, newest first. Raises `Invalid` and `Unavailable`."""
    if options.limit < 1:
        raise Invalid(f"--limit {options.limit}: use a number above 0")
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        entries = list(_read_entries(store, options.limit))
    if options.json:
        print(json.dumps(entries))
        return 0
    rows = [(second(one["at"]), one["who"], one["action"], one["target"], one["detail"]) for one in entries]
    print_table(("WHEN", "WHO", "WHAT", "WHICH", "HOW"), rows)
    return 0


def _read_entries(store: Store, limit: int) -> Iterator[dict[str, str]]:
    before = None
    while limit > 0:
        page = store.audit(min(limit, PAGE_ENTRIES), before)
        yield from map(describe_entry, page)
        if len(page) < PAGE_ENTRIES:
            return
        before, limit = page[-1].id, limit - len(page)
