"""Answers about hosts and alerts, for OpenAPI, as `answers` has the others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.answers import Answer, Success, Time
from core.messages import OS_TYPES, AlertState, VerdictState


class HostAnswer(Answer):
    """A host. `state`, `since` and `reason` are its verdict, null while nobody has judged it."""

    hostname: Annotated[str, Field(examples=["web-01"])]
    os_type: Annotated[
        str | None,
        Field(description="As stored; new ones are in upper case. Null while unheard.", examples=list(OS_TYPES[:1])),
    ]
    last_seen: Annotated[Time | None, Field(description="Null when an old database holds no readable time.")]
    total_events: Annotated[int, Field(examples=[42])]
    state: Annotated[VerdictState | None, Field(description="What the host is held to be.", examples=["online"])]
    since: Time | None
    reason: str | None
    score: Annotated[float | None, Field(description="0 to 100")]
    tags: list[str]
    back_by: Annotated[Time | None, Field(description="When one that is away said to be back.")]


class HostsAnswer(Answer):
    """Every host, on one side of the threshold or the other, each list sorted by name."""

    success: Success
    active_hosts: list[HostAnswer]
    inactive_hosts: list[HostAnswer]
    threshold_minutes: Annotated[float, Field(examples=[15])]
    total_active: Annotated[int, Field(examples=[1])]
    total_inactive: Annotated[int, Field(examples=[0])]


class ListedHostAnswer(HostAnswer):
    """A host of a page."""

    outages: Annotated[
        list[OutageAnswer] | None, Field(description="Those that `outages_since` asks for, first begun first.")
    ] = None


class HostPageAnswer(Answer):
    """A page of the list of hosts. `next` is the `cursor` of the page behind it."""

    success: Success
    hosts: list[ListedHostAnswer]
    total: Annotated[int, Field(description="How many fit in all.", examples=[1])]
    next: str | None


class OutageAnswer(Answer):
    """An interval in which a host was not alive; `ended_at` is null while it lasts."""

    began_at: Time
    ended_at: Time | None
    cause: Annotated[str, Field(description="What was last known of it.", examples=["crashed"])]


class OutagesAnswer(Answer):
    """Outages of a host, last begun first. `next` is the `cursor` of the page behind it."""

    success: Success
    outages: list[OutageAnswer]
    next: Time | None


class AlertAnswer(Answer):
    """Something that somebody should know. `since` is when it began, `opened_at` when it was known."""

    id: Annotated[str, Field(examples=["018f2b6e-7c4a-7d2e-9b1c-3f5a6b7c8d9e"])]
    kind: Annotated[str, Field(examples=["crashed"])]
    source_host: Annotated[str | None, Field(examples=["web-01"])]
    state: Annotated[AlertState, Field(examples=["open"])]
    since: Time
    opened_at: Time
    resolved_at: Time | None
    text: Annotated[str, Field(examples=["web-01 is offline: nothing is heard of it"])]
    incident: Annotated[str, Field(description="That of all alerts that were opened together.")]
    subject: Annotated[str | None, Field(description="What a rule found it of, such as an address.")]
    severity: Annotated[int | None, Field(description="1 to 5, of what a rule found in events.")]
    acked_at: Annotated[Time | None, Field(description="When somebody has said to see to it.")]
    acked_by: Annotated[str | None, Field(description="Who.", examples=["local:eva"])]


class AlertsAnswer(Answer):
    """A page of alerts, last opened first. `next` is the `cursor` of the page behind it."""

    success: Success
    alerts: list[AlertAnswer]
    next: str | None


class AckedAlertAnswer(Answer):
    """An alert that somebody sees to."""

    success: Success
    alert: AlertAnswer


class BeatHourAnswer(Answer):
    """What was counted of a host's heartbeats in an hour."""

    hour: Annotated[Time, Field(description="When it began.")]
    beats: Annotated[int, Field(examples=[60])]
    expected: Annotated[float, Field(description="By the interval, since the beat before.", examples=[60.0])]
    lost: Annotated[int, Field(description="Below zero: what an hour before had counted came late.", examples=[0])]
    latency_mean: Annotated[float | None, Field(description="Seconds.", examples=[0.012])]
    latency_p95: Annotated[float | None, Field(description="Seconds.", examples=[0.019])]


class FiguresAnswer(Answer):
    """What is known of a host's heartbeats, since its first. What was never told is null."""

    boot: Annotated[str | None, Field(description="The agent's start, by its own id.")]
    interval_s: Annotated[float | None, Field(description="Seconds between heartbeats.", examples=[60.0])]
    spool: Annotated[int | None, Field(description="Events that wait on the host.", examples=[0])]
    beat_at: Annotated[Time | None, Field(description="When the newest came in.")]
    began_at: Annotated[Time | None, Field(description="When the first came in.")]
    total: Annotated[int, Field(examples=[1440])]
    expected: Annotated[float, Field(description="By the interval, while a boot lasted.", examples=[1440.2])]
    lost: Annotated[int, Field(description="Missing in `seq`.", examples=[0])]
    loss: Annotated[float | None, Field(description="Their share, 0 to 1; null without `seq`.", examples=[0.0])]
    latency_mean: Annotated[float | None, Field(description="Of the last 24 hours, in seconds.", examples=[0.012])]
    latency_p95: Annotated[float | None, Field(description="Of the last 24 hours, in seconds.", examples=[0.019])]
    jitter: Annotated[float | None, Field(description="Seconds (RFC 3550).", examples=[0.003])]
    skew: Annotated[float | None, Field(description="How far the host's clock is behind, in seconds.", examples=[0.2])]
    boot_returns: Annotated[int, Field(description="How often a boot returned after another.", examples=[0])]
    boot_returned_at: Time | None


class HeartbeatsAnswer(FiguresAnswer):
    """A host's heartbeats, and the same an hour."""

    success: Success
    hostname: Annotated[str, Field(examples=["web-01"])]
    hours: list[BeatHourAnswer]


class ScorePartAnswer(Answer):
    """A part of a score: how many points it lost, and for what."""

    name: Annotated[str, Field(examples=["outages"])]
    points_lost: Annotated[int, Field(examples=[19])]
    words: Annotated[str, Field(examples=["down 3 times in 7 days, for 31 min"])]


class UptimeAnswer(Answer):
    """How a window was spent, in seconds: up, down, away as announced, and not known."""

    window_seconds: Annotated[int, Field(examples=[86400])]
    known_seconds: int
    up_seconds: int
    down_seconds: int
    away_seconds: int
    unknown_seconds: int
    outages: int
    share: Annotated[float | None, Field(description="Up ÷ (up + down), 0 to 1.", examples=[0.9993])]
    words: Annotated[str, Field(examples=["99.93 % over 30 days: down 31 min in 3 outages"])]


class PatternAnswer(Answer):
    """What outages have in common, in words and as data."""

    kind: Annotated[str, Field(examples=["time_of_day"])]
    words: Annotated[str, Field(examples=["web-01 goes down between 02:00 and 02:30 UTC: 41 of 45 outages"])]
    data: dict[str, Any]


class ForgottenAnswer(Answer):
    """A host that there is no more."""

    success: Success
    message: Annotated[str, Field(examples=["web-01 is forgotten"])]
    events_deleted: Annotated[int, Field(description="0 when its events stay.", examples=[0])]


class OneHostAnswer(HostAnswer):
    """A host, with what it says of itself, and what is known of it."""

    success: Success
    info: Annotated[Any, Field(description="The host's own words; null when it has said nothing.")]
    reasons: Annotated[list[str], Field(description="Why the score is what it is.")]
    score_parts: list[ScorePartAnswer]
    uptime: Annotated[list[UptimeAnswer], Field(description="Over 24 hours, 7, 30 and 90 days.")]
    metrics: FiguresAnswer | None
    patterns: list[PatternAnswer]
    outages: Annotated[list[OutageAnswer], Field(description="The newest 20.")]
