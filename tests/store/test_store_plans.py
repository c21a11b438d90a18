"""PostgreSQL: no question that people ask reads all of `logs`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event

from bench import month
from bench.load import host_name
from core.clock import utc_now
from store import EventFilter, HostFilter, Store

pytestmark = [pytest.mark.postgresql, pytest.mark.parametrize("url", ["postgresql"], indirect=True)]
_EMPTY = "cost=0.00..0.00"  # a partition made ahead
ROWS, FLEET = 60_000, 2_000

ASKED: dict[str, Callable[[Store], object]] = {
    "the newest events": lambda store: store.events(EventFilter(), 50),
    "of a busy host": lambda store: store.events(EventFilter(source_host=host_name(7)), 50),
    "of a quiet host": lambda store: store.events(EventFilter(source_host=host_name(1_999)), 50),
    "of a type on a day": lambda store: store.events(
        EventFilter(event_type="PORT_SCAN", since=utc_now() - timedelta(days=9), until=utc_now() - timedelta(days=8)),
        50,
    ),
    "one by its id": lambda store: store.get_event("01890000-0000-7000-8000-000000000000"),
    "the histogram": lambda store: store.count_events(
        EventFilter(), utc_now() - timedelta(days=30), utc_now(), 60, utc_now()
    ),
    "the summary": lambda store: store.read_summary(utc_now()),
    "a host": lambda store: store.get_host(host_name(7)),
    "all hosts": lambda store: list(store.walk_status(15, utc_now())),
    "a page of hosts": lambda store: store.host_list.page(HostFilter(), "total_events", 50, descending=True),
}


@pytest.fixture
def filled(store: Store) -> Store:
    now = utc_now()
    month.fill_hosts(store, FLEET, now)
    month.fill_logs(store, FLEET, 0, ROWS, ROWS, now)
    with store.database.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
    return store


def test_no_question_reads_all_logs(filled: Store) -> None:
    run: list[tuple[str, object]] = []
    event.listen(
        filled.database.reader, "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, _context, _many: run.append((statement, parameters)),
    )  # fmt: skip
    for what, ask in ASKED.items():
        run.clear()
        ask(filled)
        asked = [(statement, parameters) for statement, parameters in run if "SELECT" in statement]
        assert asked, what
        for statement, parameters in asked:
            with filled.database.writing() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()  # type: ignore[arg-type]
            whole = [
                line for line in plan if re.search(r"Seq Scan on logs_(\d{8}|default)\b", line) and _EMPTY not in line
            ]
            assert not whole, f"{what}: {statement}\n" + "\n".join(plan)
