"""What to tell a channel of an incident, and when: a pure function. Alerts that belong together are told together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from core.messages import MISSED, Alert
from store.incidents import is_flapping
from store.notices import Decision, Telling
from watch.wording import describe_flapping, describe_opened, describe_partly, describe_resolved

LONGEST_WAIT = timedelta(seconds=60)  # for more alerts, while they keep coming
PARTLY = timedelta(minutes=5)  # since the last return: then those that are back are told, though others are not
STILL = timedelta(minutes=10)  # a flapping host must last this long to be back


class Later(NamedTuple):
    """There is nothing to tell before `at`; `None`: before something happens."""

    at: datetime | None


def decide(
    tellings: Sequence[Telling], wait: timedelta, now: datetime, behind: Mapping[str, Sequence[Alert]] = {}
) -> Decision | Later:
    """What a channel that waits so long for more is to be told of one incident at `now`.

    `behind` has, by the host that is in their way, alerts that are not told of by themselves.

    1. What is new is told when nothing more has come for the wait. What came and went within the wait is not told.
    2. The end is told when all of it has ended, for the wait; after a while also that a part of it has.
    3. A flapping host is told once, and its end when it has been well for ten minutes.
    """
    new = [one.alert for one in tellings if not one.heard]
    if new:
        return _decide_opened(new, any(one.heard for one in tellings), wait, now, behind)
    heard = [one.alert for one in tellings if not one.ended]
    return _decide_ended(heard, [one.alert for one in tellings], wait, now)


def find_behind(alerts: Sequence[Alert], behind: Mapping[str, Sequence[Alert]]) -> list[Alert]:
    """What is behind hosts that `alerts` say to be gone."""
    names = {one.source_host for one in alerts if one.source_host and one.kind in MISSED}
    found = {hidden.id: hidden for name in sorted(names) for hidden in behind.get(name, ())}
    return [*found.values()]


def ripe_at(moments: Sequence[datetime], wait: timedelta) -> datetime:
    """When what began at these moments is told: when nothing more has come for the wait, or it has gone on for long."""
    return min(max(moments) + wait, min(moments) + max(wait, LONGEST_WAIT))


def lasts(alert: Alert, wait: timedelta) -> bool:
    """Whether it is worth telling: a host that was missed for less is not; what was found in events was so."""
    return alert.resolved_at is None or alert.subject is not None or alert.resolved_at - alert.opened_at >= wait


def _decide_opened(
    new: Sequence[Alert], more: bool, wait: timedelta, now: datetime, behind: Mapping[str, Sequence[Alert]]
) -> Decision | Later:
    first = min(one.opened_at for one in new)
    hidden = find_behind(new, behind)
    # who is behind them is waited for, as they are
    ripe = ripe_at([first, *(one.opened_at for one in [*new, *hidden] if one.opened_at >= first)], wait)
    if now < ripe:
        return Later(ripe)
    ids = [one.id for one in new]
    if is_flapping(new[0].incident):
        return Decision(None if more else describe_flapping(new), ids)
    lasting = [one for one in new if lasts(one, wait)]
    ended = [one.id for one in new if one.resolved_at is not None]
    if not lasting:
        return Decision(None, ids, ended)
    return Decision(describe_opened(lasting, more, find_behind(lasting, behind)), ids, ended)


def _decide_ended(
    heard: Sequence[Alert], all_told: Sequence[Alert], wait: timedelta, now: datetime
) -> Decision | Later:
    back = [one for one in heard if one.resolved_at is not None]
    still = [one for one in heard if one.resolved_at is None]
    if not back:
        return Later(None)
    flapping = is_flapping(back[0].incident)
    last = max(one.resolved_at for one in back if one.resolved_at is not None)
    if still and (flapping or back[0].subject is not None):
        return Later(None)
    ripe = last + (PARTLY if still else STILL if flapping else wait)
    if now < ripe:
        return Later(ripe)
    ids = [one.id for one in back]
    if still:
        return Decision(describe_partly(back, still), (), ids)
    return Decision(describe_resolved(back, all_told), (), ids)
