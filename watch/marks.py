"""Marks: each host's score and uptime, of what the store knows of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from core.messages import VerdictState
from store import BeatFigures, BeatHour, FoundScore, Outage, Store
from store.rows import latency_of
from watch.flapping import is_flapping
from watch.score import Beats, Figures, Score, score_host
from watch.uptime import Uptime, measure_uptime, say_uptime

MOST_OUTAGES = 1_000  # of a host, the newest


def mark_host(store: Store, host: str, state: VerdictState, now: datetime) -> FoundScore:
    """The score of `host`, which is held to be `state`, with its parts and its uptime as JSON. Raises `Unavailable`."""
    outages = store.read_outages(host, MOST_OUTAGES)
    figures = store.read_beats(host, now)
    hours = store.read_beat_hours(host, now - timedelta(days=7), now)
    heard_at = figures.began_at if figures is not None else _first_known(store, host, outages)
    uptimes = measure_uptime(outages, heard_at, now)
    flapping = is_flapping(outages, now, before=False)
    score = score_host(_gather(state, uptimes, flapping, figures, hours, now))
    return FoundScore(host, score.value, _tell(score, uptimes, flapping))


def _first_known(store: Store, host: str, outages: Sequence[Outage]) -> datetime | None:
    """A host without heartbeats is known since its first outage, or since it was last heard."""
    if outages:
        return outages[-1].began_at
    known = store.get_host(host)
    return None if known is None else known.since or known.last_seen


def _gather(
    state: VerdictState, uptimes: Sequence[Uptime], flapping: bool, figures: BeatFigures | None,
    hours: Sequence[BeatHour], now: datetime,
) -> Figures:  # fmt: skip
    day, week, month, _ = uptimes
    if figures is None:
        return Figures(state, day, week, month, flapping)
    numbered = figures.loss is not None
    of_day = [hour for hour in hours if hour.hour >= now - timedelta(days=1)]
    return Figures(
        state, day, week, month, flapping,
        _count(of_day) if numbered else None,
        _count(hours) if numbered else None,
        figures.interval_s,
        figures.jitter,
        figures.latency_p95,
        latency_of(hours)[1],
        figures.spool,
        None if figures.skew is None else abs(figures.skew),
    )  # fmt: skip


def _count(hours: Sequence[BeatHour]) -> Beats:
    lost = sum(hour.lost for hour in hours)
    return Beats(sum(hour.beats for hour in hours) + max(lost, 0), lost)


def _tell(score: Score, uptimes: Sequence[Uptime], flapping: bool) -> str:
    told = {
        "words": score.words,
        "flapping": flapping,
        "score_parts": [dataclasses.asdict(part) for part in score.parts],
        "uptime": [{**dataclasses.asdict(uptime), "words": say_uptime(uptime)} for uptime in uptimes],
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
