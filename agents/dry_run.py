"""`--dry-run`: the events that an agent would send are printed instead. Nothing is sent, kept or disturbed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Callable

from agents.agent import COLLECT_SECONDS
from agents.kinds import Kind
from agents.reading import Summary, read_events
from agents.stop import Stop
from core.clock import rfc3339
from core.messages import NO_ADDRESS, Event, encode
from core.text import printable, put_line

SHOWN_CHARS = 500  # of a line for a person


def dry_run(kind: Kind, host: str, file: str, once: bool, as_json: bool, stop: Stop) -> int:
    """Print the events of `file`, if any, then without `once` what happens from now on; the exit code.

    Raises `Invalid` and `Conflict` as reading does, and `BrokenPipeError` when nobody reads any more.
    """
    write = write_json if as_json else write_line
    if file:
        _print_file(kind, host, file, write, stop)
    if not (file and once):
        _print_new(kind, host, write, stop)
    return stop.code


def _print_file(kind: Kind, host: str, file: str, write: Callable[[Event], str], stop: Stop) -> None:
    summary = Summary(file)
    for event in read_events(Path(file), host, kind.read_file, summary):
        if stop.event.is_set():
            return
        put_line(write(event))
    sys.stderr.write(summary.as_text() + "\n")


def _print_new(kind: Kind, host: str, write: Callable[[Event], str], stop: Stop) -> None:
    collector = kind.make_collector(host)
    position = None
    try:
        while not stop.event.is_set():
            reading = collector.read(position)
            for event in reading.events:
                put_line(write(event))
            if reading.position == position:
                stop.event.wait(COLLECT_SECONDS)
            position = reading.position
    finally:
        collector.close()


def write_json(event: Event) -> str:
    """`event` as on the topic, but in ASCII: a terminal takes some characters of Unicode for orders."""
    return json.dumps(json.loads(encode(event)), separators=(",", ":"))


def write_line(event: Event) -> str:
    """`event` as one line for a person."""
    user = f", user {event.user}" if event.user != NO_ADDRESS else ""
    source = f", from {event.source_ip}" if event.source_ip != NO_ADDRESS else ""
    said = f"{event.event_type} (severity {event.severity}{user}{source}): {event.raw_message}"
    line = f"{rfc3339(event.timestamp)} {event.source_host} {said}"
    return printable(line, SHOWN_CHARS) + (" …" if len(line) > SHOWN_CHARS else "")
