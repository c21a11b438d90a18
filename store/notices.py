"""The outbox: what is to be told to whom, kept in the transaction that decides it, until it is delivered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from core.messages import Alert
from store.alerts import make_alert
from store.database import Database, in_chunks
from store.tables import alerts, channels, notices, told

NoticeKind = Literal["opened", "flapping", "partly", "resolved", "test"]
_TELLINGS = select(alerts, told.c.alert_id.label("heard"), told.c.done, told.c.incident.label("together"))
SENDING = timedelta(minutes=2)  # within which whoever sends one knows what came of it


class Words(NamedTuple):
    """What is to be said."""

    kind: NoticeKind
    title: str
    body: str


@dataclass(frozen=True)
class Notice:
    """What a channel is to say, for the `attempts`th time; `made_at` is UTC."""

    id: int
    channel: str
    words: Words
    made_at: datetime
    attempts: int
    incident: str = ""


@dataclass(frozen=True)
class Telling:
    """An alert and what a channel has told of it: nothing (`heard` False), its opening, or that and its end."""

    alert: Alert
    heard: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Decision:
    """What to say, if anything is worth it, and the ids of the alerts whose opening and whose end are told by it."""

    words: Words | None
    opened: Sequence[str] = ()
    resolved: Sequence[str] = ()


class Outbox:
    """Who is told of what. Its methods raise `Unavailable`; `now` is the server's clock, in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        # decisions follow from what alerts are, which change under the same lock
        with self._database.writing() as connection:
            self._database.lock(connection, "verdicts")
            yield connection

    def keep_channels(self, names: Iterable[str]) -> None:
        """Who is notified: a new channel is not told of what is past, and one that is gone is forgotten."""
        wanted = set(names)
        with self._writing() as connection:
            known = set(connection.execute(select(channels.c.name)).scalars())
            gone = known - wanted
            if gone:
                for table in (told, notices):
                    connection.execute(delete(table).where(table.c.channel.in_(gone)))
                connection.execute(delete(channels).where(channels.c.name.in_(gone)))
            if wanted - known:
                newest = connection.execute(select(func.max(alerts.c.id))).scalar() or ""
                rows = [{"name": name, "cursor": newest} for name in sorted(wanted - known)]
                connection.execute(insert(channels), rows)

    def read_tellings(self, channel: str) -> dict[str, list[Telling]]:
        """All alerts of every incident of which `channel` has something left to tell, in the order of their opening.

        What was told together belongs together, whatever incident it was of.
        """
        with self._database.reading() as connection:
            new = connection.execute(_untold(connection, channel)).all()
            undone = select(told.c.incident).where(told.c.channel == channel, told.c.done == 0).distinct()
            incidents = {row.incident or row.id for row in new} | set(connection.execute(undone).scalars())
            rows = [*new]
            for chunk in in_chunks(sorted(incidents)):
                rows += connection.execute(_told(channel).where(told.c.incident.in_(chunk)))
        found: dict[str, list[Telling]] = {}
        for row in sorted(rows, key=lambda row: str(row.id)):
            telling = Telling(make_alert(row), row.heard is not None, bool(row.done))
            found.setdefault(row.together or telling.alert.incident, []).append(telling)
        return found

    def decide(self, channel: str, incident: str, decision: Decision, now: datetime) -> bool:
        """Keep what is said and what is told by it, in one transaction; False when another has told of it already.

        What is opened by it belongs together from now on under `incident`, for this channel.
        """
        with self._writing() as connection:
            if _is_told(connection, channel, decision):
                return False
            words = decision.words
            number = None if words is None else _insert(connection, channel, incident, words, now)
            values = {"channel": channel, "incident": incident, "opened_by": number, "done": 0}
            if decision.opened:
                connection.execute(insert(told), [{**values, "alert_id": one} for one in decision.opened])
            for chunk in in_chunks(decision.resolved):
                mine = (told.c.channel == channel) & told.c.alert_id.in_(chunk)
                connection.execute(update(told).where(mine).values(done=1, resolved_by=number))
            _move_cursor(connection, channel)
            return True

    def add(self, channel: str, words: Words, now: datetime) -> int:
        """Keep what is to be said and is about no incident; the notice's id."""
        with self._writing() as connection:
            return _insert(connection, channel, "", words, now)

    def release(self, now: datetime) -> None:
        """What somebody was about to send who is no longer there is due again."""
        taken = notices.c.ended_at.is_(None) & notices.c.error.is_(None)
        with self._writing() as connection:
            connection.execute(update(notices).where(taken).values(due_at=now))

    def take(self, channel: str, now: datetime) -> Notice | None:
        """The channel's first notice that is not delivered, for who asks alone; `None` when none is due.

        Order is kept: one that must wait to be tried again holds up those behind it.
        """
        waiting = (notices.c.channel == channel) & notices.c.ended_at.is_(None)
        with self._writing() as connection:
            row = connection.execute(select(notices).where(waiting).order_by(notices.c.id).limit(1)).first()
            if row is None or row.due_at > now:
                return None
            taken = {"attempts": row.attempts + 1, "due_at": now + SENDING, "error": None}
            connection.execute(update(notices).where(notices.c.id == row.id).values(taken))
        words = Words(row.kind, row.title, row.body)
        return Notice(row.id, row.channel, words, row.made_at, row.attempts + 1, row.incident)

    def next_due(self, channel: str) -> datetime | None:
        """When the channel's first notice that is not delivered may be tried."""
        waiting = (notices.c.channel == channel) & notices.c.ended_at.is_(None)
        with self._database.reading() as connection:
            query = select(notices.c.due_at).where(waiting).order_by(notices.c.id).limit(1)
            found: datetime | None = connection.execute(query).scalar()
        return found

    def end(self, notice: Notice, now: datetime, error: str | None = None) -> None:
        """It was delivered at `now`, or given up with this `error`."""
        self._set(notice, ended_at=now, error=error)

    def postpone(self, notice: Notice, due_at: datetime, error: str) -> None:
        """It could not be delivered: to be tried again at `due_at`."""
        self._set(notice, due_at=due_at, error=error)

    def _set(self, notice: Notice, **values: Any) -> None:
        with self._database.writing() as connection:
            connection.execute(update(notices).where(notices.c.id == notice.id).values(values))


def _told(channel: str) -> Select[Any]:
    mine = (told.c.alert_id == alerts.c.id) & (told.c.channel == channel)
    return _TELLINGS.join(told, mine)


def _untold(connection: Connection, channel: str) -> Select[Any]:
    cursor = connection.execute(select(channels.c.cursor).where(channels.c.name == channel)).scalar()
    mine = (told.c.alert_id == alerts.c.id) & (told.c.channel == channel)
    return _TELLINGS.outerjoin(told, mine).where(alerts.c.id > (cursor or ""), told.c.alert_id.is_(None))


def _is_told(connection: Connection, channel: str, decision: Decision) -> bool:
    opened = set(decision.opened)
    ended = [one for one in decision.resolved if one not in opened]
    for ids, done in ((decision.opened, 0), (ended, 1)):
        for chunk in in_chunks(ids):
            mine = (told.c.channel == channel) & told.c.alert_id.in_(chunk) & (told.c.done >= done)
            if connection.execute(select(told.c.alert_id).where(mine).limit(1)).first() is not None:
                return True
    return False


def _insert(connection: Connection, channel: str, incident: str, words: Words, now: datetime) -> int:
    values = {**words._asdict(), "channel": channel, "incident": incident, "made_at": now, "due_at": now, "attempts": 0}
    return int(connection.execute(insert(notices).values(values).returning(notices.c.id)).scalar_one())


def _move_cursor(connection: Connection, channel: str) -> None:
    """Everything before the first alert that is not told is behind the channel."""
    query = _untold(connection, channel).order_by(alerts.c.id).limit(1)
    first = connection.execute(query).first()
    newest = select(func.max(alerts.c.id))
    if first is not None:
        newest = newest.where(alerts.c.id < first.id)
    value = connection.execute(newest).scalar() or ""
    moved = update(channels).where(channels.c.name == channel, channels.c.cursor < value)
    connection.execute(moved.values(cursor=value))
