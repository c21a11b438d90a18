"""The player: does to the fleet what the plan says, and notes when it really happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from core.clock import utc_now
from heimdall.sim.fleet import Fleet
from heimdall.sim.host import Host
from heimdall.sim.ledger import Blackout
from heimdall.sim.plan import Planned
from heimdall.sim.script import Command, Fault

log = logging.getLogger("heimdall.sim")

IN_TIME_SECONDS = 10.0  # that a host which is not late has announced too much


class Player:
    """Plays one plan. `skipped` counts hosts that were not in when their fault was to begin."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._running: set[asyncio.Task[None]] = set()
        self.blackouts: list[Blackout] = []
        self.failed_commands: list[str] = []
        self.skipped = 0

    def schedule(self, plan: Sequence[Planned], commands: Sequence[Command], zero: float) -> None:
        """Let it all happen, counted from `zero`."""
        timers = self._fleet.timers
        for fault, names in plan:
            hosts = [self._fleet.hosts[name] for name in names]
            if fault.kind == "flap":
                turn = fault.down_seconds + fault.up_seconds
                for number in range(fault.times):
                    at = zero + fault.at + number * turn
                    # a judge may damp what comes after the first, as long as it ends well
                    begin, last = partial(self._begin, fault, hosts, number == 0), number == fault.times - 1
                    timers.call_at(at, begin)
                    timers.call_at(at + fault.down_seconds, partial(self._end, fault, hosts, last))
                continue
            timers.call_at(zero + fault.at, partial(self._begin, fault, hosts, True))
            if fault.lasts_seconds:
                timers.call_at(zero + fault.at + fault.lasts_seconds, partial(self._end, fault, hosts, True))
        for command in commands:
            timers.call_at(zero + command.at, partial(self._run, command, zero))

    def under_way(self) -> int:
        """How many hosts have a fault now."""
        return sum(bool(host.fault) for host in self._fleet.hosts.values())

    def _begin(self, fault: Fault, hosts: Sequence[Host], required: bool, _now: float) -> None:
        for host in hosts:
            if not host.accepted or host.fault:
                self.skipped += 1
                continue
            host.fault, host.required = fault.kind, required
            self._do(fault, host)

    def _do(self, fault: Fault, host: Host) -> None:
        fleet, kind = self._fleet, fault.kind
        now = fleet.clock()
        if kind == "away":
            seconds = (fault.for_seconds or 0.0) - (fault.late_by_seconds or -IN_TIME_SECONDS)
            fleet.note(host, kind, now, now + seconds)
            host.mood = "down"
            host.say_goodbye("away", "upgrade", utc_now() + timedelta(seconds=seconds))
            return
        fleet.note(host, kind, now)
        if kind in ("kill", "flap"):
            host.mood = "down"
            host.cut()
        elif kind in ("stop", "restart", "shutdown"):
            host.mood = "down"
            host.say_goodbye("offline", "shutdown" if kind == "shutdown" else "stop")
        elif kind == "hang" and host.link is not None:
            host.mood = "hung"
            host.link.hang(True)
        elif kind == "mute":
            host.mood = "mute"
        elif kind == "clone":
            fleet.clone(host)
        elif kind == "roam":
            fleet.open(host)

    def _end(self, fault: Fault, hosts: Sequence[Host], required: bool, _now: float) -> None:
        fleet = self._fleet
        for host in hosts:
            if host.fault != fault.kind:
                continue  # it never began, or a broker that went away ended it before
            host.required = required
            if fault.kind == "hang":
                fleet.wake(host)
            elif fault.kind == "mute":
                fleet.speak_again(host)
            elif fault.kind == "clone":
                fleet.end_clone(host)
            else:
                host.start_anew()
                fleet.open(host)

    def _run(self, command: Command, zero: float, now: float) -> None:
        if command.until is not None:
            self.blackouts.append(Blackout(now, zero + command.until))
        task = asyncio.create_task(self._wait_for(command))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _wait_for(self, command: Command) -> None:
        process = await asyncio.create_subprocess_shell(command.run, stdin=asyncio.subprocess.DEVNULL)
        code = await process.wait()
        if code:
            self.failed_commands.append(f"line {command.line}: {command.run!r:.200} ended with {code}")
            log.error("the script's %s", self.failed_commands[-1])
