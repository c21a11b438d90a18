"""`heimdall alerts`: which are open, who sees to them, and whether those who should be told of them can be."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import closing

from api.auth import local_name
from api.shown import describe_alert
from core.clock import utc_now
from core.errors import Conflict, Invalid
from core.home import Home
from core.settings import Settings
from core.text import printable
from heimdall.command import DONE, FAILED
from heimdall.table import print_table, second
from store import open_store
from store.notices import Notice, Words
from watch.mouth import Mouth
from watch.rules import Channel, read_rules

_TEST = Words("test", "Heimdall can tell you", "This is a test. When a host is missed, you are told of it like this.")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """List, acknowledge, or test the channels. Raises `Invalid`, `Conflict` and `Unavailable`."""
    if options.action == "test":
        return _test(Home(settings.home), options)
    if options.action == "ack":
        return _ack(settings, options)
    if options.names:
        raise Invalid("channels belong to `heimdall alerts test`, and ids to `heimdall alerts ack`")
    if options.limit < 1:
        raise Invalid(f"--limit {options.limit}: use a number above 0")
    state = None if options.state == "any" else options.state
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        described = [describe_alert(one) for one in store.read_alerts(options.limit, state)]
    if options.json:
        print(json.dumps(described))
    elif described:
        rows = [
            (
                one["id"], second(one["since"]), second(one["resolved_at"]) if one["resolved_at"] else "",
                one["acked_by"] or "", one["kind"], one["text"],
            )
            for one in described
        ]  # fmt: skip
        print_table(("ID", "SINCE", "RESOLVED", "SEEN TO BY", "KIND", "WHAT"), rows)
    else:
        print("none" if state is None else f"none is {state}", file=sys.stderr)
    return DONE


def _ack(settings: Settings, options: argparse.Namespace) -> int:
    """As many as can be; what cannot is told at the end."""
    if not options.names:
        raise Invalid("`heimdall alerts ack` needs the ids of alerts: `heimdall alerts` lists them")
    acked, errors = [], []
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        for name in dict.fromkeys(options.names):
            try:
                alert = store.ack_alert(name.lower(), local_name(), utc_now())
            except Conflict as error:
                errors.append(str(error))
                continue
            if alert is None:
                errors.append(f"there is no alert with the id {name!r:.80}: `heimdall alerts` lists them")
            else:
                acked.append(describe_alert(alert))
    if options.json:
        print(json.dumps(acked))
    else:
        for one in acked:
            print(f"{printable(one['text'])}: {printable(one['acked_by'])} sees to it", file=sys.stderr)
    for text in errors:
        print(f"heimdall alerts: {text}", file=sys.stderr)
    return FAILED if errors else DONE


def _test(home: Home, options: argparse.Namespace) -> int:
    channels = read_rules(home.rules).notify
    if not channels:
        raise Invalid(f"nobody is notified: there is no [notify.NAME] in {home.rules}")
    unknown = [name for name in options.names if name not in channels]
    if unknown:
        raise Invalid(f"there is no [notify.{printable(unknown[0])}] in {home.rules}: it has {', '.join(channels)}")
    errors = asyncio.run(_say_all({name: channels[name] for name in options.names or channels}))
    if options.json:
        print(json.dumps(errors))
    else:
        for name, error in errors.items():
            print(f"{name}: {printable(error) or 'it was taken'}")
    return FAILED if any(errors.values()) else DONE


async def _say_all(channels: Mapping[str, Channel]) -> dict[str, str]:
    """Why it could not be said to each, all at once; an empty text where it was taken."""
    errors = await asyncio.gather(*(_say(name, channel) for name, channel in channels.items()))
    return dict(zip(channels, errors, strict=True))


async def _say(name: str, channel: Channel) -> str:
    mouth = Mouth(channel)
    try:
        return await mouth.say(Notice(0, name, _TEST, utc_now(), 1))
    finally:
        await mouth.close()
