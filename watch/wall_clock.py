"""What clocks on a wall show: when they show a time of day, over both changes of the year."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from core.errors import Invalid

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def parse_time_of_day(text: str, key: str) -> time:
    """The time of day that `text` says, `00:00` to `23:59`. Raises `Invalid`, naming `key`."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise Invalid(f"{key} {text!r:.40} is no time of day: use 00:00 to 23:59")
    return time(int(found[1]), int(found[2]))


def find_zone(name: str, key: str) -> ZoneInfo:
    """The time zone of this name. Raises `Invalid`, naming `key`, when this machine knows none."""
    try:
        return ZoneInfo(name)
    # a name is looked for as a file: it may be a folder there, or no path at all
    except (KeyError, ValueError, OSError) as error:
        raise Invalid(f"{key} {name!r:.60} is unknown: use a name such as Europe/Berlin or UTC") from error


def instant(day: date, at: time, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """When clocks in `zone` show `at` on `day`, in UTC: for the first time, or for the `last`.

    Where they jump over it, the moment of the jump.
    """
    local = datetime.combine(day, at, zone)
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return second if last else first
    low, high = int(second.timestamp()), int(first.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) < local.replace(tzinfo=None):
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
