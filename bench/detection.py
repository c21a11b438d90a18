"""Detection: what the default rules find in planted days and what they raise falsely; and how fast events are read."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import cast

from sqlalchemy import update

from bench.figure import Figure, Options, rate, ratio
from bench.load import Load
from bench.planted_days import ATTACKS, Day
from bench.stack import fresh_database, stack
from bench.throughput import run_events
from core.clock import utc_now
from core.ids import uuid7
from core.messages import Event, EventType
from store import Store, StoredEvent, WriteBatch, open_store
from store.detections import Step
from store.tables import cursors
from watch.detection import Detection
from watch.detector import BATCH_EVENTS
from watch.event_rules import EventRule
from watch.rules import read_rules

DAYS = 50
ROWS = 200_000
WRITTEN_AT_ONCE = 5_000
NO_FILE = Path("no-rules.toml")


def measure_detection(options: Options) -> list[Figure]:
    """Recall and false alarms, which no database changes, once; then the rate with each database."""
    rules = dict(read_rules(NO_FILE).rule)
    found = [] if options.database != "sqlite" else [*_measure_recall(options, rules), _measure_quiet(options, rules)]
    return [*found, _measure_rate(options, rules), _measure_beside(options)]


def _measure_recall(options: Options, rules: dict[str, EventRule]) -> list[Figure]:
    figures, days = [], options.scaled(DAYS) or 1
    for name, (rule, plant) in ATTACKS.items():
        alerts: Counter[str] = Counter()
        days_found = 0
        for seed in range(days):
            day = Day(seed)
            plant(day)
            of_day = Counter(one.subject.rule for one in Detection(rules).take(day.events()))
            days_found += of_day[rule] > 0
            alerts += of_day
        false = alerts.total() - days_found
        detail = f"found on {days_found} of {days} days, {false} other alerts"
        figures.append(
            Figure(f"detection, {name}: recall", ratio(days_found, days), "1.00", days_found == days, detail)
        )
    return figures


def _measure_quiet(options: Options, rules: dict[str, EventRule]) -> Figure:
    days = options.scaled(DAYS) or 1
    alerts = sum(len(Detection(rules).take(Day(1_000 + seed).events())) for seed in range(days))
    return Figure("detection, quiet days: alerts", str(alerts), "0", alerts == 0, f"{days} days")


def _measure_rate(options: Options, rules: dict[str, EventRule]) -> Figure:
    """Rows are read in batches, looked at, and what came of them is kept; beside the same without a rule."""
    with tempfile.TemporaryDirectory(prefix="heimdall-bench-") as folder, fresh_database(options.database) as url:
        store = open_store(url or f"sqlite:///{Path(folder) / 'detection.db'}", checkpointer=True)
        begun = store.detections.begin()
        rows = _fill(store, options.scaled(ROWS))
        bare = max(_time(store, begun, Detection({})) for _ in range(options.turns))
        ours = max(_time(store, begun, Detection(rules)) for _ in range(options.turns))
        store.close()
    detail = f"{rate(rows * ours)}; without rules {rate(rows * bare)}"
    return Figure("detection, events looked at ÷ only read", ratio(ours, bare), "", None, detail)


def _measure_beside(options: Options) -> Figure:
    """How fast events are stored while a watch looks at them, beside how fast without one."""
    load = Load(options.scaled(400_000), 100)
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(options.turns):
        for rates, watched in ((alone, False), (beside, True)):
            with stack(options.database) as made:
                process = made.start_ingestor()
                if watched:
                    made.start("watch", "-m", "heimdall", "watch").wait_for("everything that is published is heard")
                rates.append(run_events(made, process, load).rate)
    detail = f"{rate(max(beside))}; without a watch {rate(max(alone))}"
    return Figure(
        "detection, events stored beside it ÷ without", ratio(max(beside), max(alone)), "printed", None, detail
    )


def _fill(store: Store, count: int) -> int:
    events: list[Event] = []
    written = seed = 0
    while written < count:
        events += map(_as_event, Day(seed).events())
        seed += 1
        while len(events) >= WRITTEN_AT_ONCE:
            store.write(WriteBatch(events[:WRITTEN_AT_ONCE], utc_now()))
            events, written = events[WRITTEN_AT_ONCE:], written + WRITTEN_AT_ONCE
    return written


def _as_event(planted: StoredEvent) -> Event:
    kind = cast(EventType, planted.event_type)
    return Event(
        uuid7(), utc_now(), planted.source_host, "LINUX", kind, 3, planted.raw_message, planted.source_ip, planted.user
    )


def _time(store: Store, start: int, detection: Detection) -> float:
    """How often a second all rows could be looked at."""
    with store.database.writing() as connection:
        connection.execute(update(cursors).values(log_id=start))
    begun, cursor = time.monotonic(), start
    while events := store.detections.read_new(cursor, BATCH_EVENTS):
        found = detection.take(events)
        windows = {subject: detection.pack(subject) for subject in detection.changed}
        detection.changed.clear()
        store.detections.advance(cursor, Step(events[-1].id, found, [], windows), utc_now())
        cursor = events[-1].id
    return 1 / (time.monotonic() - begun)
