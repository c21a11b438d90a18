"""Where holds come from: silences and maintenance in the store, and the rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from core.messages import MISSED, Alert
from store import Store
from store.silences import Silence
from watch.behind import reach
from watch.holds import UNKNOWN_END, Hold, once
from watch.rules import Rules

GRACE = timedelta(minutes=1)  # for hosts to be heard again when the one that they are behind is back


def read_holds(store: Store, rules: Rules, since: datetime) -> list[Hold]:
    """All that holds alerts, or has held one that was opened at `since` or later. Raises `Unavailable`."""
    behind = reach(rules.behind)
    down = store.read_missed([*behind], since - GRACE) if behind else []
    return [
        *(hold_silence(one) for one in store.silences.read_since(since)),
        # of many alerts each asks for the same moment
        *(Hold(lru_cache(maxsize=256)(one.last_begun), one.hosts) for one in rules.maintenance.values()),
        *hold_behind(behind, down),
    ]


def hold_silence(silence: Silence) -> Hold:
    """What a silence or maintenance holds."""
    return Hold(once(silence.begins_at, silence.over_at), silence.hosts, silence.kinds)


def hold_behind(behind: dict[str, tuple[str, ...]], down: Iterable[Alert]) -> list[Hold]:
    """What those who are `down`, or were, hold of hosts `behind` them: that these cannot be heard."""
    return [
        Hold(once(one.opened_at, _end(one)), behind[one.source_host], MISSED, one.source_host)
        for one in down
        if one.source_host in behind
    ]


def _end(alert: Alert) -> datetime:
    return UNKNOWN_END if alert.resolved_at is None else alert.resolved_at + GRACE
