"""Incidents: alerts that are opened together are one; those of a host that goes up and down are one of their own.

What one rule finds in events is never one with what another finds, or with hosts that are missed.

An incident's id is of version 7, that of a flapping host of version 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select

from core.ids import stable_id, uuid7
from core.messages import Alert
from store.database import in_chunks
from store.tables import alerts

QUIET = timedelta(seconds=30)  # after which the next alert begins another incident
LONGEST = timedelta(minutes=5)  # that an incident goes on taking in others
FLAPPING_ALERTS = 3  # of one host within this time: it flaps
FLAPPING = timedelta(minutes=30)


def is_flapping(incident: str) -> bool:
    """Whether the incident is one host that goes up and down."""
    return UUID(incident).version == 5


def join_incidents(connection: Connection, opened: Sequence[Alert], now: datetime) -> list[Alert]:
    """`opened`, hosts that are missed, all at `now` and each another, with the incident that each belongs to.

    A host that has its third alert within half an hour flaps, and does so until it has had none for as long.
    """
    if not opened:
        return []
    incident = _read_current(connection, alerts.c.subject.is_(None), now) or str(uuid7())
    flapping = _read_flapping(connection, [one.source_host or "" for one in opened], now)
    return [replace(one, incident=flapping.get(one.source_host or "", incident)) for one in opened]


def join_found(connection: Connection, opened: Sequence[Alert], now: datetime) -> list[Alert]:
    """`opened`, what rules have found in events by `now`, with the incident that each belongs to."""
    of_kind = {kind: alerts.c.subject.is_not(None) & (alerts.c.kind == kind) for kind in {one.kind for one in opened}}
    incidents = {kind: _read_current(connection, alike, now) or str(uuid7()) for kind, alike in of_kind.items()}
    return [replace(one, incident=incidents[one.kind]) for one in opened]


def _read_current(connection: Connection, alike: ColumnElement[bool], now: datetime) -> str | None:
    """The incident of those `alike` that others may still join."""
    together = alike & alerts.c.incident.like("________-____-7%")
    newest = (
        select(alerts.c.incident)
        .where(alerts.c.opened_at >= now - QUIET, together)
        .order_by(alerts.c.opened_at.desc(), alerts.c.id.desc())
        .limit(1)
    )
    found: str | None = connection.execute(newest).scalar()
    # each of its alerts came within `QUIET` of the one before
    lately = alerts.c.opened_at >= now - LONGEST - QUIET
    begun = connection.execute(select(func.min(alerts.c.opened_at)).where(lately, alerts.c.incident == found)).scalar()
    return found if begun is not None and begun >= now - LONGEST else None


def _read_flapping(connection: Connection, hosts: Sequence[str], now: datetime) -> dict[str, str]:
    """The incidents of those of `hosts` whose next alert is one too many."""
    found = {}
    for chunk in in_chunks(hosts):
        lately = (
            select(func.max(alerts.c.id))
            .where(alerts.c.opened_at >= now - FLAPPING, alerts.c.source_host.in_(chunk), alerts.c.subject.is_(None))
            .group_by(alerts.c.source_host)
            .having(func.count() >= FLAPPING_ALERTS - 1)
        )
        query = select(alerts.c.id, alerts.c.source_host, alerts.c.incident).where(alerts.c.id.in_(lately))
        for last, host, incident in connection.execute(query):
            flaps = incident is not None and is_flapping(incident)
            found[host] = incident if flaps else str(stable_id("flapping", host, last))
    return found
