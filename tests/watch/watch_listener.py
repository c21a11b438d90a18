"""Who is told through one channel, with what is held: alerts, what was said, and how it belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.ids import uuid7
from core.messages import Alert
from store.notices import Decision, Telling
from watch.behind import Behind, reach
from watch.held import decide_channel
from watch.hold_sources import hold_behind
from watch.holds import Hold
from watch.rules import Channel

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OPS = Channel("json://h", group_wait_seconds=10)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


class Listener:
    """Asks at each time that it was told to come back at. `behind` are the rules of that name."""

    def __init__(
        self, channel: Channel = OPS, holds: Iterable[Hold] = (), behind: Mapping[str, Behind] | None = None
    ) -> None:
        self.channel, self.holds, self.behind = channel, [*holds], behind or {}
        self.alerts: dict[str, Alert] = {}
        self.told: dict[str, list[str]] = {}  # alerts by what they were told together as
        self.heard: set[str] = set()
        self.ended: set[str] = set()
        self.said: list[tuple[datetime, str]] = []
        self.bodies: list[str] = []
        self.kinds: list[str] = []
        self.now = NOON

    @property
    def titles(self) -> list[str]:
        return [title for _, title in self.said]

    def lose(self, host: str | None, minutes: float | datetime, incident: str = "", kind: str = "silent") -> Alert:
        """An alert, in an incident of its own unless it is named."""
        moment = minutes if isinstance(minutes, datetime) else at(minutes)
        text = f"{host} is offline: nothing is heard of it"
        alert = Alert(str(uuid7()), kind, "open", moment, moment, text, host, incident=incident or str(uuid7()))
        self.alerts[alert.id] = alert
        return alert

    def find(self, alert: Alert, minutes: float | datetime) -> None:
        moment = minutes if isinstance(minutes, datetime) else at(minutes)
        self.alerts[alert.id] = replace(self.alerts[alert.id], state="resolved", resolved_at=moment)

    def ack(self, alert: Alert, minutes: float) -> None:
        self.alerts[alert.id] = replace(self.alerts[alert.id], acked_at=at(minutes), acked_by="eva")

    def listen(self, minutes: float | datetime) -> None:
        """Until then, as the notifier would: when something happens, when there may be something, and at the end."""
        until = minutes if isinstance(minutes, datetime) else at(minutes)
        while True:
            later = self._ask()
            assert later is None or later > self.now, "it asks for ever"
            times = [moment for one in self.alerts.values() for moment in (one.opened_at, one.resolved_at) if moment]
            coming = [moment for moment in [*times, later, until] if moment is not None and self.now < moment <= until]
            if not coming:
                return
            self.now = min(coming)

    def _ask(self) -> datetime | None:
        """What is said now; when there may be more."""
        for _ in range(10):
            down = [one for one in self._known() if one.source_host in self.behind]
            holds = [*self.holds, *hold_behind(reach(self.behind), down)]
            steps = decide_channel(self._tellings(), holds, self.channel, self.now)
            for incident, found in steps:
                if isinstance(found, Decision):
                    self._take(incident or str(uuid7()), found)
            if not any(isinstance(found, Decision) for _, found in steps):
                times = [found.at for _, found in steps if not isinstance(found, Decision) and found.at is not None]
                return min(times, default=None)
        raise AssertionError("it is told for ever")

    def _known(self) -> list[Alert]:
        """The alerts as they are now: what is to come has not happened yet."""
        found = []
        for one in self.alerts.values():
            if one.opened_at <= self.now:
                ended = one.resolved_at is not None and one.resolved_at <= self.now
                found.append(one if ended else replace(one, state="open", resolved_at=None))
        return found

    def _tellings(self) -> dict[str, list[Telling]]:
        together = {one: incident for incident, ids in self.told.items() for one in ids}
        found: dict[str, list[Telling]] = {}
        for one in self._known():
            telling = Telling(one, one.id in self.heard, one.id in self.ended)
            found.setdefault(together.get(one.id, one.incident), []).append(telling)
        return found

    def _take(self, incident: str, found: Decision) -> None:
        assert found.opened or found.resolved, "or it would be told for ever"
        assert self.heard.isdisjoint(found.opened), "once"
        assert self.ended.isdisjoint(found.resolved), "once"
        self.heard.update(found.opened)
        self.ended.update(found.resolved)
        self.told.setdefault(incident, []).extend(found.opened)
        if found.words is not None:
            self.said.append((self.now, found.words.title))
            self.bodies.append(found.words.body)
            self.kinds.append(found.words.kind)
