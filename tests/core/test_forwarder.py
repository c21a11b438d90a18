"""The forwarder: what goes out when, and that receipts in any order delete exactly what they name."""

from __future__ import annotations

import json
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.forwarder import LONGEST_PATIENCE_SECONDS, PATIENCE_SECONDS, Forwarder
from core.ids import uuid7
from core.messages import Event
from core.spool import Batch, Receipt, Spool

AT = datetime(2026, 1, 1, tzinfo=UTC)


def fill(spool: Spool, count: int) -> None:
    spool.append([
        Event(uuid7(), AT, "web-01", "LINUX", "LOGIN_FAIL", 3, f"event {number:06d}") for number in range(count)
    ])  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool.db")


def small(spool: Spool, window: int = 8) -> Forwarder:
    """Batches of some three events."""
    return Forwarder(spool, window, max_bytes=700)


def ids(batches: list[Batch]) -> list[str]:
    return [event["event_id"] for batch in batches for event in json.loads(batch.payload)]


def test_at_most_the_window_is_out(spool: Spool) -> None:
    fill(spool, 100)
    forwarder = small(spool)
    assert len(forwarder.due(0.0)) == 8
    assert forwarder.due(0.0) == []
    assert forwarder.waiting() == 8


def test_receipts_out_of_order_delete_exactly_what_they_name(spool: Spool) -> None:
    fill(spool, 60)
    forwarder = small(spool)
    seen: list[str] = []
    while batches := forwarder.due(0.0):
        seen += ids(batches)
        for batch in random.sample(batches, len(batches)):
            assert forwarder.receipts([forwarder.correlation(batch)]) == batch.count
    assert len(seen) == len(set(seen)) == 60
    assert (len(spool), forwarder.waiting()) == (0, 0)


def test_a_receipt_twice_or_of_another_spool_deletes_nothing(spool: Spool, tmp_path: Path) -> None:
    fill(spool, 10)
    forwarder = small(spool)
    batch = forwarder.due(0.0)[0]
    stranger = Receipt(Spool(tmp_path / "other.db").id, batch.first, batch.last).pack()
    assert forwarder.receipts([stranger]) == 0
    assert forwarder.receipts([None]) == 0
    assert forwarder.receipts([forwarder.correlation(batch)]) == batch.count
    assert forwarder.receipts([forwarder.correlation(batch)]) == 0
    assert len(spool) == 10 - batch.count


def test_a_batch_without_a_receipt_goes_out_again_with_growing_delays(spool: Spool) -> None:
    fill(spool, 1)
    forwarder = small(spool)
    now = 0.0
    assert len(forwarder.due(now)) == 1
    for attempt in range(8):
        delay = min(PATIENCE_SECONDS * 2**attempt, LONGEST_PATIENCE_SECONDS)
        assert forwarder.due(now + delay * 0.89) == []
        now += delay * 1.11
        assert len(forwarder.due(now)) == 1


def test_a_broken_connection_makes_due_what_had_no_puback(spool: Spool) -> None:
    fill(spool, 6)
    forwarder = small(spool)
    first, second = forwarder.due(0.0)[:2]
    forwarder.acknowledged(first)
    forwarder.disconnected(1.0)
    again = forwarder.due(1.0)
    assert second.first in {batch.first for batch in again}
    assert first.first not in {batch.first for batch in again}


def test_a_late_receipt_of_an_earlier_run_with_other_boundaries_loses_nothing(spool: Spool, tmp_path: Path) -> None:
    fill(spool, 9)
    earlier = small(spool)
    old = earlier.correlation(earlier.due(0.0)[0])
    later = Forwarder(Spool(tmp_path / "spool.db"))
    (large,) = later.due(0.0)
    assert large.count == 9
    deleted = later.receipts([old])
    assert deleted > 0
    assert later.waiting() == 1, "the rest of the batch is still out"
    assert len(spool) == 9 - deleted
    assert later.receipts([later.correlation(large)]) == 9 - deleted
    assert (len(spool), later.waiting()) == (0, 0)


STEPS = ["write", "deliver", "lose", "lose receipts", "restart", "disconnect", "late"]


@given(st.lists(st.sampled_from(STEPS), max_size=40), st.randoms())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_every_event_arrives_before_it_is_deleted(steps: list[str], chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "spool.db")
        forwarder, now, made = small(spool, 3), 0.0, 0
        arrived: set[str] = set()
        receipts: list[bytes] = []
        for step in [*steps, *["deliver"] * 200]:
            now += 2 * LONGEST_PATIENCE_SECONDS
            if step == "write":
                fill(spool, 4)
                made += 4
            elif step == "restart":
                forwarder = Forwarder(spool, 3, max_bytes=chance.choice([700, 2_000]))
            elif step == "disconnect":
                forwarder.disconnected(now)
            elif step == "late" and receipts:
                forwarder.receipts([chance.choice(receipts)])
            for batch in forwarder.due(now):
                if step == "lose":
                    continue
                arrived.update(ids([batch]))
                receipts.append(forwarder.correlation(batch))
                if step == "deliver":
                    forwarder.receipts(receipts[-1:])
            assert made - len(spool) <= len(arrived)
        assert (len(spool), forwarder.waiting()) == (0, 0)
        assert len(arrived) == made
        spool.close()
