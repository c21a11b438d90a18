"""Quiet hours: when a channel is told nothing, by the clocks on its wall."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.errors import Invalid
from watch.holds import Window
from watch.wall_clock import find_zone, instant, parse_time_of_day

_DAY = timedelta(days=1)


class QuietHours(NamedTuple):
    """From `begins` to `ends`, the next day when that is earlier, as clocks in `zone` show it."""

    begins: time
    ends: time
    zone: ZoneInfo

    def last_begun(self, moment: datetime) -> Window | None:
        """The last of these that had begun by `moment`, over or not. Nobody is told while the wall shows a time in it.

        So it ends when its end is shown for the last time, and begins when its beginning is for the first.
        """
        today = moment.astimezone(self.zone).date()
        for back in range(4):  # one that a change of the year swallows does not count
            window = self._on(today - back * _DAY)
            if window.begins <= moment and window.begins < window.ends:
                return window
        return None

    def _on(self, day: date) -> Window:
        next_day = day if self.begins < self.ends else day + _DAY
        return Window(instant(day, self.begins, self.zone), instant(next_day, self.ends, self.zone, last=True))


@lru_cache(maxsize=256)
def parse_quiet(text: str, zone: str) -> QuietHours:
    """The hours that `text` says, such as `22:00-07:00`, in the time zone `zone`. Raises `Invalid`, naming the key."""
    begins_text, dash, ends_text = text.partition("-")
    if not dash:
        raise Invalid(f"quiet {text!r:.40} is no time from and to: use such as 22:00-07:00")
    begins, ends = (parse_time_of_day(one.strip(), "quiet") for one in (begins_text, ends_text))
    if begins == ends:
        raise Invalid(f"quiet {text!r:.40} begins when it ends: use two times; without quiet there is none")
    return QuietHours(begins, ends, find_zone(zone, "time_zone"))
