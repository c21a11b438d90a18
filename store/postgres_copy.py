"""PostgreSQL's snapshot: COPY of each table out of one snapshot, and into an empty database in one transaction.

1. A transaction holds the lock of the schema, so that no migration comes between.
2. A second one makes the snapshot, and exports it; it locks no table.
3. Each table, and each partition of `logs`, is copied in a transaction of its own that imports the snapshot. So its
   lock ends with it: an ingestor that has to make a partition, which locks the default one, waits for that at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import Connection, inspect

from core.errors import Conflict, Invalid
from store.migrations import HEAD, check_known, read_version, run_migrations
from store.partitions import first_id, partition_name
from store.postgres import PostgreSQL, as_psycopg
from store.snapshot import FLEETING, Part, TableTold, Told
from store.tables import metadata

_SESSION = (
    # whatever the server or the role has as its default: a copy takes long, and its text must be read elsewhere
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
)
_OF_LOGS = (
    "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass('logs') ORDER BY c.relname"
)
_SEQUENCES = (
    "SELECT c.relname FROM pg_class AS c WHERE c.relkind = 'S' AND c.relnamespace = current_schema()::regnamespace"
    " ORDER BY c.relname"
)
_LAST_VALUE = sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}")
_ANYTHING = (
    "SELECT c.relname FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
    " AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname LIMIT 1"
)
_DEFAULT = "logs_default"


@contextmanager
def open_snapshot(url: str, *, events: bool) -> Iterator[PostgreSQLSnapshot]:
    """See `backup.open_snapshot`."""
    database = PostgreSQL(url)
    try:
        with database.reading() as guard:
            _prepare(guard)
            database.lock(guard, "schema")
            with database.translated(), database.reader.connect() as connection:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield PostgreSQLSnapshot(database, connection, events)
    finally:
        database.close()


class PostgreSQLSnapshot:
    """See `Snapshot`."""

    def __init__(self, database: PostgreSQL, connection: Connection, events: bool) -> None:
        self._database = database
        _prepare(connection)
        # the first query begins the snapshot
        self._snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        version = read_version(connection)
        if version is None:
            raise Invalid(f"database {database.name} has no tables of Heimdall's: nothing to back up")
        check_known(version, f"database {database.name}")
        self.told = Told("postgresql", version, events)
        present = inspect(connection)
        self._tables = sorted(set(present.get_table_names()) & {*metadata.tables})
        self._columns = {name: [one["name"] for one in present.get_columns(name)] for name in self._tables}
        self._partitions: list[str] = list(connection.exec_driver_sql(_OF_LOGS).scalars())
        # they are of no snapshot: what they say is at least what the rows have
        for name in connection.exec_driver_sql(_SEQUENCES).scalars().all():
            query = _LAST_VALUE.format(sql.Identifier(name))
            self.told.sequences[name] = connection.exec_driver_sql(query.as_string()).scalar_one()
        if events:
            self.told.days = [day.isoformat() for day in map(_day_of, self._partitions) if day is not None]

    def take_parts(self, say: Callable[[str], None]) -> Iterator[Part]:
        """See `Snapshot.take_parts`: a part is the text that COPY gives, a row a line."""
        for name in self._tables:
            told = TableTold(name, 0, self._columns[name])
            self.told.tables.append(told)
            yield Part(name, None, self._copy(told, self._sources(name), say))

    def _sources(self, name: str) -> list[str]:
        if name != "logs":
            return [name]
        # the default one first: who wants to make a partition waits for it
        return sorted(self._partitions, key=lambda one: one != _DEFAULT) if self.told.events else []

    def _copy(self, told: TableTold, sources: Sequence[str], say: Callable[[str], None]) -> Iterator[bytes]:
        columns = sql.SQL(", ").join(map(sql.Identifier, told.columns))
        for source in sources:
            query = sql.SQL("COPY (SELECT {} FROM ONLY {}) TO STDOUT WITH (ENCODING 'UTF8')").format(
                columns, sql.Identifier(source)
            )
            with self._database.reader.connect() as connection:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin(), as_psycopg(connection.connection.driver_connection).cursor() as cursor:
                    cursor.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._snapshot)))
                    _prepare(connection)
                    with cursor.copy(query) as copy:
                        for row in copy:
                            told.rows += 1
                            if told.rows % 65_536 == 0:
                                say(f"copying the table {told.name}: {told.rows:,} rows")
                            yield bytes(row)


def check_empty(url: str) -> None:
    """Raise `Conflict` when the database has a table, or anything like one."""
    database = PostgreSQL(url)
    try:
        with database.reading() as connection:
            _check_empty(connection, database.name)
    finally:
        database.close()


@contextmanager
def open_target(url: str, told: Told) -> Iterator[PostgreSQLTarget]:
    """See `backup.open_target`: all in one transaction."""
    database = PostgreSQL(url)
    try:
        with database.writing() as connection:
            _prepare(connection)
            database.lock(connection, "schema")
            _check_empty(connection, database.name)
            yield PostgreSQLTarget(connection, told)
    finally:
        database.close()


class PostgreSQLTarget:
    """See `Target`."""

    def __init__(self, connection: Connection, told: Told) -> None:
        self._connection, self._told = connection, told
        if told.schema is None:
            raise Invalid("the backup does not say of which schema its tables are")
        run_migrations(connection, told.schema)
        for text in told.days:
            self._make_partition(date.fromisoformat(text))
        self._present = set(inspect(connection).get_table_names()) & {*metadata.tables}
        self._waiting = {one.name: one for one in told.tables}
        # what they would add is in the backup
        self._run_on_tables("ALTER TABLE {} DISABLE TRIGGER USER")

    def put(self, name: str, chunks: Iterator[bytes]) -> None:
        """See `Target.put`."""
        told = self._waiting.pop(name, None)
        known = inspect(self._connection).get_columns(name) if name in self._present else []
        if told is None or {one["name"] for one in known} != {*told.columns}:
            raise Invalid(f"the backup's table {name:.80} is not as in schema {self._told.schema}")
        columns = sql.SQL(", ").join(map(sql.Identifier, told.columns))
        query = sql.SQL("COPY {} ({}) FROM STDIN WITH (ENCODING 'UTF8')").format(sql.Identifier(name), columns)
        with self._cursor() as cursor:
            with cursor.copy(query) as copy:
                for chunk in chunks:
                    copy.write(chunk)
            if cursor.rowcount != told.rows:
                raise Invalid(f"the backup's table {name} has {cursor.rowcount} rows, and not {told.rows}")

    def finish(self) -> None:
        """See `Target.finish`."""
        if self._waiting:
            raise Invalid(f"the backup has no rows of the table {min(self._waiting):.80}")
        self._run_on_tables("ALTER TABLE {} ENABLE TRIGGER USER")
        with self._cursor() as cursor:
            known = {name for (name,) in cursor.execute(_SEQUENCES)}
            for name in sorted(known & {*self._told.sequences}):
                value = self._told.sequences[name]
                cursor.execute("SELECT setval(%s::regclass, %s, %s)", (name, max(value, 1), value > 0))
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(FLEETING)))
        if self._told.schema != HEAD:
            run_migrations(self._connection, HEAD)

    def _cursor(self) -> psycopg.Cursor[Any]:
        return as_psycopg(self._connection.connection.driver_connection).cursor()

    def _make_partition(self, day: date) -> None:
        statement = sql.SQL("CREATE TABLE {} PARTITION OF logs FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(partition_name(day)),
            sql.Literal(str(first_id(day))),
            sql.Literal(str(first_id(day + timedelta(days=1)))),
        )
        with self._cursor() as cursor:
            cursor.execute(statement)

    def _run_on_tables(self, statement: LiteralString) -> None:
        with self._cursor() as cursor:
            for name in sorted(self._present):
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _check_empty(connection: Connection, name: str) -> None:
    found = connection.exec_driver_sql(_ANYTHING).scalar()
    if found is not None:
        raise Conflict(
            f"database {name} is not empty, it has {found}: a backup is restored into an empty one; make one with "
            "CREATE DATABASE, and name it"
        )


def _prepare(connection: Connection) -> None:
    for statement in _SESSION:
        connection.exec_driver_sql(statement)


def _day_of(partition: str) -> date | None:
    try:
        day = date.fromisoformat(partition.removeprefix("logs_"))
    except ValueError:
        return None
    return day if partition_name(day) == partition else None
