"""The forwarder: decides which batch of a spool is published when. It knows no MQTT and no clock.

1. At most `window` batches are out without a receipt: that is the back-pressure.
2. A receipt deletes from the spool exactly what it names, in any order; one of another spool is ignored.
3. A batch without a receipt in time goes out again, with a delay that doubles, so that a long outage
   does not fill the broker with repetitions. A PUBACK does not count as delivery.
4. A broken connection makes what had no PUBACK due at once.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Iterable

from core.spool import Batch, Receipt, Spool

PATIENCE_SECONDS = 10.0
LONGEST_PATIENCE_SECONDS = 300.0


@dataclass
class _Out:
    batch: Batch
    due: float
    attempts: int = 0
    acknowledged: bool = False


class Forwarder:
    """The batches of one spool that are under way. Times are seconds of one monotonic clock."""

    def __init__(self, spool: Spool, window: int = 8, max_bytes: int = 1_000_000) -> None:
        self.spool = spool
        self.window = window
        self.max_bytes = max_bytes  # of one message: CONNACK's maximum packet size may lower it
        self._out: dict[int, _Out] = {}
        self._behind = 0  # the last position that was ever given out
        self._lock = threading.Lock()

    def due(self, now: float) -> list[Batch]:
        """The batches to publish now: those overdue first, then new ones while the window has room."""
        with self._lock:
            chosen = [out for out in self._out.values() if out.due <= now]
            while len(self._out) < self.window:
                batch = self.spool.batch(self._behind, max_bytes=self.max_bytes)
                if batch is None:
                    break
                self._behind = batch.last
                out = self._out[batch.first] = _Out(batch, now)
                chosen.append(out)
            for out in chosen:
                delay = min(PATIENCE_SECONDS * 2**out.attempts, LONGEST_PATIENCE_SECONDS)
                out.due = now + delay * random.uniform(0.9, 1.1)
                out.attempts += 1
                out.acknowledged = False
            return [out.batch for out in chosen]

    def correlation(self, batch: Batch) -> bytes:
        """The correlation data to publish `batch` with."""
        return Receipt(self.spool.id, batch.first, batch.last).pack()

    def acknowledged(self, batch: Batch) -> None:
        """The broker has said PUBACK with success for `batch`: wait for the receipt."""
        with self._lock:
            if out := self._out.get(batch.first):
                out.acknowledged = True

    def disconnected(self, now: float) -> None:
        """The connection broke: what had no PUBACK is due at once, on the next one."""
        with self._lock:
            for out in self._out.values():
                if not out.acknowledged:
                    out.due, out.attempts = now, 0

    def receipts(self, correlations: Iterable[bytes | None]) -> int:
        """Delete what receipts name, in one transaction; receipts of others are ignored.

        Returns how many events that were. Raises `Unavailable`; nothing is deleted then.
        """
        found = [Receipt.unpack(correlation) for correlation in correlations]
        ours = [receipt for receipt in found if receipt is not None and receipt.spool_id == self.spool.id]
        if not ours:
            return 0
        deleted = self.spool.delete((receipt.first, receipt.last) for receipt in ours)
        with self._lock:
            for receipt in ours:
                out = self._out.get(receipt.first)
                # a receipt for a batch of an earlier run may end elsewhere: what lies behind it is still out
                if out is not None and out.batch.last <= receipt.last:
                    del self._out[receipt.first]
        return deleted

    def waiting(self) -> int:
        """How many batches are out without a receipt."""
        with self._lock:
            return len(self._out)
