"""The slot: which of several of one service this one is, leased in the database: no two share a client id."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from pathlib import Path

from core.clock import utc_now
from core.errors import Conflict, Unavailable
from store.store import Store

LEASE_SECONDS = 15.0
RENEW_SECONDS = 3.0


def _started(pid: int) -> str:
    """When process `pid` started, in the kernel's ticks; empty where that cannot be told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_dead(holder: str) -> bool:
    """Whether `holder` was a process of this machine that has ended: its slot is free at once.

    The start time tells a process from a later one with the same number, as in a container started again.
    """
    machine, _, rest = holder.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if machine != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return started != _started(os.getpid())
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _started(int(pid)) != started


class Slot:
    """A leased slot of the service `name`. Raises `Unavailable` when the database is away."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self.name = store, name
        pid = os.getpid()
        self.holder = f"{socket.gethostname()}/{pid}/{_started(pid)}/{secrets.token_hex(4)}"
        self.number = store.take_lease(name, self.holder, utc_now(), LEASE_SECONDS, is_dead)

    def renew(self) -> bool:
        """Hold the slot for another while; `False` when somebody else has it now."""
        try:
            return self._store.renew_lease(self.name, self.number, self.holder, utc_now(), LEASE_SECONDS)
        except Unavailable:
            return True  # nobody else can take it either while the database is away

    async def keep(self) -> None:
        """Renew it. Raises `Conflict` when somebody else has it now."""
        if not await asyncio.to_thread(self.renew):
            raise Conflict(f"slot {self.number} has been taken by another {self.name}: leaving it to that one")

    async def is_first(self) -> bool:
        """Whether no smaller slot is held: of several of one service this one does what is done once.

        Raises `Unavailable`.
        """
        return await asyncio.to_thread(self._store.first_slot, self.name, utc_now()) == self.number

    async def hold(self) -> None:
        """Keep it until cancelled, or until somebody else has it (`Conflict`)."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await self.keep()

    def release(self) -> None:
        """Let the slot go, as far as the database can be told."""
        try:
            self._store.release_lease(self.name, self.number, self.holder)
        except Unavailable:
            return
