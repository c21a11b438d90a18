"""What the watch finds out from time to time, from a real database to what is shown of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import utc_now
from store import Beat, HeldVerdict, Store, open_store
from watch.marks import mark_host

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mini_siem.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, checkpointer=True)
    yield opened
    opened.close()


def beat_through(store: Store, host: str, begin: datetime, count: int, lost: frozenset[int] = frozenset()) -> None:
    store.record_heartbeats(
        Beat(host, "LINUX", begin + timedelta(minutes=n), n, "boot", 60.0, 0, 0.01)
        for n in range(count)
        if n not in lost
    )


def fall(store: Store, host: str, at: datetime, minutes: float) -> None:
    held = {one.source_host: one.version for one in store.read_verdicts()}
    version = held.get(host, 0)
    down = HeldVerdict(host, "offline", "crashed", at, None, version)
    up = HeldVerdict(host, "online", "", at + timedelta(minutes=minutes), None, version + 1)
    for one in (down, up):
        list(store.claim([one], one.since))


def test_a_boring_host_has_a_hundred_and_one_that_fell_has_less(store: Store) -> None:
    for host in ("boring", "fell"):
        beat_through(store, host, NOON - timedelta(days=1), 24 * 60)
    fall(store, "fell", NOON - timedelta(hours=2), 30)
    boring, fell = (mark_host(store, host, "online", NOON) for host in ("boring", "fell"))
    assert boring.value == 100
    assert fell.value is not None
    assert 50 < fell.value < 95
    told = json.loads(fell.told)
    assert told["uptime"][0]["down_seconds"] == 1_800
    assert told["uptime"][0]["share"] == pytest.approx(1 - 30 / (24 * 60), abs=1e-4)
    store.keep_scores([boring, fell], NOON)
    assert store.read_score("fell") == fell
    known = store.get_host("fell")
    assert known is not None
    assert known.score == fell.value


def test_lost_heartbeats_cost_points_and_say_so(store: Store) -> None:
    beat_through(store, "lossy", NOON - timedelta(days=1), 24 * 60, frozenset(range(100, 1_400, 10)))
    found = mark_host(store, "lossy", "online", NOON)
    assert found.value is not None
    assert found.value < 90
    assert "heartbeats lost" in json.loads(found.told)["words"]


def test_a_host_of_which_nothing_was_heard_has_no_score(store: Store) -> None:
    assert mark_host(store, "enrolled", "new", NOON).value is None


def test_the_survey_finds_a_planted_habit_in_a_process_of_its_own(store: Store, url: str) -> None:
    now = utc_now().replace(hour=12, minute=0, second=0, microsecond=0)
    for host in ("nightly", *(f"quiet-{number}" for number in range(5))):
        beat_through(store, host, now - timedelta(days=80), 3)
    for day in range(1, 60):
        fall(store, "nightly", now - timedelta(days=day, hours=10, minutes=day % 7), 10)
    done = subprocess.run(
        [sys.executable, "-m", "watch.survey"], input=url, text=True, capture_output=True, timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kinds = {pattern.kind: pattern for pattern in store.read_patterns("nightly")}
    assert "time_of_day" in kinds
    assert kinds["time_of_day"].words.startswith("nightly goes down between ")
    assert store.read_patterns("quiet-1") == []
