"""Whatever a database says is one of our errors, and the same works again once the reason is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from store_samples import NOW, a_batch, an_event

from core.errors import Unavailable
from store import Store, Written, open_store


def run(store: Store, statement: str) -> None:
    with store.database.writing() as connection:
        connection.exec_driver_sql(statement)


def calls(store: Store) -> list[Callable[[], object]]:
    return [
        lambda: store.write(a_batch(an_event())),
        lambda: store.record_heartbeat("a", "LINUX", NOW),
        lambda: store.record_info("a", "{}", NOW),
        lambda: store.renew_lease("i", 1, "h", NOW, 30),
    ]


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except Unavailable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("table", ["logs", "heartbeats", "activity", "host_info", "leases"])
def test_a_table_that_is_away_for_a_while_is_unavailable(store: Store, table: str) -> None:
    for call in calls(store):
        call()
    run(store, f"ALTER TABLE {table} RENAME TO elsewhere")
    refused = [error for call in calls(store) if (error := refusal(call))]
    assert refused
    assert all(table in error for error in refused)
    run(store, f"ALTER TABLE elsewhere RENAME TO {table}")
    for call in calls(store):
        call()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("ALTER raw_message TYPE bytea USING ''", "ALTER raw_message TYPE text USING ''"),
        ("ADD more int NOT NULL DEFAULT 0; ALTER TABLE logs ALTER more DROP DEFAULT", "DROP more"),
        ("ADD CONSTRAINT none CHECK (severity > 9) NOT VALID", "DROP CONSTRAINT none"),
        ("RENAME raw_message TO message", "RENAME message TO raw_message"),
    ],
    ids=lambda statement: statement.split(" ")[0],
)
def test_tables_that_somebody_has_changed_are_unavailable_until_they_are_changed_back(broken: str, mended: str) -> None:
    from postgresql_server import database

    with database() as url:
        store = open_store(url)
        for _ in range(7):  # psycopg prepares a statement that has come five times
            assert store.write(a_batch(an_event())) == Written(1, 0, 0)
        run(store, f"ALTER TABLE logs {broken}")
        for _ in range(7):
            with pytest.raises(Unavailable):
                store.write(a_batch(an_event()))
        run(store, f"ALTER TABLE logs {mended}")
        assert store.write(a_batch(an_event())) == Written(1, 0, 0)
        store.close()


def test_a_file_that_is_damaged_while_it_is_open_is_unavailable_and_no_input_is_to_blame(tmp_path: Path) -> None:
    path = tmp_path / "mini_siem.db"
    store = open_store(f"sqlite:///{path}", checkpointer=True)
    store.write(a_batch(an_event()))
    store.close()
    sound = path.read_bytes()
    store = open_store(f"sqlite:///{path}", checkpointer=True)
    # all but the schema, which this process has read already
    path.write_bytes(sound[:4096] + b"\xa5" * (len(sound) - 4096))
    for call in calls(store):
        with pytest.raises(Unavailable, match="is damaged"):
            call()
    path.write_bytes(sound)
    for call in calls(store):
        call()
    store.close()


@pytest.mark.postgresql
def test_a_right_that_is_revoked_is_named_and_used_again_once_it_is_granted() -> None:
    from postgresql_server import database

    with database() as url:
        owner = open_store(url)
        run(owner, "CREATE ROLE writer LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO writer")
        try:
            run(owner, "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO writer; GRANT CREATE ON SCHEMA public TO writer")
            owner.write(a_batch(an_event()))  # the partitions of these days belong to the owner
            store = open_store(url.replace("heimdall@", "writer@"))
            run(owner, "REVOKE INSERT ON heartbeats FROM writer")
            with pytest.raises(Unavailable, match="refuses its user: permission denied for table heartbeats"):
                store.write(a_batch(an_event()))
            run(owner, "GRANT INSERT ON heartbeats TO writer")
            assert store.write(a_batch(an_event())) == Written(1, 0, 0)
            store.close()
        finally:
            run(owner, "DROP OWNED BY writer; DROP ROLE writer")
            owner.close()
