"""Time: UTC everywhere, written as RFC 3339 with six digits and `Z`, so that text sorts as time does."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from core.errors import Invalid

_DURATION = re.compile(r"([1-9]\d{0,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=365)

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*([Zz]|[+-]\d\d:?\d\d)?([Zz])?"
)


def utc_now() -> datetime:
    """The wall clock now, in UTC."""
    return datetime.now(timezone.utc)


def rfc3339(moment: datetime) -> str:
    """`2025-12-03T20:49:50.123456Z`: always six digits and UTC. A naive `moment` is taken as UTC."""
    if moment.tzinfo is not None and moment.tzinfo is not timezone.utc:
        moment = moment.astimezone(timezone.utc)
    return moment.isoformat("T", "microseconds")[:26] + "Z"


def parse_time(text: str, key: str = "timestamp") -> datetime:
    """The moment that `text` names, in UTC (RFC 3339, section 5.6).

    Takes also what agents and databases of the HTTP version hold: a space for the `T`, no offset
    (UTC then), and an offset followed by `Z` (`+00:00Z`). Digits beyond microseconds are cut.

    Raises `Invalid`, naming `key`.
    """
    found = _RFC3339.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise Invalid(f"{key} {text!r:.60} is not an RFC 3339 time such as 2025-12-03T20:49:50.123456Z")
    year, month, day, hour, minute, second, fraction, offset, _ = found.groups()
    try:
        # a leap second is the last moment of its minute: no calendar here knows 23:59:60
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59),
            int((fraction or "0").ljust(6, "0")[:6]), timezone.utc,
        )  # fmt: skip
        if int(second) > 60:
            raise ValueError("second must be in 0..60")
        if offset and offset not in "Zz":
            sign = -1 if offset[0] == "-" else 1
            moment -= sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{key} {text!r:.60} is not a time: {error}") from error
    return moment


def parse_duration(text: object, key: str) -> timedelta:
    """How long `text` says: minutes, hours or days, as in `30m`, `2h` or `3d`, a year at most.

    Raises `Invalid`, naming `key`.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise Invalid(f"{key} {text!r:.60} is no duration: use a number above 0 and m, h or d, such as 30m, 2h or 3d")
    duration = int(found[1]) * _UNITS[found[2]]
    if duration > _LONGEST:
        raise Invalid(f"{key} {text!r:.60} is too long: use at most 365d")
    return duration
