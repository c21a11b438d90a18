"""`heimdall silence` and `heimdall maintenance`: of which hosts people are not told for a while."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from api.auth import local_name
from api.silences import describe_silence
from core.clock import parse_duration, parse_time, utc_now
from core.errors import Invalid
from core.settings import Settings
from core.text import printable
from heimdall.command import DONE
from heimdall.table import print_table, second
from store import Store, open_store
from store.silences import Silence


def run_silence(settings: Settings, options: argparse.Namespace) -> int:
    """List, make or end. Raises `Invalid` and `Unavailable`."""
    if not options.hosts and (options.duration or options.kinds or options.reason):
        raise Invalid("--for, --kind and --reason belong to hosts: name them, such as web-*")

    def make(now: datetime) -> Silence:
        until = now + parse_duration(options.duration, "--for")
        return Silence(options.hosts, now, until, kinds=options.kinds or None, reason=options.reason)

    return _run(settings, options, False, make)


def run_maintenance(settings: Settings, options: argparse.Namespace) -> int:
    """List, announce or end. Raises `Invalid` and `Unavailable`."""
    if not options.hosts and (options.duration or options.begins or options.reason):
        raise Invalid("--from, --for and --reason belong to hosts: name them, such as web-*")

    def announce(_: datetime) -> Silence:
        begins_at = parse_time(options.begins, "--from")
        try:
            until = begins_at + parse_duration(options.duration, "--for")
        except OverflowError as error:
            raise Invalid(f"--from {options.begins} is too far ahead: announce it within a year") from error
        return Silence(options.hosts, begins_at, until, maintenance=True, reason=options.reason)

    return _run(settings, options, True, announce)


def _run(
    settings: Settings, options: argparse.Namespace, maintenance: bool, make: Callable[[datetime], Silence]
) -> int:
    if options.hosts and options.end:
        raise Invalid("--end ends one by its id: name no hosts beside it")
    now = utc_now()
    wanted = make(now) if options.hosts else None
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        if wanted is not None:
            _tell(store.silences.add(wanted, local_name(), now), options.json)
        elif options.end:
            _tell(_end(store, options.end, maintenance, now), options.json)
        else:
            _list(store.silences.read(maintenance, now), options.json)
    return DONE


def _end(store: Store, silence_id: str, maintenance: bool, now: datetime) -> Silence:
    ended = store.silences.end(silence_id, maintenance, local_name(), now)
    if ended is None:
        noun = "maintenance" if maintenance else "silence"
        raise Invalid(f"there is no {noun} with the id {silence_id!r:.80}: `heimdall {noun}` lists them")
    return ended


def _tell(one: Silence, as_json: bool) -> None:
    described = describe_silence(one)
    if as_json:
        print(json.dumps(described))
        return
    hosts = printable(" ".join(one.hosts))
    if one.ended_at is not None or one.until <= utc_now():
        print(f"{hosts}: over since {second(described['ended_at'] or described['until'])}", file=sys.stderr)
    else:
        print(f"{hosts}: from {second(described['from'])} until {second(described['until'])}", file=sys.stderr)
        print(one.id)


def _list(found: list[Silence], as_json: bool) -> None:
    described = [describe_silence(one) for one in found]
    if as_json:
        print(json.dumps(described))
        return
    if not described:
        print("none", file=sys.stderr)
        return
    rows = [
        (
            one["id"], second(one["from"]), second(one["until"]), " ".join(one["hosts"]),
            "all" if one["kinds"] is None else " ".join(one["kinds"]), one["made_by"], one["reason"],
        )
        for one in described
    ]  # fmt: skip
    print_table(("ID", "FROM", "UNTIL", "HOSTS", "KINDS", "BY", "REASON"), rows)
