# ruff: noqa: S608 -- the statements are made of our own names
"""The PostgreSQL side of a copy: blocks of `logs`, each in a transaction of its own, and the other tables in one.

`heimdall_copy_blocks` has what was sent of each block: by it a copy that was killed goes on, and by it is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from itertools import islice
from typing import Any, NamedTuple

import psycopg
import psycopg.errors
from sqlalchemy import BigInteger, Connection, Table, inspect

from core.errors import Conflict, HeimdallError, Invalid
from core.ids import stable_id
from store.copy_lines import LOST_TEXT, Checksum, LogLines, TableLines, column_names, compared_columns
from store.migrations import upgrade_schema
from store.moved import COPY
from store.postgres import PostgreSQL, as_psycopg
from store.tables import BLOCK_ROWS, logs, metadata

_LOCK = 0x6865696D_64616C08
_BLOCKS, _CHANGES = f"{COPY}_blocks", f"{COPY}_changes"
_MADE = (
    f"CREATE TABLE {COPY} (source text NOT NULL, whole boolean NOT NULL DEFAULT false)",
    f"CREATE TABLE {_BLOCKS} (block bigint PRIMARY KEY, rows bigint NOT NULL, checksum text NOT NULL,"
    " new_ids bigint NOT NULL)",
    f"CREATE TABLE {_CHANGES} (log_id bigint PRIMARY KEY, host text NOT NULL, what text NOT NULL, held bytea NOT NULL)",
)
_LETTER_BYTES = 65_536
_ROWS_AT_ONCE = 200


class Differs(HeimdallError):
    """What PostgreSQL holds is not what was sent to it."""

    code = "differs"


class Block(NamedTuple):
    """A block of `logs` as it was sent: how many rows, their checksum, and how many have another id than before."""

    number: int
    rows: int
    checksum: str
    new_ids: int


class CopyTarget:
    """A PostgreSQL database that is being filled."""

    def __init__(self, database: PostgreSQL) -> None:
        self.database = database

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the right to copy into the database. Raises `Conflict` when another copy is running."""
        with self.database.translated(), self.database.reader.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK})").scalar():
                raise Conflict(f"another copy into database {self.database.name} is running")
            try:
                yield
            finally:
                connection.invalidate()  # the lock is the session's

    def read_standing(self) -> tuple[str, bool] | None:
        """Of which source a copy was begun, and whether it is whole; `None` when there is none."""
        with self.database.reading() as connection:
            if not inspect(connection).has_table(COPY):
                return None
            source, whole = connection.exec_driver_sql(f"SELECT source, whole FROM {COPY}").one()
            return str(source), bool(whole)

    def begin(self, source: str) -> None:
        """Make the tables. Raises `Invalid` when the database is not empty."""
        upgrade_schema(self.database)
        with self.database.writing() as connection:
            for table in metadata.sorted_tables:
                if connection.exec_driver_sql(f'SELECT EXISTS (SELECT FROM "{table.name}")').scalar():
                    raise Invalid(
                        f"database {self.database.name} is not empty, its table {table.name} has rows: "
                        "use an empty database"
                    )
            for statement in _MADE:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"INSERT INTO {COPY} (source) VALUES (%s)", (source,))

    def read_blocks(self) -> dict[int, Block]:
        """Every block that was copied."""
        with self.database.reading() as connection:
            rows = connection.exec_driver_sql(f"SELECT block, rows, checksum, new_ids FROM {_BLOCKS} ORDER BY block")
            return {row[0]: Block(*row) for row in rows}

    def write_block(self, number: int, parts: Iterable[LogLines], days: set[date], today: date) -> Block:
        """Put a block of `logs` in the place of what there is of it, in one transaction."""
        self.database.prepare_days(days, today)
        checksum, new_ids = Checksum(), 0
        with self._writing() as (connection, raw):
            self._delete_block(connection, number)
            for part in parts:
                lines, moved = self._send_logs(raw, part.lines)
                checksum.add(lines)
                new_ids += len(part.new_ids | moved)
                with raw.cursor() as cursor:
                    cursor.executemany(f"INSERT INTO {_CHANGES} VALUES (%s, %s, %s, %s)", part.changes)
            block = Block(number, checksum.rows, checksum.text, new_ids)
            connection.exec_driver_sql(f"INSERT INTO {_BLOCKS} VALUES (%s, %s, %s, %s)", tuple(block))
        return block

    def drop_block(self, number: int) -> None:
        """Delete a block that is no more."""
        with self.database.writing() as connection:
            self._delete_block(connection, number)

    def check_block(self, block: Block) -> None:
        """Whether the rows that are stored are those that were sent. Raises `Differs`, naming the block."""
        first, last = block_ids(block.number)
        stored = Checksum()
        with self._writing() as (_, raw):
            where = f"WHERE id BETWEEN {first} AND {last}"
            stored.add(_read_lines(raw, f"SELECT {compared_columns(logs)} FROM logs {where}"))
        if (stored.rows, stored.text) != (block.rows, block.checksum):
            raise Differs(
                f"block {block.number} of logs (ids {first} to {last}) differs: {block.rows:,} rows with checksum "
                f"{block.checksum} were sent, and {stored.rows:,} with {stored.text} are in database "
                f"{self.database.name}: somebody has changed it; make it anew and copy again"
            )

    def check_strays(self, blocks: dict[int, Block]) -> None:
        """Whether there are more rows than those of `blocks`. Raises `Differs`."""
        expected = sum(block.rows for block in blocks.values())
        with self.database.reading() as connection:
            found = connection.exec_driver_sql("SELECT count(*) FROM logs").scalar_one()
        if found != expected:
            raise Differs(f"logs has {found:,} rows in database {self.database.name}, and {expected:,} were sent")

    def write_tables(
        self, tables: Iterable[tuple[Table, Iterable[Sequence[Any]]]], now: datetime
    ) -> tuple[dict[str, int], dict[str, list[int]]]:
        """Put the rows of every other table in the place of what there is, compare them, and call the copy whole.

        One transaction. Returns the number of rows by table, and what was changed in them. Raises `Differs`.
        """
        counts: dict[str, int] = {}
        changed: dict[str, list[int]] = {}
        with self._writing() as (connection, raw):
            for table, rows in tables:
                # its triggers would list hosts a second time, or refuse to empty the audit trail
                connection.exec_driver_sql(f'ALTER TABLE "{table.name}" DISABLE TRIGGER USER')
                connection.exec_driver_sql(f'DELETE FROM "{table.name}"')
                encoder = TableLines(table)
                counts[table.name] = self._write_table(raw, encoder, rows)
                if encoder.replaced:
                    changed[f"{LOST_TEXT} (table {table.name})"] = [encoder.replaced]
                connection.exec_driver_sql(f'ALTER TABLE "{table.name}" ENABLE TRIGGER USER')
            self._set_sequences(connection)
            self._keep_what_was_lost(connection, now)
            connection.exec_driver_sql(f"UPDATE {COPY} SET whole = true")
        return counts, changed

    def count_tables(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.database.reading() as connection:
            return {
                table.name: connection.exec_driver_sql(f'SELECT count(*) FROM "{table.name}"').scalar_one()
                for table in metadata.sorted_tables
            }

    def end(self) -> None:
        """The database is whole and in use from now on."""
        with self.database.writing() as connection:
            for name in (_CHANGES, _BLOCKS, COPY):
                connection.exec_driver_sql(f"DROP TABLE {name}")
            # the server itself never looks at `logs` as a whole, and at its parts later
            connection.exec_driver_sql("ANALYZE")

    def read_changes(self) -> dict[str, list[int]]:
        """What rows of `logs` could not be stored with: of each kind how many rows, and the first three ids."""
        query = f"SELECT what, count(*), (array_agg(log_id ORDER BY log_id))[1:3] FROM {_CHANGES} GROUP BY what"
        with self.database.reading() as connection:
            return {what: [count, *ids] for what, count, ids in connection.exec_driver_sql(query)}

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, psycopg.Connection[Any]]]:
        with self.database.writing() as connection:
            connection.exec_driver_sql("SET LOCAL client_encoding = 'UTF8'")
            connection.exec_driver_sql("SET LOCAL bytea_output = 'hex'")
            yield connection, as_psycopg(connection.connection.driver_connection)

    def _delete_block(self, connection: Connection, number: int) -> None:
        ids = block_ids(number)
        connection.exec_driver_sql("DELETE FROM logs WHERE id BETWEEN %s AND %s", ids)
        connection.exec_driver_sql(f"DELETE FROM {_CHANGES} WHERE log_id BETWEEN %s AND %s", ids)
        connection.exec_driver_sql(f"DELETE FROM {_BLOCKS} WHERE block = %s", (number,))

    def _send_logs(self, raw: psycopg.Connection[Any], lines: list[bytes]) -> tuple[list[bytes], set[int]]:
        """The lines as they are stored, and which rows have another id because theirs is another row's already."""
        try:
            with raw.transaction():
                _copy(raw, logs, lines)
            return lines, set()
        except psycopg.errors.UniqueViolation:
            lines, moved = _make_unique(raw, lines)
            _copy(raw, logs, lines)
            return lines, moved

    def _write_table(self, raw: psycopg.Connection[Any], encoder: TableLines, rows: Iterable[Sequence[Any]]) -> int:
        table, sent, stored = encoder.table, Checksum(), Checksum()
        names = column_names(table)
        with raw.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
            encoded = encoder.encode(rows)
            while part := list(islice(encoded, _ROWS_AT_ONCE)):
                copy.write(b"".join(line for line, _ in part))
                sent.add(compared for _, compared in part)
        stored.add(_read_lines(raw, f'SELECT {compared_columns(table)} FROM "{table.name}"'))
        if (sent.rows, sent.text) != (stored.rows, stored.text):
            raise Differs(
                f"table {table.name} differs: {sent.rows:,} rows with checksum {sent.text} were sent, "
                f"and {stored.rows:,} with {stored.text} are in database {self.database.name}"
            )
        return sent.rows

    def _set_sequences(self, connection: Connection) -> None:
        for table in metadata.sorted_tables:
            if "id" not in table.c or not isinstance(table.c.id.type, BigInteger):
                continue
            sequence = connection.exec_driver_sql("SELECT pg_get_serial_sequence(%s, 'id')", (table.name,)).scalar()
            last = connection.exec_driver_sql(f'SELECT max(id) FROM "{table.name}"').scalar()
            if sequence and last is not None and last > 0:
                connection.exec_driver_sql("SELECT setval(%s::regclass, %s)", (sequence, last))

    def _keep_what_was_lost(self, connection: Connection, now: datetime) -> None:
        """Each row of an old database that was changed leaves a dead letter with all that it held."""
        connection.exec_driver_sql(
            "INSERT INTO dead_letters (received_at, topic, source_host, reason, size, payload)"
            " SELECT %s, '', nullif(host, ''), what || ': row ' || log_id || ' of logs of the SQLite database',"
            f" length(held), substr(held, 1, {_LETTER_BYTES}) FROM {_CHANGES} ORDER BY log_id",
            (now,),
        )


def block_ids(number: int) -> tuple[int, int]:
    """The first and the last id of a block of `logs`."""
    return number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS - 1


def _copy(raw: psycopg.Connection[Any], table: Table, lines: Sequence[bytes]) -> None:
    names = column_names(table)
    with raw.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        copy.write(b"".join(lines))


def _read_lines(raw: psycopg.Connection[Any], query: str) -> Iterator[bytes]:
    """The rows of `query` as COPY writes them, each with its end."""
    rest = b""
    with raw.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
        for data in copy:
            *lines, rest = (rest + bytes(data)).split(b"\n")
            yield from (line + b"\n" for line in lines)


def _make_unique(raw: psycopg.Connection[Any], lines: Iterable[bytes]) -> tuple[list[bytes], set[int]]:
    """Rows of an old database may share an id: all but the first get one made of their number."""
    split = [line.split(b"\t", 2) for line in lines]
    ids = [event_id.decode() for _, event_id, _ in split]
    found = raw.execute("SELECT event_id::text FROM logs WHERE event_id = ANY(%s::uuid[])", (ids,))
    taken = {str(row[0]) for row in found}
    made: list[bytes] = []
    moved: set[int] = set()
    for (number, _, rest), event_id in zip(split, ids, strict=True):
        if event_id in taken:
            event_id = str(stable_id("shared", number.decode(), event_id))  # noqa: PLW2901 -- the id that it gets
            moved.add(int(number))
        taken.add(event_id)
        made.append(b"\t".join((number, event_id.encode(), rest)))
    return made, moved
