"""What was stored since somebody looked last: for whoever shows it while it comes."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from store.database import Database
from store.queries import make_event
from store.rows import StoredEvent
from store.tables import logs

NEWEST_EVENTS = 20


class News(NamedTuple):
    """How many events were stored, up to the id `settled`, and the newest of them, last stored first.

    Up to `newest` more may come that are not settled yet: whoever looks again finds them.
    """

    settled: int
    newest: int
    stored: int
    events: list[StoredEvent]


def read_news(database: Database, after: int | None) -> News:
    """What was stored since `settled` was `after`; with `None` nothing, but from where on. Raises `Unavailable`."""
    with database.reading() as connection:
        newest, settled = database.newest_id(connection), database.settled_id(connection)
        if after is not None and database.reuses_ids and settled < after:
            after = 0  # all events were deleted, and ids begin anew
        if after is None or settled <= after:
            return News(settled, newest, 0, [])
        these = logs.c.id.between(after + 1, settled)
        stored = connection.execute(select(func.count()).select_from(logs).where(these)).scalar_one()
        page = select(logs).where(these).order_by(logs.c.id.desc()).limit(NEWEST_EVENTS)
        return News(settled, newest, stored, [make_event(row) for row in connection.execute(page)])
