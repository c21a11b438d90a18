"""`last_seen` never goes back: somebody looks all the time."""

from __future__ import annotations

import threading
from datetime import datetime

from host_status import read_status

from core.clock import utc_now
from core.errors import HeimdallError
from store import open_store


class LastSeenWatch:
    """Looks at `heartbeats` all the time and notes each host whose `last_seen` is older than it was before."""

    def __init__(self, database_url: str) -> None:
        self.went_back: list[tuple[str, datetime, datetime]] = []
        self.looked = 0
        self._ended = threading.Event()
        self._store = open_store(database_url)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        newest: dict[str, datetime] = {}
        while not self._ended.wait(0.05):
            try:
                status = read_status(self._store, 15, utc_now())
            except HeimdallError:
                continue
            self.looked += 1
            for host in [*status.active, *status.inactive]:
                if host.last_seen is None:
                    continue
                before = newest.get(host.hostname)
                if before is not None and host.last_seen < before:
                    self.went_back.append((host.hostname, before, host.last_seen))
                newest[host.hostname] = host.last_seen

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)
        self._store.close()
