"""`GET /events` as a stream of everything that fits: NDJSON or CSV.

It is read a page at a time, each a transaction of its own, so that nothing is held up and memory stays flat however
long it takes. What is stored meanwhile is not in it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec
from starlette.responses import StreamingResponse

from store import EventFilter, Store, StoredEvent

Format = Literal["json", "ndjson", "csv"]
PAGE_EVENTS = 5_000
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"
}  # fmt: skip
# by these a spreadsheet takes a text for a formula, and computes what a stranger has written
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def choose_format(asked: Format | None, accept: str) -> Format:
    """What was asked for by name, or else by the header `Accept`; JSON, unless that names one of the others."""
    if asked is not None:
        return asked
    kinds = [part.partition(";")[0].strip() for part in accept.split(",")]
    return next((name for name in ("ndjson", "csv") if MEDIA_TYPES[name].partition(";")[0] in kinds), "json")


class Export(StreamingResponse):
    """All events that fit `wanted`, last stored first, from `before` on."""

    def __init__(
        self,
        store: Store,
        wanted: EventFilter,
        before: int | None,
        shape: Format,
        columns: Sequence[str],
        describe: Callable[[StoredEvent], dict[str, Any]],
    ) -> None:
        write = _write_csv if shape == "csv" else _write_ndjson
        # the first page before the answer begins, so that a database that is away is an error with its status
        pages = _read_pages(store, wanted, before)
        first = next(pages)
        content = write(([describe(event) for event in page] for page in _chain(first, pages)), columns)
        super().__init__(
            content,
            media_type=MEDIA_TYPES[shape],
            headers={"Content-Disposition": f'attachment; filename="events.{shape}"'},
        )


def _read_pages(store: Store, wanted: EventFilter, before: int | None) -> Iterator[list[StoredEvent]]:
    while True:
        page = store.events(wanted, PAGE_EVENTS, before)
        yield page.events
        before = page.end
        if before is None:
            return


def _chain(first: list[StoredEvent], others: Iterator[list[StoredEvent]]) -> Iterator[list[StoredEvent]]:
    yield first
    yield from others


def _write_ndjson(pages: Iterable[list[dict[str, Any]]], _columns: Sequence[str]) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    for page in pages:
        yield encoder.encode_lines(page)


def _write_csv(pages: Iterable[list[dict[str, Any]]], columns: Sequence[str]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for page in pages:
        writer.writerows([_as_text(value) for value in event.values()] for event in page)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _as_text(value: object) -> object:
    """A cell that no spreadsheet computes: what looks like a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
