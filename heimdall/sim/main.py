"""One simulation: connect, play, listen, compare, say goodbye."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import mqtt5

from core.errors import Invalid, Unavailable
from core.home import Credential, Home
from core.process import allow_many_connections
from core.settings import BrokerAddress, Settings, in_url, parse_broker
from core.topics import INFO, STATUS, check_host, host_topic
from heimdall.command import DONE, FAILED, INTERRUPTED
from heimdall.sim import report
from heimdall.sim.compare import Comparison, compare
from heimdall.sim.events import Events
from heimdall.sim.fleet import Fleet
from heimdall.sim.host import Manner
from heimdall.sim.ledger import Rules, expect
from heimdall.sim.link import Line, Link, make_connect
from heimdall.sim.observer import Observer
from heimdall.sim.plan import Planned, end_seconds, make_plan
from heimdall.sim.player import Player
from heimdall.sim.script import Script, parse_script

PROGRESS_SECONDS = 1.0
CLEAR_SECONDS = 30.0
MOST_HOSTS = 60_000  # ports of one address
LONGEST_INTERVAL_SECONDS = 3_600.0
SPARE_FILES = 64  # for all but the hosts
CONNECT_SECONDS = 60.0  # without anybody more who gets in


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Simulate as `options` say; returns the exit code. Raises `Invalid` and `Unavailable`."""
    names = _make_names(options)
    script, file = Script(), ""
    if options.faults:
        file = options.faults
        try:
            script = parse_script(Path(file).read_text(encoding="utf-8"), file)
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"--faults {file} cannot be read: {error}") from error
    address, speaker, listener = _find_logins(settings, options)
    manner = Manner(options.interval, speaker, version("heimdall-siem"))
    rules = Rules(manner.interval_seconds, manner.keep_alive_seconds, options.slack)
    plan = make_plan(script, names, rules, options.seed, file)
    allow_many_connections()
    _check_files(options.hosts)
    simulation = Simulation(address, names, manner, rules, listener, options)
    with asyncio.Runner(loop_factory=_make_loop()) as runner:
        return runner.run(simulation.run(script, plan))


def _make_names(options: argparse.Namespace) -> list[str]:
    for key, value, fits, hint in (
        ("--hosts", options.hosts, 1 <= options.hosts <= MOST_HOSTS, f"use 1 to {MOST_HOSTS}"),
        ("--first", options.first, options.first >= 0, "use a number from 0 on"),
        ("--interval", options.interval, 1 <= options.interval <= LONGEST_INTERVAL_SECONDS, "use 1 to 3600 seconds"),
        ("--events", options.events, 0 <= options.events < math.inf, "use a number from 0 on"),
        ("--connect-rate", options.connect_rate, 0 < options.connect_rate < math.inf, "use a number above 0"),
        ("--slack", options.slack, 0 <= options.slack < math.inf, "use seconds, from 0 on"),
        ("--for", options.seconds, options.seconds is None or 0 < options.seconds < math.inf, "use seconds above 0"),
    ):
        if not fits:
            raise Invalid(f"{key} {value}: {hint}")
    check_host(f"{options.name_prefix}00001", "--name-prefix")
    return [f"{options.name_prefix}{number:05d}" for number in range(options.first, options.first + options.hosts)]


def _check_files(hosts: int) -> None:
    """Raise `Invalid` when this process may not hold so many connections."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 -- not on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and hosts + SPARE_FILES > limit:
        raise Invalid(
            f"--hosts {hosts}: this process may hold {limit} files: use at most {max(1, limit - SPARE_FILES)}, "
            "and more processes, each with another --first"
        )


def _find_logins(
    settings: Settings, options: argparse.Namespace
) -> tuple[BrokerAddress, Credential | None, Credential | None]:
    """The broker, who speaks there for all hosts, and who listens. Raises `Invalid` and `Unavailable`."""
    home = Home(settings.home)
    address = settings.broker
    if options.password and not options.user:
        raise Invalid("--password belongs to --user")
    user, password = options.user or address.user, options.password or address.password
    if options.broker or options.user:
        url = options.broker or f"{address.scheme}://{in_url(address.host)}:{address.port}"
        address = parse_broker(url, user, password, settings.home)
    if address.user:
        login = Credential(address.user, address.password)
        return address, login, login
    if options.broker or (settings.broker_set and not home.credential_path("api").exists()):
        return address, None, None
    return address, home.credential("api"), home.credential("ops")


def _make_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it runs (not on Windows)."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


class Simulation:
    """A fleet, what is done to it, and who listens to what is said of it."""

    def __init__(
        self, address: BrokerAddress, names: list[str], manner: Manner, rules: Rules, listener: Credential | None,
        options: argparse.Namespace,
    ) -> None:  # fmt: skip
        self._options, self._rules, self._manner, self._names = options, rules, manner, names
        self._clock = time.monotonic
        self._line = Line(address)
        self._fleet = Fleet(self._line, names, manner, options.connect_rate, self._clock)
        self._player = Player(self._fleet)
        self._run_id = f"sim-{names[0]}-{os.getpid()}"
        client_id = f"{listener.user}-{self._run_id}" if listener else f"{self._run_id}-observer"
        self._observer = Observer(self._line, listener, client_id, frozenset(names), self._clock)
        self._events = Events([*self._fleet.hosts.values()], options.events, self._clock())
        self._fleet.receipts = self._events.receive
        self._stop = asyncio.Event()
        self._zero = math.inf

    async def run(self, script: Script, plan: list[Planned]) -> int:
        """The whole of it, until its end or Ctrl-C. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop.set))
        observing = asyncio.create_task(self._observer.run(), name="observer")
        tasks = [observing, asyncio.create_task(self._play(script, plan), name="script")]
        try:
            await self._first(asyncio.create_task(self._wait_ready()), observing)
            tasks.append(asyncio.create_task(self._fleet.run(), name="fleet"))
            if sys.stderr.isatty():
                tasks.append(asyncio.create_task(self._show_progress(), name="progress"))
            await self._first(*tasks)
        finally:
            end = self._clock()
            self._observer.close_gap(end)
            counts = self._count()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if sys.stderr.isatty():
                print(file=sys.stderr)
            self._observer.close()
            await self._fleet.leave()
            if not self._options.keep:
                await self._clear()
        return self._report(self._compare(end), counts)

    async def _wait_ready(self) -> None:
        await self._observer.ready.wait()

    async def _first(self, *tasks: asyncio.Task[None]) -> None:
        """Wait for the first of `tasks`, or Ctrl-C. Raises what it raised."""
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()

    async def _play(self, script: Script, plan: list[Planned]) -> None:
        await self._wait_connected()
        # the fleet is there to stay: no collection need look at it again
        gc.collect()
        gc.freeze()
        self._zero = self._clock()
        self._player.schedule(plan, script.commands, self._zero)
        seconds = self._options.seconds
        if seconds is None and self._options.faults:
            seconds = end_seconds(script, self._rules)
        end = math.inf if seconds is None else self._zero + seconds
        while (left := end - self._clock()) > 0:
            if self._options.events:
                self._events.turn(self._clock())
            await asyncio.sleep(min(left, 0.05 if self._options.events else 0.5))

    async def _wait_connected(self) -> None:
        most, since = 0, self._clock()
        while (connected := self._fleet.connected()) < len(self._names):
            if connected > most:
                most, since = connected, self._clock()
            if self._clock() - since > CONNECT_SECONDS:
                raise Unavailable(
                    f"{connected} of {len(self._names)} hosts got in, and then none: {self._fleet.refusal}"
                )
            await asyncio.sleep(0.1)

    def _compare(self, end: float) -> Comparison:
        blackouts = [*self._player.blackouts, *self._observer.gaps]
        expected = expect(self._fleet.facts, blackouts, self._rules, end)
        return compare(expected, self._observer.said, self._observer.alerts, end)

    def _count(self) -> report.Counts:
        fleet, events = self._fleet, self._events
        return report.Counts(
            len(self._names), fleet.connected(), fleet.beats, len(self._observer.said), fleet.lost,
            self._player.skipped, events.made, events.accepted, events.repeated, round(fleet.longest_lag, 3),
        )  # fmt: skip

    def _report(self, comparison: Comparison, counts: report.Counts) -> int:
        failed = self._player.failed_commands
        if self._options.json:
            print(json.dumps(report.as_json(comparison, counts, failed, self._begin()), indent=2))
        else:
            print(report.as_text(comparison, counts, failed, self._begin()))
        if self._stop.is_set():
            return INTERRUPTED
        return DONE if comparison.flawless and not failed else FAILED

    def _begin(self) -> float:
        return self._zero if self._zero < math.inf else self._clock()

    async def _show_progress(self) -> None:
        """A line a second, over the one before."""
        beats = accepted = 0
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            fleet, events = self._fleet, self._events
            since = f"{self._clock() - self._zero:6.0f} s" if self._zero < math.inf else "connecting"
            print(
                f"\r{since}  {fleet.connected()} connected  {fleet.beats - beats} beats/s  "
                f"{events.accepted - accepted} events/s  {self._player.under_way()} faults  "
                f"{len(self._observer.said)} verdicts\033[K",
                end="", file=sys.stderr, flush=True,
            )  # fmt: skip
            beats, accepted = fleet.beats, events.accepted

    async def _clear(self) -> None:
        """Clear what the hosts have left retained, whoever of them could still speak. Raises `Unavailable`."""
        login = self._manner.login
        connect = make_connect(f"{login.user if login else ''}-{self._run_id}-clear".lstrip("-"), login, 60)
        broom = Broom(self._names)
        with suppress(Unavailable):  # then there is no broker that retains anything
            await self._line.open(broom, connect)
            with suppress(TimeoutError):
                await asyncio.wait_for(broom.done.wait(), CLEAR_SECONDS)


class Broom:
    """Clears the retained topics of hosts by messages without a payload (MQTT 5, section 3.3.1.3)."""

    def __init__(self, names: list[str]) -> None:
        self.done = asyncio.Event()
        self._names = names

    def opened(self, link: Link) -> None:
        """Nothing is to be done before CONNACK."""

    def heard(self, link: Link, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket):
            for name in self._names:
                # at QoS 0 the broker bounds nothing, and its answer to the ping comes when all is done
                for kind in (STATUS, INFO):
                    link.write(mqtt5.PublishPacket(host_topic(name, kind), b"", retain=True).write())
            link.ping()
        elif isinstance(packet, mqtt5.PingRespPacket):
            link.leave()
            self.done.set()

    def ended(self, _link: Link, _reason: str) -> None:
        self.done.set()
