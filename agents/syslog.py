"""A syslog line taken apart: RFC 3164, RFC 5424, and ISO 8601 as Debian 12's and Ubuntu 24.04's rsyslog write it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Match, NamedTuple, Optional

from core.clock import parse_time
from core.errors import Invalid

LONGEST_MESSAGE_BYTES = 8 * 1024  # of raw_message


class Line(NamedTuple):
    """Who wrote what, when (UTC)."""

    at: datetime
    program: str
    message: str


class Header(NamedTuple):
    """What a device sent: when (UTC; `None` when it does not say so), and which program if it names one.

    `tail` is all that is behind the time and the host, `message` all that is behind the program too.
    """

    at: Optional[datetime]
    program: str
    message: str
    tail: str


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
# devices' own ways: a year (Cisco), a zone, a colon before and behind, no host (pfSense), the host twice (UniFi)
_PRIORITY = re.compile(r"<\d{1,3}>:? ?")
_STAMP = re.compile(
    r"(?:(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?P<day>[ 0-3]?\d) (?:(?P<year>\d{4}) )?"
    r"(?P<time>\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?: (?P<late_year>\d{4}))?(?: (?P<zone>[A-Z]{1,5})(?=:))?"
    r"|(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)):? ",
)
_HOST = re.compile(r"(?!\S{0,253}[,=%\[])(?P<host>\S{0,252}[^\s:]) (?:(?P=host) )?(?:: )?")
_TAG = re.compile(r"(?P<program>[^\s:\[\]]{1,128})(?:\[[^\]\s]{1,32}\])?: ?")
MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(MONTH_NAMES, start=1)}


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


def parse_header(text: str, now: datetime) -> Header:
    """What a device sent, taken apart as far as it goes; what is no syslog is all `message`.

    Years and zones that are not named are as in `parse_line`; a zone other than UTC is taken as this machine's.
    """
    text = _PRIORITY.sub("", text, count=1)
    found = _RFC5424.match(text)
    if found:
        at = None if found.group("at") == "-" else _parse_iso(found.group("at"))
        program, message = found.group("program"), found.group("message") or ""
        if program == "-":
            return Header(at, "", message, message)
        return Header(at, program, message, f"{program}: {message}")
    at, tail = None, text
    found = _STAMP.match(text)
    if found:
        at = _stamped(found, now)
        tail = text[found.end() :]
        host = _HOST.match(tail)
        tail = tail[host.end() :] if host else tail
    found = _TAG.match(tail)
    if found:
        return Header(at, found.group("program"), tail[found.end() :], tail)
    return Header(at, "", tail, tail)


def _stamped(found: Match[str], now: datetime) -> Optional[datetime]:
    if found.group("iso"):
        return _parse_iso(found.group("iso"))
    month, day, time, year, late_year, zone = found.group("month", "day", "time", "year", "late_year", "zone")
    offset = timezone.utc if zone in ("UTC", "GMT", "Z") else None
    return _date(int(year or late_year or 0), _MONTHS[month], int(day), time, _day_after(now), offset)


@lru_cache(maxsize=8)
def _day_after(now: datetime) -> datetime:
    # rounded to the hour, so that the cache below is of use
    return (now + timedelta(days=1)).replace(minute=59, second=59, microsecond=0)


@lru_cache(maxsize=1_024)
def _date(
    year: int, month: int, day: int, time: str, latest: datetime, zone: Optional[timezone] = None
) -> Optional[datetime]:
    # without a zone it is this machine's
    hour, minute, second = (int(part) for part in time.split(":"))
    # February 29th may be up to eight years ago
    for candidate in [year] if year else range(latest.year, latest.year - 9, -1):
        try:
            local = datetime(candidate, month, day, hour, minute, min(second, 59), tzinfo=zone)
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
