"""What is left of a host that is forgotten, and who may write of it again, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from host_status import read_status
from sqlalchemy import func, select, update
from store_samples import NOW, a_batch, an_event

from core.messages import FORGOTTEN
from store import Beat, EnrolledHosts, EventFilter, FoundScore, HeldVerdict, Store
from store import forget as forgetting
from store.detections import Step
from store.found_alerts import Finding, Subject
from store.tables import BLOCK_ROWS, SEGMENT_ROWS, cursors, enrolled, event_minutes, log_blocks, logs, metadata

LATER = NOW + timedelta(minutes=5)


def enrol(store: Store, host: str, token: str = "token") -> int:
    store.add_token(token, host, 1, NOW + timedelta(hours=1), "local:eva", NOW, replaces=False)
    number = store.use_token(token, host, "secret", b"sealed", NOW)
    assert number is not None
    store.finish_order(number, None, NOW)
    return number


def live(store: Store, host: str) -> None:
    """A life of three hours, which ends in an outage; with a score, and with what host and rules have said."""
    beats = [Beat(host, "LINUX", NOW - timedelta(hours=3 - hour), hour + 1, "b1", 3_600.0, 0, 0.1) for hour in range(3)]
    for beat in beats:
        store.write(a_batch(an_event(host), at=beat.at, beats=[beat]))
    store.record_info(host, '{"tags":["web"]}', NOW)
    lose(store, host)
    store.keep_scores([FoundScore(host, 80, "{}")], NOW)
    finding = Finding(Subject("brute-force", f"from {host}"), host, 4, f"{host} is attacked", NOW, lasts=True)
    store.record_findings([finding], [], NOW)


def lose(store: Store, host: str, version: int = 0, order: int | None = None) -> bool:
    [claims] = store.claim([HeldVerdict(host, "offline", "crashed", NOW, None, version)], NOW, order)
    return [one.source_host for one in claims.won] == [host]


def tables_naming(store: Store, host: str) -> set[str]:
    found = set()
    with store.database.reading() as connection:
        for table in metadata.tables.values():
            if (
                "source_host" in table.c
                and connection.execute(select(table.c.source_host).where(table.c.source_host == host).limit(1)).first()
            ):
                found.add(table.name)
    return found


def delete_all_events(store: Store, host: str) -> int:
    deleted, newest = 0, store.forgetting.newest_event()
    while newest >= 0:
        done, newest = store.forgetting.delete_events(host, newest)
        deleted += done
    return deleted


def count(store: Store, host: str) -> int:
    return len(store.events(EventFilter(source_host=host), 1_000).events)


def test_of_a_forgotten_host_its_events_and_what_was_told_of_it_stay(store: Store) -> None:
    live(store, "web-01")
    live(store, "web-02")
    before = tables_naming(store, "web-02")
    store.forgetting.forget("web-01", "eva", LATER)
    assert tables_naming(store, "web-01") == {"logs", "alerts"}
    assert tables_naming(store, "web-02") == before
    assert store.get_host("web-01") is None
    assert not store.forgetting.is_known("web-01")
    assert [host.hostname for host in read_status(store, 1e6, NOW).active] == ["web-02"]
    assert count(store, "web-01") == 3
    assert [(one.who, one.action, one.target) for one in store.audit(1)] == [("eva", "host.forget", "web-01")]


def test_its_open_alerts_end_and_say_why(store: Store) -> None:
    live(store, "web-01")
    live(store, "web-02")
    ended = store.forgetting.forget("web-01", "eva", LATER)
    resolved = store.read_alerts(10, "resolved")
    assert {one.id for one in resolved} == set(ended)
    assert [(one.source_host, one.resolved_at) for one in resolved] == [("web-01", LATER)] * 2
    assert all(one.text.endswith(FORGOTTEN) for one in resolved)
    assert {one.source_host for one in store.read_open_alerts()} == {"web-02"}


def test_the_hours_and_days_of_its_heartbeats_go(store: Store) -> None:
    live(store, "web-01")
    store.roll_up_beats(NOW + timedelta(days=15))
    assert "beat_days" in tables_naming(store, "web-01")
    store.write(a_batch(beats=[Beat("web-01", "LINUX", NOW + timedelta(days=15), 9, "b1", 3_600.0, 0, 0.1)]))
    assert "beat_hours" in tables_naming(store, "web-01")
    store.forgetting.forget("web-01", "eva", LATER)
    assert tables_naming(store, "web-01") == {"logs", "alerts"}


def test_a_host_that_comes_back_begins_anew(store: Store) -> None:
    live(store, "web-01")
    store.forgetting.forget("web-01", "eva", LATER)
    at = LATER + timedelta(minutes=1)
    store.write(a_batch(an_event("web-01"), at=at, beats=[Beat("web-01", "LINUX", at, 1, "b2", 30.0, 0, 0.1)]))
    host, figures = store.get_host("web-01"), store.read_beats("web-01", at)
    assert host is not None
    assert figures is not None
    assert (host.total_events, host.state, host.tags, host.score) == (1, None, [], None)
    assert (figures.total, figures.began_at, store.read_outages("web-01", 9)) == (1, at, [])


def test_nothing_is_claimed_of_it_from_a_memory_that_is_older(store: Store) -> None:
    live(store, "web-01")
    heard = store.forgetting.newest_order()
    store.forgetting.forget("web-01", "eva", LATER)
    assert not lose(store, "web-01", 1, heard)
    assert not lose(store, "web-01", 0, heard)
    assert "verdicts" not in tables_naming(store, "web-01")
    found, newest = store.forgetting.read(heard)
    assert (found.hosts, len(found.alert_ids)) == (["web-01"], 2)
    assert store.forgetting.read(newest) == (forgetting.Forgotten([], []), newest)
    # who has heard of it speaks of another host
    assert lose(store, "web-01", 0, newest)


def test_a_score_that_was_found_before_is_not_kept(store: Store) -> None:
    live(store, "web-01")
    store.forgetting.forget("web-01", "eva", LATER)
    assert store.keep_scores([FoundScore("web-01", 80, "{}")], LATER) == []
    assert store.read_score("web-01") is None


def test_what_was_written_of_it_by_who_did_not_know_is_swept_unless_it_is_back(store: Store) -> None:
    live(store, "web-01")
    store.forgetting.forget("web-01", "eva", LATER)
    assert lose(store, "web-01")
    assert len(store.forgetting.sweep(["web-01"], LATER)) == 1
    assert tables_naming(store, "web-01") == {"logs", "alerts"}
    store.record_heartbeat("web-01", "LINUX", LATER)
    assert store.forgetting.sweep(["web-01"], LATER) == []
    assert store.get_host("web-01") is not None


def test_an_enrolled_host_is_barred_and_stays_so_until_it_is_enrolled_anew(store: Store) -> None:
    enrol(store, "web-01")
    live(store, "web-01")
    number = store.forgetting.bar("web-01", "eva", LATER)
    assert store.forgetting.bar("web-01", "eva", LATER) == number
    assert [(order.kind, order.host) for order in store.read_orders()] == [("forget", "web-01")]
    store.finish_order(number or 0, None, LATER)
    store.forgetting.forget("web-01", "eva", LATER)
    assert not store.forgetting.is_known("web-01")
    assert store.forgetting.bar("web-01", "eva", LATER) is None
    # what waited on the broker
    late = a_batch(an_event("web-01"), at=LATER, beats=[Beat("web-01", "LINUX", LATER)])
    assert (store.write(late).dropped, store.record_info("web-01", "{}", LATER)) == (2, False)
    assert store.get_host("web-01") is None
    with store.database.reading() as connection:
        kept = connection.execute(select(enrolled.c.token_hash, enrolled.c.secret_hash)).all()
    assert [tuple(row) for row in kept] == [("", "")]
    enrol(store, "web-01", "second")
    assert store.write(late).dropped == 0
    assert store.forgetting.is_known("web-01")


def test_a_forgotten_name_may_be_taken_in_other_letters(store: Store) -> None:
    enrol(store, "Web-01")
    store.forgetting.bar("Web-01", "eva", LATER)
    store.forgetting.forget("Web-01", "eva", LATER)
    enrol(store, "web-01", "second")
    names = EnrolledHosts(store.database)
    names.refresh()
    assert (names.names, names.revoked) == ({"web-01"}, set())


def test_a_host_that_is_enrolled_and_was_never_heard_is_known_until_it_is_forgotten(store: Store) -> None:
    assert not store.forgetting.is_known("web-01")
    enrol(store, "web-01")
    assert store.forgetting.is_known("web-01")
    assert store.forgetting.bar("web-01", "eva", NOW) is not None
    assert store.forgetting.is_known("web-01")
    store.forgetting.forget("web-01", "eva", NOW)
    assert not store.forgetting.is_known("web-01")
    assert store.read_enrolled()[0] == []


def test_its_events_go_some_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "EVENTS_PER_TRANSACTION", 4)
    for _ in range(5):
        store.write(a_batch(*(an_event(host) for host in ("web-01", "web-02", "web-01"))))
    newest = store.forgetting.newest_event()
    done, newest = store.forgetting.delete_events("web-01", newest)
    assert (done, count(store, "web-01")) == (4, 6)
    # killed here, it is begun again
    assert delete_all_events(store, "web-01") == 6
    assert (count(store, "web-01"), count(store, "web-02")) == (0, 5)
    assert delete_all_events(store, "web-01") == 0


def test_all_of_its_events_go_where_they_are_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "EVENTS_PER_TRANSACTION", 4)
    store.write(a_batch(an_event("web-02"), *(an_event("web-01") for _ in range(10))))
    assert delete_all_events(store, "web-01") == 10
    assert (count(store, "web-01"), count(store, "web-02")) == (0, 1)


def test_who_reads_what_is_new_misses_nothing_after_the_newest_was_deleted(store: Store) -> None:
    store.write(a_batch(an_event("web-02"), an_event("web-01"), an_event("web-01"), beats=[]))
    read = store.detections.read_new(store.detections.begin() - 3, 10)
    assert len(read) == 3
    _, newest_host = store.read_new_hosts(0)
    delete_all_events(store, "web-01")
    store.forgetting.forget("web-01", "eva", LATER)
    store.write(a_batch(an_event("web-03")))
    assert [one.source_host for one in store.detections.read_new(read[-1].id, 10)] == ["web-03"]
    assert "web-03" in store.read_new_hosts(newest_host)[0]


def test_where_nothing_is_left_who_reads_what_is_new_begins_anew(store: Store) -> None:
    store.write(a_batch(an_event("web-01"), an_event("web-01")))
    cursor = store.detections.begin()
    _, newest_host = store.read_new_hosts(0)
    delete_all_events(store, "web-01")
    store.forgetting.forget("web-01", "eva", LATER)
    _, newest_host = store.read_new_hosts(newest_host)
    store.write(a_batch(an_event("web-03")))
    assert store.read_new_hosts(newest_host)[0] == ["web-03"]
    with store.database.reading() as connection:
        kept = connection.execute(select(cursors.c.log_id)).scalar_one()
    assert [one.source_host for one in store.detections.read_new(kept, 10)] == ["web-03"]
    # who was at the end before is told
    assert store.detections.is_at(cursor) == (kept == cursor)
    assert (store.detections.advance(cursor, Step(cursor), LATER) is None) == (kept != cursor)


def test_events_that_are_deleted_count_in_no_minute(store: Store) -> None:
    for host in ("web-01", "web-02", "web-01"):
        for minutes in (0, 1):
            store.write(a_batch(an_event(host), an_event(host, severity=5), at=NOW + timedelta(minutes=minutes)))
    assert delete_all_events(store, "web-01") == 8
    query = select(event_minutes.c.severity, func.sum(event_minutes.c.events)).group_by(event_minutes.c.severity)
    with store.database.reading() as connection:
        counted = {severity: int(events) for severity, events in connection.execute(query)}
    assert counted == {3: 2, 5: 2}


def test_an_event_that_becomes_the_newest_is_found_by_its_time(store: Store) -> None:
    if not store.database.reuses_ids:
        pytest.skip("no row gets another id")
    store.write(a_batch(an_event("web-02"), at=NOW - timedelta(hours=1)))
    store.write(a_batch(an_event("web-01")))
    with store.database.writing() as connection:
        # as if a segment lay between the two
        connection.execute(update(logs).where(logs.c.source_host == "web-01").values(id=SEGMENT_ROWS + 5))
        blocks = (0, SEGMENT_ROWS // BLOCK_ROWS)
        rows = [{"block": one, "writer": 0, "stored_from": NOW, "stored_until": NOW} for one in blocks]
        rows[0]["stored_from"] = NOW - timedelta(hours=1)
        connection.execute(log_blocks.delete())
        connection.execute(log_blocks.insert(), rows)
    assert delete_all_events(store, "web-01") == 1
    with store.database.reading() as connection:
        found = connection.execute(select(logs.c.id, logs.c.source_host)).all()
        begun = connection.execute(select(log_blocks.c.stored_from).where(log_blocks.c.block == blocks[1])).scalar_one()
    assert [tuple(row) for row in found] == [(SEGMENT_ROWS + 5, "web-02")]
    assert begun == NOW - timedelta(hours=1)
