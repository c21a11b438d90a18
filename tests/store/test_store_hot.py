"""PostgreSQL: what changes with every heartbeat and event is changed within its page, and no index is written anew."""

from __future__ import annotations

from datetime import timedelta

import pytest
from store_samples import NOW, a_batch, an_event

from store import Beat, Store

HOSTS, ROUNDS = 300, 40


@pytest.mark.postgresql
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["heartbeats", "activity", "beats"])
def test_nearly_all_changes_are_hot(store: Store, table: str) -> None:
    names = [f"web-{number:03}" for number in range(HOSTS)]
    for turn in range(ROUNDS):
        at = NOW + timedelta(seconds=30 * turn)
        store.write(a_batch(*(an_event(name) for name in names), at=at))
        store.record_heartbeats([Beat(name, "LINUX", at, interval_s=30) for name in names])
    with store.database.writing() as connection:
        run = connection.exec_driver_sql
        run("SELECT pg_stat_force_next_flush()")
    with store.database.writing() as connection:
        run = connection.exec_driver_sql
        run("SELECT pg_stat_clear_snapshot()")
        changed, hot = run(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", (table,)
        ).one()
    assert changed >= HOSTS * (ROUNDS - 1)
    assert hot >= 0.95 * changed, hot / changed
