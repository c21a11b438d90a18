"""Which hosts are alive, as two lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from store import Host, Store


@dataclass
class HostStatus:
    """Hosts on either side of a threshold, each list by name."""

    active: list[Host] = field(default_factory=list)
    inactive: list[Host] = field(default_factory=list)


def read_status(store: Store, threshold_minutes: float, now: datetime) -> HostStatus:
    """All that `store` has heard of."""
    found = HostStatus()
    for host, active in store.walk_status(threshold_minutes, now):
        (found.active if active else found.inactive).append(host)
    return found
