# ruff: noqa: S608 -- the statements are made of our own names
"""PostgreSQL: how it is opened and how it writes. Its partitions are in `partitions`."""

from __future__ import annotations

import re
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    Integer,
    SmallInteger,
    Text,
    create_engine,
    func,
    literal,
    select,
)

from core.errors import Invalid
from store import upserts
from store.columns import Moment
from store.database import WAIT_SECONDS, Database, EventRow, Locked
from store.partitions import Partitions
from store.tables import beat_hours, beats, event_hours, event_minutes, log_blocks

SCHEME = "postgresql://"

# keys of the advisory locks, made of "heimdall" and a number; each is held until its transaction ends
_LOCKS: dict[Locked, int] = {
    "schema": 0x6865696D_64616C01,
    "leases": 0x6865696D_64616C02,
    "keys": 0x6865696D_64616C04,
    "enrolment": 0x6865696D_64616C05,
    "beats": 0x6865696D_64616C06,
    "verdicts": 0x6865696D_64616C07,
}

_STAGE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS heimdall_staging (place integer GENERATED ALWAYS AS IDENTITY,"
    " event_id uuid, timestamp timestamptz, source_host text, os_type text, event_type text, severity smallint,"
    ' source_ip text, "user" text, raw_message text, created_at timestamptz) ON COMMIT DELETE ROWS'
)
_COLUMNS = 'event_id, timestamp, source_host, os_type, event_type, severity, source_ip, "user", raw_message, created_at'
# in the order of the ids, so that two ingestors that store the same events do not lock each other out
_INSERT = (
    f"INSERT INTO logs ({_COLUMNS}) SELECT {_COLUMNS} FROM heimdall_staging ORDER BY event_id, place"
    " ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
)


def _kind_of(column: Column[Any]) -> str:
    # in this order, for SQLAlchemy has each integer descend from Integer
    kinds = {
        Moment: "timestamptz", BigInteger: "bigint", SmallInteger: "smallint", Integer: "integer", Double: "float8"
    }  # fmt: skip
    return next((name for kind, name in kinds.items() if isinstance(column.type, kind)), "text")


_ARRAYS = {
    "heartbeats": ("text", "text", "timestamptz", "timestamptz"),
    "activity": ("text", "text", "bigint", "timestamptz", "timestamptz", *("bigint",) * 5),
    **{
        table.name: tuple(map(_kind_of, table.columns))
        for table in (beats, beat_hours, log_blocks, event_minutes, event_hours)
    },
}
_ADVANCED = ("text", "text", "bigint", "timestamptz", "float8", "float8", "bigint", "timestamptz")
_GIVEN = f"FROM unnest({', '.join(f'%s::{kind}[]' for kind in _ADVANCED)}) AS given ({', '.join(upserts.ADVANCED)})"
_ADVANCE_BEATS = (
    upserts.ADVANCE_BEATS.format(**{name: f"given.{name}" for name in upserts.ADVANCED}, source=_GIVEN)
    + " RETURNING beats.source_host"
)


class PostgreSQL(Database):
    """A PostgreSQL database, 13 or newer, in UTF-8. `url` is libpq's, with any option that libpq knows."""

    def __init__(self, url: str) -> None:
        try:
            given = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # the URL may hold a password, so neither it nor libpq's message is shown
            raise Invalid("HEIMDALL_DATABASE_URL: use postgresql://USER@HOST/NAME, options as libpq has them") from None
        # a server that hangs or a cut cable must not hold the writer for the kernel's two hours
        defaults = "connect_timeout=10 keepalives_idle=30 tcp_user_timeout=20000 application_name=heimdall"
        conninfo = make_conninfo(defaults, **given)
        name = f"{given.get('dbname', '')} on {given.get('host', 'the local socket')}"

        def connect() -> psycopg.Connection[Any]:
            connection = psycopg.connect(conninfo)
            connection.execute("SET TIME ZONE 'UTC'")
            connection.commit()
            return connection

        # whatever the database's default is: where more is isolated, a long transaction loses against short ones
        # again and again, and then no batch could ever be written
        engine = create_engine(
            "postgresql+psycopg://", creator=connect, pool_pre_ping=True, pool_size=8, max_overflow=32,
            pool_timeout=WAIT_SECONDS, hide_parameters=True, isolation_level="READ COMMITTED",
        )  # fmt: skip
        super().__init__(name, engine, engine)
        self._partitions = Partitions(self)
        # two that write at once seldom have the same; if they have, they wait for each other and nothing is wrong
        self.writer_id = secrets.randbelow(2**31)
        # newest ids, each with the number of the first transaction that begins to write behind it
        self._marks: deque[tuple[int, int]] = deque(maxlen=1_000)
        self._settled = 0
        self._settling = threading.Lock()
        with self.reading() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise Invalid(f"database {name} has the encoding {encoding}: make one with ENCODING 'UTF8'")

    def lock(self, connection: Connection, what: Locked) -> None:
        """See `Database.lock`."""
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCKS[what],))

    def prepare_days(self, days: set[date], today: date) -> None:
        """Make the partitions of `days`, of today and of the two days after it, where they are absent."""
        self._partitions.make(days | {today + timedelta(days=ahead) for ahead in range(3)})

    def insert_events(self, connection: Connection, rows: Sequence[EventRow]) -> set[str] | None:
        """See `Database.insert_events`: COPY into a staging table, and from there what is new."""
        with as_psycopg(connection.connection.driver_connection).cursor() as cursor:
            cursor.execute(_STAGE)
            with cursor.copy(f"COPY heimdall_staging ({_COLUMNS}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(_INSERT)
            # in a second call of the same transaction the first rows must not come again
            stored = None if cursor.rowcount == len(rows) else {str(row[0]) for row in cursor.fetchall()}
            cursor.execute("DELETE FROM heimdall_staging")
            return stored

    def upsert(self, connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Database.upsert`."""
        arrays = ", ".join(f"%s::{kind}[]" for kind in _ARRAYS[table])
        statement = f"{upserts.INTO[table]} SELECT * FROM unnest({arrays}){upserts.ON_CONFLICT[table]}"
        columns = [_as_array(column) for column in zip(*rows, strict=True)]
        as_psycopg(connection.connection.driver_connection).execute(statement, columns)

    def advance_beats(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        """See `Database.advance_beats`."""
        columns = [_as_array(column) for column in zip(*rows, strict=True)]
        advanced = as_psycopg(connection.connection.driver_connection).execute(_ADVANCE_BEATS, columns)
        if advanced.rowcount == len(rows):
            return set()
        return {row[0] for row in rows}.difference(host for (host,) in advanced)

    def newest_id(self, connection: Connection) -> int:
        """See `Database.newest_id`: the sequence knows it, while max(id) asks every partition."""
        query = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM logs_id_seq"
        return int(connection.exec_driver_sql(query).scalar_one())

    def settled_id(self, connection: Connection) -> int:
        """See `Database.settled_id`: ids are taken before the commit, so that later ones may be seen first.

        The newest id is settled when every transaction has ended that had begun to write when it was the newest; each
        has its own number (COPY into the staging table gives it one) before it takes ids.
        """
        newest = self.newest_id(connection)
        query = "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() AS s"
        oldest_open, next_one = map(int, connection.exec_driver_sql(query).one())
        with self._settling:
            if not self._marks or self._marks[-1][0] < newest:
                self._marks.append((newest, next_one))
            while self._marks and self._marks[0][1] <= oldest_open:
                self._settled = self._marks.popleft()[0]
            return self._settled

    def comparable_time(self, column: Column[Any]) -> ColumnElement[Any]:
        """See `Database.comparable_time`."""
        return column

    def minute(self, column: Column[Any]) -> ColumnElement[datetime]:
        """See `Database.minute`."""
        return func.date_trunc("minute", column, type_=Moment())

    def holds(self, column: Column[Any], part: str) -> ColumnElement[bool]:
        """See `Database.holds`: ILIKE lowers the pattern again for each row, which takes half as long again."""
        escaped = re.sub(r"([\\%_])", r"\\\1", part)
        # a query of its own is run once, where the functions of lower() and of another escape would be for each row
        lowered = select(func.lower(literal(f"%{escaped}%", Text))).scalar_subquery()
        return func.lower(column).like(lowered)

    def possible_ids(self, ids: list[str]) -> list[str]:
        """See `Database.possible_ids`: UUIDs alone."""
        return [text for text in ids if _is_uuid(text)]

    def after_write(self, now: datetime) -> None:
        """Nothing to do: the server looks after itself."""


def _as_array(values: Sequence[str | float | None]) -> str:
    """An array as PostgreSQL reads it: psycopg, which looks at each value, takes longer than the upsert itself."""
    if None in values:
        return f"{{{','.join('NULL' if value is None else _as_array([value])[1:-1] for value in values)}}}"
    texts = [*map(str, values)]
    quoted = '","'.join(texts)
    if quoted.count('"') != 2 * (len(texts) - 1) or "\\" in quoted:
        quoted = '","'.join(text.replace("\\", r"\\").replace('"', r"\"") for text in texts)
    return f'{{"{quoted}"}}'


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def as_psycopg(connection: Any) -> psycopg.Connection[Any]:
    """The driver's own connection, for COPY."""
    if not isinstance(connection, psycopg.Connection):
        raise TypeError(f"{type(connection).__name__} is not a connection of psycopg")
    return connection
