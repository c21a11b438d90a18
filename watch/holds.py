"""What keeps an alert from being told for a while: silences, maintenance, and hosts that others are behind.

It is one mechanism: a hold has windows of time, and who fits it counts as opened when the last of them has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from core.messages import Alert
from core.topics import fits_any

UNKNOWN_END = datetime.max.replace(tzinfo=UTC)


class Window(NamedTuple):
    """From `begins` until before `ends`, in UTC; `UNKNOWN_END` where nobody knows yet."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Hold:
    """Alerts of hosts that fit `hosts`, of `kinds` if not of all, are not told of in its windows.

    `last_begun` tells the last window that had begun by a moment, over or not. `behind` is the host behind which they
    are, if that is why.
    """

    last_begun: Callable[[datetime], Window | None]
    hosts: Sequence[str]
    kinds: Collection[str] | None = None
    behind: str = ""

    def fits(self, alert: Alert) -> bool:
        """Whether it is about `alert`; no host is behind itself."""
        if self.kinds is not None and alert.kind not in self.kinds:
            return False
        if self.behind and alert.source_host == self.behind:
            return False
        return fits_any(alert.source_host, self.hosts)


def once(begins: datetime, ends: datetime) -> Callable[[datetime], Window | None]:
    """What `Hold.last_begun` is for one window alone."""
    window = Window(begins, ends)
    return lambda moment: window if begins <= moment and begins < ends else None


def free_at(alert: Alert, holds: Iterable[Hold], now: datetime) -> datetime:
    """When the alert may be told, as far as is known at `now`: its opening, or when the last that held it ends.

    What begins after it was resolved holds it no longer.
    """
    moment = now if alert.resolved_at is None else min(now, alert.resolved_at)
    free = alert.opened_at
    for hold in holds:
        if hold.fits(alert):
            window = hold.last_begun(moment)
            if window is not None:
                free = max(free, window.ends)
    return free


def find_before(alert: Alert, holds: Iterable[Hold], now: datetime) -> set[str]:
    """The hosts behind which the alert is held at `now`."""
    found = set()
    for hold in holds:
        if hold.behind and hold.fits(alert):
            window = hold.last_begun(now)
            if window is not None and window.ends > now:
                found.add(hold.behind)
    return found
