"""What the API says of one host, for the page's view of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from page_api import OFFLINE, Pretended, ago, make_host

from core.clock import rfc3339, utc_now

INTERVAL_SECONDS = 30.0
BOOT = "01938a3c-1111-7000-8000-000000000001"


def make_hours(count: int, missing: dict[int, int] | None = None, lost: dict[int, int] | None = None) -> list[Any]:
    """`count` hours of heartbeats until now; of the hour so many ago so many heartbeats are `missing` or `lost`."""
    begin = utc_now().replace(minute=0, second=0, microsecond=0)
    full = int(3600 / INTERVAL_SECONDS)
    return [
        {
            "hour": rfc3339(begin - timedelta(hours=back)),
            "beats": full - (missing or {}).get(back, 0) - (lost or {}).get(back, 0),
            "expected": float(full),
            "lost": (lost or {}).get(back, 0),
            "latency_mean": 0.012 + 0.0004 * (back % 7),
            "latency_p95": 0.031 + 0.004 * (back % 5),
        }
        for back in reversed(range(count))
    ]


def make_figures(**more: Any) -> dict[str, Any]:
    figures = {
        "boot": BOOT, "interval_s": INTERVAL_SECONDS, "spool": 0, "beat_at": ago(seconds=5), "began_at": ago(days=200),
        "total": 570_000, "expected": 570_100.0, "lost": 12, "loss": 0.00002, "latency_mean": 0.012,
        "latency_p95": 0.034, "jitter": 0.002, "skew": 0.0121, "boot_returns": 0, "boot_returned_at": None,
    }  # fmt: skip
    return figures | more


def make_one(name: str, shown: str = "online", minutes: float = 12, **more: Any) -> dict[str, Any]:
    """A host as `GET /hosts/{host}` has it, which has been what it is `shown` as for `minutes`."""
    down = shown in OFFLINE or shown in ("zombie", "overdue", "away")
    outages = [
        {"began_at": ago(hours=9), "ended_at": ago(hours=8.2), "cause": "silent"},
        {"began_at": ago(days=4), "ended_at": ago(days=3.8), "cause": "away"},
        {"began_at": ago(days=20), "ended_at": ago(days=19), "cause": "crashed"},
    ]
    present = [{"began_at": ago(minutes=minutes), "ended_at": None, "cause": shown}] if down else []
    heard = ago(seconds=5) if shown == "online" else ago(minutes=minutes)
    host = make_host(name, shown, minutes, score=34.0 if down else 87.0, tags=["lyon", "web"]) | {
        "info": {
            "os_type": "LINUX", "version": "1.8.2", "os_release": "Debian GNU/Linux 12 (bookworm)",
            "architecture": "x86_64", "interval_s": INTERVAL_SECONDS, "tags": ["lyon", "web"], "boot": BOOT,
        },
        "reasons": ["34: offline now (−40); down once in 7 days, for 48 min (−13)"],
        "score_parts": [
            {"name": "present", "points_lost": 40 if down else 0, "words": "offline now" if down else "not offline"},
            {"name": "outages", "points_lost": 13, "words": "down once in 7 days, for 48 min"},
            {"name": "loss", "points_lost": 0, "words": "0 % of heartbeats lost in 7 days"},
            {"name": "clock", "points_lost": 0, "words": "its clock is 12 ms off"},
        ],
        "uptime": [
            make_uptime(1, "96.67 % over 24 hours: down 48 min in 1 outage"),
            make_uptime(7, "99.52 % over 7 days: down 48 min in 1 outage; away 5 hours, as announced"),
            make_uptime(30, "96.53 % over 30 days: down 1 day in 2 outages"),
            make_uptime(90, "98.84 % over 90 days: down 1 day in 2 outages"),
        ],
        "metrics": make_figures(beat_at=heard),
        "patterns": [
            {
                "kind": "time_of_day", "words": f"{name} goes down between 02:00 and 02:30 UTC: 9 of 11 outages",
                "data": {},
            }
        ],
        "outages": present + outages,
    }  # fmt: skip
    return host | more


def make_uptime(days: int, words: str) -> dict[str, Any]:
    seconds = days * 86_400
    return {
        "window_seconds": seconds, "known_seconds": seconds, "up_seconds": seconds - 2880, "down_seconds": 2880,
        "away_seconds": 0, "unknown_seconds": 0, "outages": 1, "share": 0.99, "words": words,
    }  # fmt: skip


def make_event(host: str, **more: Any) -> dict[str, Any]:
    event = {
        "event_id": "01938a3c-0000-7000-8000-000000000001", "source_host": host, "os_type": "LINUX",
        "event_type": "LOGIN_FAIL", "severity": 3, "created_at": ago(minutes=30), "timestamp": ago(minutes=30),
        "raw_message": "Failed password for root from 203.0.113.77 port 53312 ssh2", "user": "root",
        "source_ip": "203.0.113.77",
    }  # fmt: skip
    return event | more


def show_one(pretended: Pretended, host: dict[str, Any], events: list[Any] | None = None, **answers: Any) -> None:
    """Let `pretended` answer for `host`: `hours` of its heartbeats, its `events`, and other outages than its newest."""
    pretended.hosts = [host]
    pretended.one = host
    pretended.hours = answers.get("hours", make_hours(24 * 14, {8: 90, 9: 70}, {3: 4}))
    pretended.events = events or []
