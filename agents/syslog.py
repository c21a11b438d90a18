"""A syslog line taken apart: RFC 3164, RFC 5424, and ISO 8601 as Debian 12's and Ubuntu 24.04's rsyslog write it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple, Optional

from core.clock import parse_time
from core.errors import Invalid

LONGEST_MESSAGE_BYTES = 8 * 1024  # of raw_message


class Line(NamedTuple):
    """Who wrote what, when (UTC)."""

    at: datetime
    program: str
    message: str


_PROGRAM = r"(?P<program>[^\s:\[\]]{1,128})(?:\[(?P<pid>[^\]\s]{1,32})\])?: ?(?P<message>.*)$"
_RFC3164 = re.compile(
    r"(?:<\d{1,3}>)?(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?P<day>[ 0-3]?\d) (?:(?P<year>\d{4}) )?"
    r"(?P<time>\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?: (?P<late_year>\d{4}))? (?:\S*[^\s:] )?(?:[a-z]\w{1,9}\.[a-z]{3,7} )?"
    + _PROGRAM,
    re.DOTALL,
)
_ISO = re.compile(
    r"(?:<\d{1,3}>)?(?P<at>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r" (?:\S*[^\s:] )?(?:[a-z]\w{1,9}\.[a-z]{3,7} )?" + _PROGRAM,
    re.DOTALL,
)  # fmt: skip
_RFC5424 = re.compile(
    r"(?:<\d{1,3}>)?1 (?P<at>\S{1,40}) \S{1,255} (?P<program>\S{1,128}) \S{1,128} \S{1,32} "
    r'(?:-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)(?: \ufeff?(?P<message>.*))?$',
    re.DOTALL,
)
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}


def parse_line(text: str, now: datetime) -> Optional[Line]:
    """`text` taken apart; `None` when it is no syslog line.

    RFC 3164 names no year: it is the newest that does not put the line more than a day behind `now`
    into the future. Times without an offset are this machine's local time.
    """
    found = _RFC3164.match(text)
    if found:
        month, day, time, year = found.group("month", "day", "time", "year")
        at = _date(int(year or found.group("late_year") or 0), _MONTHS[month], int(day), time, _day_after(now))
        return Line(at, found.group("program"), found.group("message")) if at else None
    found = _ISO.match(text) or _RFC5424.match(text)
    if not found:
        return None
    at = now if found.group("at") == "-" else _parse_iso(found.group("at"))
    return Line(at, found.group("program"), found.group("message") or "") if at else None


def _day_after(now: datetime) -> datetime:
    # rounded to the hour, so that the cache below is of use
    return (now + timedelta(days=1)).replace(minute=59, second=59, microsecond=0)


@lru_cache(maxsize=1_024)
def _date(year: int, month: int, day: int, time: str, latest: datetime) -> Optional[datetime]:
    hour, minute, second = (int(part) for part in time.split(":"))
    # February 29th may be up to eight years ago
    for candidate in [year] if year else range(latest.year, latest.year - 9, -1):
        try:
            local = datetime(candidate, month, day, hour, minute, min(second, 59))
            moment = local.astimezone(timezone.utc)
        except (ValueError, OverflowError, OSError):
            continue
        if year or moment <= latest:
            return moment
    return None


@lru_cache(maxsize=1_024)
def _parse_iso(text: str) -> Optional[datetime]:
    try:
        if text[-1] in "Zz" or text[-6:-5] in ("+", "-") or text[-5:-4] in ("+", "-"):
            return parse_time(text)
        local = datetime.fromisoformat(text.replace(",", ".")[:19])
        return local.astimezone(timezone.utc)
    except (Invalid, ValueError, OverflowError, OSError):
        return None


def decode_line(line: bytes) -> str:
    """`line` as text that every database takes: UTF-8 with replacement, no NUL, no line end."""
    return line.decode("utf-8", "replace").replace("\0", "").rstrip("\r\n")


def cut(text: str) -> str:
    """`text` within `LONGEST_MESSAGE_BYTES` of UTF-8, saying so when it was cut."""
    if len(text) <= LONGEST_MESSAGE_BYTES // 4:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= LONGEST_MESSAGE_BYTES:
        return text
    mark = f" … [cut: {len(encoded)} bytes]"
    kept = encoded[: LONGEST_MESSAGE_BYTES - len(mark.encode())].decode("utf-8", "ignore")
    return kept + mark
