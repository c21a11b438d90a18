"""`[maintenance.NAME]` in the rules: maintenance that comes again, on days of the week."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from core.topics import check_pattern
from watch.holds import Window
from watch.wall_clock import find_zone, instant, parse_time_of_day

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
_EVERY_DAY_WITHIN = 8  # so many days back a window has begun, whatever the days of the week


class Recurring(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """On each of `days` at `begins`, by the clocks in `time_zone`, for `minutes` that go by, of hosts that fit `hosts`.

    Where clocks jump over the beginning it is the jump, and where they show it twice it is the first.
    """

    hosts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    days: Annotated[tuple[Day, ...], msgspec.Meta(min_length=1)]
    begins: str = msgspec.field(name="from")
    minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = msgspec.field()
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        """Raises `Invalid`, naming the key."""
        for pattern in self.hosts:
            check_pattern(pattern, "hosts")
        parse_time_of_day(self.begins, "from")
        find_zone(self.time_zone, "time_zone")

    def last_begun(self, moment: datetime) -> Window | None:
        """The last window that had begun by `moment`, over or not."""
        zone, begins = find_zone(self.time_zone, "time_zone"), parse_time_of_day(self.begins, "from")
        today = moment.astimezone(zone).date()
        for back in range(_EVERY_DAY_WITHIN):
            day = today - back * _DAY
            start = instant(day, begins, zone)
            if _DAYS[day.weekday()] in self.days and start <= moment:
                return Window(start, start + timedelta(minutes=self.minutes))
        return None
