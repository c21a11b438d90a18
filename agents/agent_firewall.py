"""The firewalls' collector: syslog that they send to a port of this machine, over UDP and TCP.

There is no position to go on from: a firewall does not send again what was received and not yet spooled. That is what
waits between two reads, half a second's worth, and more only while the spool cannot be written.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Callable, List, Optional, Tuple
from uuid import UUID

from agents.address import LISTEN, Address
from agents.collector import Reading, Source
from agents.firewall_lines import Finding, recognise
from agents.floods import Flood, Scans
from agents.reading import by_line
from agents.receiver import Receiver, try_address
from agents.syslog import cut, decode_line, parse_header
from core.clock import utc_now
from core.errors import Conflict, Invalid
from core.ids import uuid7
from core.messages import Event, OsType

MESSAGES_PER_READ = 1_000
# a device whose clock is off by more has a wrong one; by less, its zone may be another than this machine's
PLAUSIBLE = timedelta(days=1)


class FirewallCollector:
    """Listens from the first read on, so that `--read FILE --once` takes no port."""

    name = "firewall"
    os_type: OsType = "FIREWALL"

    def __init__(self, host: str, address: Address = LISTEN, clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._address, self._clock = host, address, clock
        self._receiver: Optional[Receiver] = None
        self._blocks, self._scans = Flood(), Scans()
        self._reads = 0

    def read(self, position: Optional[str]) -> Reading:
        """See `Collector.read`. The position is another one when there may be more at once.

        Raises `Conflict` when the port is taken and `Invalid` when it may not be listened at.
        """
        if self._receiver is None:
            self._receiver = Receiver(self._address)
        messages = self._receiver.take(MESSAGES_PER_READ)
        now, seconds = utc_now(), self._clock()
        events = self._blocks.due(seconds)
        for raw in messages:
            events += self._tell(raw, now, seconds)
        if len(messages) == MESSAGES_PER_READ:
            self._reads += 1
            return Reading(events, str(self._reads))
        return Reading(events, position or "0")

    def sources(self) -> List[Source]:
        """See `Collector.sources`."""
        name = f"syslog at {self._address} (UDP and TCP)"
        try:
            try_address(self._address)
        except (Conflict, Invalid) as error:
            return [Source(name, None, str(error), taken=isinstance(error, Conflict))]
        return [Source(name)]

    def close(self) -> None:
        if self._receiver:
            self._receiver.close()

    def _tell(self, raw: bytes, now: datetime, seconds: float) -> List[Event]:
        told = _recognise(self._host, uuid7(), raw, now)
        if told is None:
            return []
        event, finding = told
        if abs(event.timestamp - now) > PLAUSIBLE:
            event.timestamp = now
        if event.event_type != "CONNECTION_BLOCKED":
            return [event]
        scan = self._scans.see(event, finding, seconds)
        connection = (finding.source_ip, finding.destination, finding.port)
        return self._blocks.fold(event, connection, seconds) + ([scan] if scan else [])


def read_line(host: str, event_id: UUID, raw: bytes, now: datetime) -> Optional[Event]:
    """The event that one line of a firewall's log tells by itself, `None` when it tells none.

    Blocks are not folded and scans are not looked for: the same file again must tell the same events.
    """
    told = _recognise(host, event_id, raw, now)
    return told[0] if told else None


def _recognise(host: str, event_id: UUID, raw: bytes, now: datetime) -> Optional[Tuple[Event, Finding]]:
    text = decode_line(raw)
    header = parse_header(text, now)
    finding = recognise(header)
    if finding is None:
        return None
    rule = finding.rule
    event = Event(
        event_id, header.at or now, host, "FIREWALL", rule.event_type, rule.severity,
        cut(text), finding.source_ip, finding.user,
    )  # fmt: skip
    return event, finding


make_collector = FirewallCollector
read_file = by_line(read_line)
