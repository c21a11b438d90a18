"""FTL's database, written as FTL writes it: real SQLite files with the schemas in `recorded/`, and a day of queries."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

RECORDED = Path(__file__).parent / "recorded"
SCHEMAS = ("ftl-5", "ftl-5.25", "ftl-6", "ftl-6-joins")
BLOCKED = (1, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 18)  # by Pi-hole's documentation
MORNING = datetime(2026, 11, 23, 6, 55, 0, tzinfo=UTC)


class Asked(NamedTuple):
    """A query as FTL knows it, before it is written."""

    at: datetime = MORNING
    domain: Any = "ads.example.com"
    client: Any = "192.0.2.10"
    status: Any = 1
    type: Any = 1
    info: Any = None


class Ftl:
    """Writes the database at `path`, made when it is not there. Its connection stays open, as FTL's does."""

    def __init__(self, path: Path, schema: str = "ftl-6", wal: bool = True, created: int = 1_700_000_000) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
        self.db.executescript((RECORDED / f"{schema}.sql").read_text())
        self.plain = schema == "ftl-5"
        self.table = "queries" if self.plain else "query_storage"
        self.db.execute("INSERT INTO ftl (id, value) VALUES (2, ?)", (created,))

    def write(self, queries: Iterable[Asked]) -> None:
        """`queries` in one transaction, as FTL does once a minute."""
        self.db.execute("BEGIN IMMEDIATE")
        for query in queries:
            self._insert(query)
        self.db.execute("COMMIT")

    def ask(self, count: int = 1, **fields: Any) -> None:
        """`count` queries, a second apart."""
        first = Asked(**fields)
        self.write(first._replace(at=first.at + timedelta(seconds=number)) for number in range(count))

    def _insert(self, query: Asked) -> None:
        at = query.at.timestamp() if isinstance(query.at, datetime) else query.at
        at = int(at) if self.plain else at
        row = [at, query.type, query.status]
        if self.plain:
            row += [query.domain, query.client, query.info]
        else:
            row.append(self._number_of("domain_by_id", domain=query.domain))
            row.append(self._number_of("client_by_id", ip=query.client, name=""))
            row.append(None if query.info is None else self._number_of("addinfo_by_id", type=1, content=query.info))
        self.db.execute(
            f"INSERT INTO {self.table} (timestamp, type, status, domain, client, additional_info)"
            " VALUES (?, ?, ?, ?, ?, ?)", row,
        )  # fmt: skip

    def _number_of(self, table: str, **values: Any) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", list(values.values()))
        where = " AND ".join(f"{name} IS ?" for name in values)
        found = self.db.execute(f"SELECT id FROM {table} WHERE {where}", list(values.values())).fetchone()
        return int(found[0])

    def loosen(self) -> None:
        """Take the constraints away, so that rows may hold what FTL never writes."""
        self.db.execute("DROP VIEW queries")
        self.db.execute("CREATE TABLE queries (id INTEGER PRIMARY KEY, timestamp, type, status, domain, client)")

    def delete(self, where: str, *values: Any) -> int:
        """What retention (`timestamp <= ?`) and a flush (`timestamp >= ?`) do."""
        return self.db.execute(f"DELETE FROM {self.table} WHERE {where}", values).rowcount

    def close(self) -> None:
        self.db.close()


def a_day(seed: int, queries: int = 6_000) -> list[Asked]:
    """A day of a household: `queries` in the order of time, a third of them blocked, many of them repeated at once."""
    chance = random.Random(seed)
    clients = ["192.0.2.10", "192.0.2.11", "192.0.2.12", "2001:db8::7", "192.0.2.250"]
    domains = [
        f"{name}.example.{end}" for name in ("ads", "track", "telemetry", "cdn", "api") for end in ("com", "net")
    ]
    allowed = (0, 2, 2, 2, 3, 3, 12, 13, 14, 17)
    at, asked = MORNING.replace(hour=0), []
    while len(asked) < queries:
        at += timedelta(seconds=chance.expovariate(queries / 86_400 * 2))
        status = chance.choice(BLOCKED) if chance.random() < 0.33 else chance.choice(allowed)
        query = Asked(at, chance.choice(domains), chance.choice(clients), status, chance.choice((1, 2, 16)))
        repeats = chance.randrange(1, 6) if chance.random() < 0.3 else 1
        for _ in range(min(repeats, queries - len(asked))):
            at += timedelta(seconds=chance.random())
            asked.append(query._replace(at=at))
    return asked
