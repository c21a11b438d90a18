"""Wrong tries: whoever sends wrong keys is soon answered without a look at them.

A guess that is refused unread tells nothing, so it must not matter whether it is right. Keys that an
address has used before go on working: behind one address may be a whole office, or a proxy.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field

TRIES = 10
WINDOW_SECONDS = 60.0
ADDRESSES = 10_000  # that are remembered; the longest unheard goes first
GOOD_KEYS = 256  # of one address
PREFIX_BITS = 64  # of an IPv6 address: all that one subscriber has is one address here


@dataclass
class _Address:
    wrong: deque[float] = field(default_factory=lambda: deque(maxlen=TRIES))
    good: OrderedDict[str, None] = field(default_factory=OrderedDict)


class Tries:
    """What addresses have tried. `now` is a monotonic clock's, in seconds; a `digest` is a key's hash."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def seconds_to_wait(self, address: str, digest: str, now: float) -> float:
        """How long this address must wait before `digest` is looked at; 0 for not at all."""
        known = self._addresses.get(_group(address))
        if known is None or digest in known.good or len(known.wrong) < TRIES:
            return 0.0
        return max(0.0, known.wrong[0] + WINDOW_SECONDS - now)

    def was_wrong(self, address: str, digest: str, now: float) -> None:
        """Count a wrong try."""
        known = self._remember(address)
        known.good.pop(digest, None)  # it was revoked
        known.wrong.append(now)

    def was_right(self, address: str, digest: str) -> None:
        """Remember that this address knows this key."""
        known = self._remember(address)
        known.good[digest] = None
        known.good.move_to_end(digest)
        if len(known.good) > GOOD_KEYS:
            known.good.popitem(last=False)

    def _remember(self, address: str) -> _Address:
        group = _group(address)
        known = self._addresses.setdefault(group, _Address())
        self._addresses.move_to_end(group)
        if len(self._addresses) > ADDRESSES:
            self._addresses.popitem(last=False)
        return known


def _group(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, PREFIX_BITS), strict=False))
    return str(found)
