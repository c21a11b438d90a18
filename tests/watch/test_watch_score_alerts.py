"""A host whose score sinks has one alert, until it is well above the number again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store import FoundScore, Store, open_store
from watch.score_alerts import judge_scores

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'mini_siem.db'}")
    yield opened
    opened.close()


def judge(store: Store, **scores: int | None) -> tuple[list[str | None], list[str | None]]:
    marks = [FoundScore(host, value, '{"words": "loses 3 % of its heartbeats"}') for host, value in scores.items()]
    opened, resolved = judge_scores(store, marks, 50, NOON)
    return [one.source_host for one in opened], [one.source_host for one in resolved]


def test_a_score_that_sinks_is_one_alert_until_it_is_well_above(store: Store) -> None:
    assert judge(store, web=51, db=49, new=None) == (["db"], [])
    assert judge(store, web=50, db=10) == ([], [])
    assert judge(store, db=54) == ([], []), "not yet"
    assert judge(store, db=55) == ([], ["db"])
    assert judge(store, db=49) == (["db"], []), "and again"
    [alert] = store.read_open_alerts()
    assert (alert.kind, alert.subject, alert.severity) == ("score", "db", 3)
    assert alert.text == "db has a score of 49, below 50: loses 3 % of its heartbeats"


def test_a_host_without_a_score_any_more_has_no_alert(store: Store) -> None:
    judge(store, db=1)
    assert judge(store, db=None) == ([], ["db"])
