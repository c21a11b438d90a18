"""What a channel is told of all incidents, and when, while some of it is held: a pure function.

A hold moves the moment at which an alert counts as opened. So what was resolved while it was held is not told of, and
what is still open when the hold ends is told then, all together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from core.messages import Alert
from store.incidents import is_flapping
from store.notices import Decision, Telling
from watch.holds import UNKNOWN_END, Hold, find_before, free_at
from watch.rules import Channel
from watch.telling import Later, decide, find_behind, lasts, ripe_at
from watch.wording import describe_meanwhile


class Step(NamedTuple):
    """What to do about an incident; `incident` is empty for what is of several, or is not told of at all."""

    incident: str
    found: Decision | Later


@dataclass
class _Sorted:
    """A channel's tellings: what may be told as if nothing had been held, and the rest by what becomes of it."""

    free: dict[str, list[Telling]] = field(default_factory=dict)
    late: list[Alert] = field(default_factory=list)  # was held, and is free now
    waiting: list[datetime] = field(default_factory=list)  # until then something is held
    dropped: list[str] = field(default_factory=list)  # alerts of which there is nothing to tell any more
    behind: dict[str, list[Alert]] = field(default_factory=dict)  # held, by the host that is in their way


def decide_channel(
    incidents: Mapping[str, Sequence[Telling]], holds: Sequence[Hold], channel: Channel, now: datetime
) -> list[Step]:
    """What the channel is to be told at `now`, or when to ask again.

    1. What is held waits. What was resolved meanwhile, and what somebody has seen to before it was told, is dropped.
    2. In quiet hours all else waits too, also the end of what was told before.
    3. What was held and is free now is told together, and with it what ended in quiet hours.
    4. All else is told incident by incident, as `telling.decide` says.
    """
    found = _sort(incidents, holds, channel, now)
    steps = [Step("", Later(at)) for at in found.waiting if at != UNKNOWN_END]
    if found.dropped:
        steps.append(Step("", Decision(None, found.dropped, found.dropped)))
    quiet = channel.last_quiet(now)
    if quiet is not None and now < quiet.ends:
        return [*steps, Step("", Later(quiet.ends))]
    wait = timedelta(seconds=channel.group_wait_seconds)
    ended = {} if quiet is None else _find_ended(found.free, quiet.ends)
    back = [one for alerts in ended.values() for one in alerts]
    if found.late or back:
        moments = [one.opened_at for one in found.late]
        if quiet is not None and back:
            moments.append(quiet.ends)
        steps.append(Step("", _decide_late(found, back, moments, wait, now)))
    steps += [
        Step(incident, decide(tellings, wait, now, found.behind))
        for incident, tellings in found.free.items()
        if incident not in ended
    ]
    return steps


def _sort(
    incidents: Mapping[str, Sequence[Telling]], holds: Sequence[Hold], channel: Channel, now: datetime
) -> _Sorted:
    found = _Sorted()
    for incident, tellings in incidents.items():
        for one in tellings:
            alert, ended_at = one.alert, one.alert.resolved_at
            if one.heard:
                found.free.setdefault(incident, []).append(one)
                continue
            due = _find_due(alert, holds, channel, now)
            # what was found in events at night was so, and is told in the morning
            free = due.at if alert.subject is None else due.but_for_quiet
            if (
                not channel.wants(alert)
                or alert.acked_at is not None
                or (ended_at is not None and alert.opened_at < free >= ended_at)
            ):
                found.dropped.append(alert.id)
            elif due.at > now:
                found.waiting.append(due.at)
                for name in find_before(alert, holds, now):
                    found.behind.setdefault(name, []).append(alert)
            elif due.late:
                found.late.append(replace(alert, opened_at=due.at))
            else:
                found.free.setdefault(incident, []).append(Telling(replace(alert, opened_at=due.at)))
    return found


class _Due(NamedTuple):
    """When an alert counts as opened for a channel, when it would but for quiet hours, and whether something has held
    it until then."""

    at: datetime
    but_for_quiet: datetime
    late: bool


def _find_due(alert: Alert, holds: Sequence[Hold], channel: Channel, now: datetime) -> _Due:
    free = free_at(alert, holds, now)
    if free == UNKNOWN_END:
        return _Due(free, free, True)
    due = free + timedelta(minutes=channel.after_minutes)
    quiet = channel.last_quiet(now if alert.resolved_at is None else min(now, alert.resolved_at))
    if quiet is not None and quiet.ends > due:
        return _Due(quiet.ends, due, True)
    return _Due(due, due, free > alert.opened_at)


def _find_ended(free: Mapping[str, Sequence[Telling]], quiet_until: datetime) -> dict[str, list[Alert]]:
    """What was told before the quiet hours and ended before they did, by incident; a flapping host's end is no end."""
    found: dict[str, list[Alert]] = {}
    for incident, tellings in free.items():
        for one in tellings:
            ended_at = one.alert.resolved_at
            told = one.heard and not one.ended and not is_flapping(one.alert.incident)
            if told and ended_at is not None and ended_at < quiet_until:
                found.setdefault(incident, []).append(one.alert)
    return found


def _decide_late(
    found: _Sorted, back: Sequence[Alert], moments: Sequence[datetime], wait: timedelta, now: datetime
) -> Decision | Later:
    ripe = ripe_at(moments, wait)
    if now < ripe:
        return Later(ripe)
    lasting = [one for one in found.late if lasts(one, wait)]
    ended = [one.id for one in found.late if one.resolved_at is not None]
    words = describe_meanwhile(lasting, back, find_behind(lasting, found.behind)) if lasting or back else None
    return Decision(words, [one.id for one in found.late], [*ended, *(one.id for one in back)])
