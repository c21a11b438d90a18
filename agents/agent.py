"""The shared agent: collect, spool together with the position, send; a heartbeat each interval, events or not."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from agents.collector import Collector
from agents.farewell import STOPPED, Farewell
from agents.link import Link
from core.clock import utc_now
from core.errors import Unavailable
from core.ids import uuid7
from core.messages import Event, Heartbeat, OsType
from core.spool import Spool, SpoolDamaged, SpoolFull
from core.text import printable

log = logging.getLogger("heimdall.agent")

COLLECT_SECONDS = 1.0  # at half of it, an agent that always finds something takes half as much CPU again
RETRY_SPOOL_SECONDS = 5.0
LAST_SECONDS = 2.0  # for what has come when the agent is to end: whoever ends it does not wait for long


class Agent:
    """One host's agent: `collector` reads, `spool` keeps, `link` sends. `interval_seconds` is between beats."""

    def __init__(
        self, host: str, boot: str, collector: Collector, spool: Spool, link: Link, interval_seconds: float
    ) -> None:
        self.host, self.boot, self.collector, self.spool, self.link = host, boot, collector, spool, link
        self.interval_seconds = interval_seconds
        self.dropped = 0  # events that a full spool had no room for
        self._os_type: OsType = collector.os_type
        self._started = False
        self._seq = 0
        self._position: Optional[str] = None
        self._position_kept: Optional[str] = None
        self._pending: List[Event] = []
        self._alerts: List[Event] = []
        self._trouble = ""
        self._next_beat = time.monotonic() + interval_seconds  # the first one goes when the link connects
        self._next_try = 0.0
        self._connections_seen = 0

    def start(self) -> None:
        """Connect and send what the spool holds. `run` does so too, unless it was done before."""
        if not self._started:
            self._started = True
            self.link.start()

    def run(self, stopping: threading.Event, find_farewell: Callable[[], Farewell] = lambda: STOPPED) -> None:
        """Work until `stopping` is set, then read once more, and say what `find_farewell` finds.

        What waits in the spool stays there.
        """
        farewell = STOPPED
        self._position = self._position_kept = self.spool.source_position(self.collector.name)
        self.start()
        try:
            while not stopping.is_set():
                more = self._collect()
                self.beat_when_due()
                if not more:
                    stopping.wait(COLLECT_SECONDS)
            self._collect_rest()
            farewell = find_farewell()
        finally:
            self._keep_position()
            self.stop(farewell)

    def stop(self, farewell: Farewell = STOPPED) -> None:
        """End reading, say `farewell` to the server, and say what was counted."""
        self.collector.close()
        self.link.stop(farewell)
        if self.link.beats_lost:
            log.info("%d heartbeats did not reach the server since the start", self.link.beats_lost)

    def send_events(self, events: List[Event]) -> None:
        """Keep `events` in the spool, from where the link sends them; without any, send a heartbeat instead.

        Raises `Unavailable` when the spool cannot be written; nothing is kept then.
        """
        if not events:
            self.send_heartbeat()
            return
        self._append(events)

    def send_heartbeat(self) -> None:
        """A sign of life, now or never: one that fails is counted in `link.beats_lost` and nothing else."""
        try:
            waiting: Optional[int] = len(self.spool)
        except Unavailable as error:
            waiting = None
            if isinstance(error, SpoolDamaged):
                self.link.spool_damaged = True
        beat = Heartbeat(self._os_type, utc_now(), self._seq, self.boot, self.interval_seconds, waiting)
        self._seq += 1
        self.link.send_beat(beat)

    def beat_when_due(self) -> None:
        """Send a heartbeat when the interval has passed, or when the link has connected since the last."""
        now = time.monotonic()
        connected = self.link.connections != self._connections_seen
        if now < self._next_beat and not connected:
            return
        self._connections_seen = self.link.connections
        if connected:
            self._next_beat = now + self.interval_seconds
        else:
            # from the last deadline on, so that beats do not drift; one that was missed by far is not made up for
            self._next_beat = max(self._next_beat + self.interval_seconds, now + self.interval_seconds / 2)
        self.send_heartbeat()
        self._keep_position()

    def _collect(self) -> bool:
        """Read once and keep what came; whether there may be more at once."""
        if self._trouble and time.monotonic() < self._next_try:
            return False
        moved = True
        try:
            if self.link.spool_damaged:
                self._remake_spool("found while in use")
            if not self._pending:
                reading = self.collector.read(self._position)
                moved = reading.position != self._position
                self._pending, self._position = reading.events, reading.position
            if self._alerts or self._pending:
                self.send_events(self._alerts + self._pending)
                self._alerts, self._pending = [], []
        except Unavailable as error:
            self._wait_for_spool(error)
            return False
        if self._position_kept is None:
            # where a first start began: an early death must not begin later the next time
            self._keep_position()
        return moved

    def _collect_rest(self) -> None:
        """Keep what has come since the last look: not every source gives it again at the next start."""
        deadline = time.monotonic() + LAST_SECONDS
        while self._collect() and time.monotonic() < deadline:
            pass

    def _append(self, events: List[Event]) -> None:
        """Events and position in one transaction, dropping others when the spool is full."""
        while True:
            try:
                self.spool.append(events, self.collector.name, self._position or "")
                self.link.wake()
                break
            except SpoolFull:
                dropped = self.spool.make_room()
                if not dropped:
                    raise
                self.dropped += dropped
                events = [*events, self._make_alert(3, self._describe_drop(dropped))]
            except SpoolDamaged as error:
                self._remake_spool(str(error))
                events = self._alerts + events
                self._alerts = []
        self._end_trouble()

    def _describe_drop(self, dropped: int) -> str:
        text = (
            f"The agent's spool is full: {dropped} of the oldest events of the lowest severity were dropped, "
            f"{self.dropped} since the agent's start"
        )
        log.error("%s", text)
        return text

    def _keep_position(self) -> None:
        """Keep a position that moved over lines that told nothing, so that they are not read again."""
        if self._position is None or self._position == self._position_kept or self._pending:
            return
        try:
            self.spool.append([], self.collector.name, self._position)
            self._end_trouble()
        except Unavailable as error:
            self._wait_for_spool(error)

    def _end_trouble(self) -> None:
        self._position_kept = self._position
        if self._trouble:
            log.info("the spool can be written again")
            self._trouble = ""

    def _wait_for_spool(self, error: Unavailable) -> None:
        self.link.spool_damaged |= isinstance(error, SpoolDamaged)
        self._next_try = time.monotonic() + RETRY_SPOOL_SECONDS
        if not self._trouble:
            log.error("%s; beating on, and trying again each %.0f s", printable(error), RETRY_SPOOL_SECONDS)
        self._trouble = str(error)

    def _remake_spool(self, why: str) -> None:
        # it stays damaged until a new one is there, whatever fails on the way
        self.link.spool_damaged = True
        self.spool.close()
        aside, self.spool = set_spool_aside(self.spool.path, self.spool.limit_bytes)
        self.link.use_spool(self.spool)
        self.link.spool_damaged = False
        self._alerts.append(self._make_alert(4, describe_damage(aside, why)))

    def _make_alert(self, severity: int, text: str) -> Event:
        return make_alert(self.host, self._os_type, severity, text)


def make_alert(host: str, os_type: OsType, severity: int, text: str) -> Event:
    """An event of the agent's own, about itself."""
    return Event(uuid7(), utc_now(), host, os_type, "SYSTEM_ALERT", severity, text)


def describe_damage(aside: Path, why: str) -> str:
    """What an event and the log say about a spool that had to be made anew."""
    return f"The agent's spool was damaged ({printable(why)}); it is kept as {aside}, and its events may be missing"


def open_spool(path: Path) -> Tuple[Spool, Optional[Path]]:
    """The spool at `path`, made anew when its file is damaged, and where the damaged one lies now.

    Raises `Unavailable` when none can be made.
    """
    try:
        return Spool(path), None
    except SpoolDamaged:
        aside, spool = set_spool_aside(path)
        return spool, aside


def set_spool_aside(path: Path, limit_bytes: int = 256 * 1024 * 1024) -> Tuple[Path, Spool]:
    """Rename the spool's files to `….damaged-<time>` and make a new one; raises `Unavailable`."""
    aside = path.with_name(f"{path.name}.damaged-{utc_now():%Y%m%dT%H%M%S%f}Z")
    try:
        for ending in ("", "-wal", "-shm"):
            file = path.with_name(path.name + ending)
            if file.exists():
                file.rename(aside.with_name(aside.name + ending))
    except OSError as error:
        raise Unavailable(f"the damaged spool {path} cannot be moved aside: {error}") from error
    log.error("the spool %s is damaged: it is kept as %s, and a new one is made", path, aside)
    return aside, Spool(path, limit_bytes)
