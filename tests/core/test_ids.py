from __future__ import annotations

import time
import uuid

from core.ids import stable_id, uuid7, uuid7_ms


def test_ids_ascend_and_carry_the_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = [uuid7() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert {(made.version, made.variant) for made in ids} == {(7, uuid.RFC_4122)}
    first = uuid7_ms(ids[0])
    assert first is not None
    assert before <= first <= time.time_ns() // 1_000_000


def test_only_version_7_carries_a_time() -> None:
    assert uuid7_ms(uuid.uuid4()) is None


def test_the_same_parts_give_the_same_id_and_no_others() -> None:
    assert stable_id("web-01", "x") == stable_id("web-01", "x")
    assert stable_id("web-01", "x") != stable_id("web-0", "1x")
    assert stable_id("a", "b").version == 5
