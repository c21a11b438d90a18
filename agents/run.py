"""`heimdall agent`: options and settings in, a running agent out."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import platform
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple
from uuid import uuid4

from agents import agent_firewall, agent_linux, agent_macos, agent_pihole, agent_windows
from agents.agent import Agent, describe_damage, make_alert, open_spool
from agents.collector import Collector
from agents.enrolment import enroll
from agents.link import Link
from agents.link_http import HttpLink
from agents.link_mqtt import Logins, MqttLink
from agents.machine import describe_machine
from agents.reading import FileReader, Summary, by_line, spool_file, wait_until_sent
from agents.receiver import Address, parse_address
from agents.renewal import Renewal, logins
from agents.standing import StandingFile
from agents.windows_xml import split_events
from core import lock
from core.errors import Conflict, Invalid
from core.home import Home, find_login
from core.messages import OsType
from core.settings import Settings, parse_broker
from core.spool import Spool
from core.topics import check_host

log = logging.getLogger("heimdall.agent")

PATIENCE_SECONDS = 120.0  # without any receipt, before `--read --once` gives up
INTERRUPTED = 130


class Kind(NamedTuple):
    """A kind of host: what makes its collector, how a given file is read, seconds between beats."""

    os_type: OsType
    make_collector: Callable[[str], Collector]
    read_file: FileReader
    interval_seconds: float


KINDS: Dict[str, Kind] = {
    "linux": Kind("LINUX", agent_linux.LinuxCollector, by_line(agent_linux.read_line), agent_linux.INTERVAL_SECONDS),
    "pihole": Kind("PIHOLE", agent_pihole.PiholeCollector, agent_pihole.read_file, agent_pihole.INTERVAL_SECONDS),
    "macos": Kind("MACOS", agent_macos.MacosCollector, by_line(agent_macos.read_line), agent_macos.INTERVAL_SECONDS),
    "windows": Kind(
        "WINDOWS",
        agent_windows.WindowsCollector,
        by_line(agent_windows.read_line, split_events),
        agent_windows.INTERVAL_SECONDS,
    ),
    "firewall": Kind(
        "FIREWALL", agent_firewall.FirewallCollector, by_line(agent_firewall.read_line), agent_firewall.INTERVAL_SECONDS
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `heimdall agent`, for `run`."""
    add_work_arguments(parser)
    parser.add_argument("--only-enroll", action="store_true", help="enrol, and end")
    parser.add_argument("--read", metavar="FILE", help="read this log, plain or .gz, or database, from its start")
    parser.add_argument("--once", action="store_true", help="with --read: end when every event of it is stored")
    parser.add_argument("--json", action="store_true", help="with --read: print what was read as JSON")


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of them that an agent at work has, for `install` too."""
    parser.add_argument("--kind", metavar="KIND", help=f"kind of host: {', '.join(KINDS)} (default: this machine's)")
    parser.add_argument("--host", metavar="NAME", help="name to report under (default: HEIMDALL_HOST)")
    intervals = ", ".join(f"{name}: {kind.interval_seconds:.0f}" for name, kind in KINDS.items())
    parser.add_argument("--interval", metavar="SECONDS", type=float, help=f"seconds between heartbeats ({intervals})")
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT",
        help=f"kind firewall: receive syslog there, over UDP and TCP (default: {agent_firewall.LISTEN})",
    )  # fmt: skip
    parser.add_argument(
        "--enroll", metavar="TOKEN",
        help="enrol this host by a token of `heimdall enroll`, then run; - reads it from standard input "
        "(default: HEIMDALL_ENROLL_TOKEN)",
    )  # fmt: skip


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the agent until SIGTERM or SIGINT, or read a log once; returns the exit code.

    Raises `Invalid` (options, names), `Conflict` (a second agent of one home) and `Unavailable`.
    """
    kind, interval = choose_kind(options)
    if options.once and not options.read:
        raise Invalid("--once belongs to --read FILE")
    home = Home(settings.home)
    home.prepare()
    host = _find_host(settings, options, home)
    stop = _Stop()
    with stop:
        _enroll(settings, options, home, host, stop)
    settings = _find_server(settings, home)
    if options.only_enroll:
        return stop.code

    def make() -> Agent:
        return _make_agent(settings, home, host, kind, interval)

    with stop:
        if options.read:
            return _run_reading(options, kind, _Sender(home, host, make), stop)
        lock.hold(home.agent_lock, f"the agent of {settings.home}")
        agent = make()
        if home.read_server().get("api"):
            Renewal(home, stop.event).start()
        return _run_agent(agent, stop)


def _enroll(settings: Settings, options: argparse.Namespace, home: Home, host: str, stop: _Stop) -> None:
    """Enrol when there is a token."""
    token = sys.stdin.readline() if options.enroll == "-" else options.enroll or settings.enroll_token
    if not token:
        if options.only_enroll or options.enroll:
            raise Invalid("there is no token: give --enroll TOKEN, or set HEIMDALL_ENROLL_TOKEN")
        return
    enroll(home, host, token, stop.event)


def _find_server(settings: Settings, home: Home) -> Settings:
    """The settings with the broker of the server where this home is enrolled, unless another is asked for."""
    url = home.read_server().get("broker")
    if settings.broker_set or not url:
        return settings
    address = parse_broker(url, settings.broker.user, settings.broker.password, home.path)
    return dataclasses.replace(settings, broker=address, broker_set=True)


def _run_agent(agent: Agent, stop: _Stop) -> int:
    agent.run(stop.event)
    agent.spool.close()
    return stop.code


def _run_reading(options: argparse.Namespace, kind: Kind, sender: _Sender, stop: _Stop) -> int:
    """Read the log; then wait for its receipts (`--once`), or go on as the agent."""
    if not sender.take_over():
        if not options.once:
            raise Conflict(f"the agent of {sender.home.path} is running: add --once, and it sends what is read")
        log.info("an agent of this home is running: it sends what is read here")
    agent = sender.agent
    spool = agent.spool if agent else Spool(sender.home.agent_spool, checkpoints=False)
    summary = Summary(options.read)
    refused = -spool.quarantined()
    try:
        spool_file(Path(options.read), sender.host, kind.read_file, spool, stop.event, summary)
        if agent and not options.once:
            _show(summary, options)
            return _run_agent(agent, stop)
        wait_until_sent(spool, spool.last_position(), stop.event, PATIENCE_SECONDS, sender.take_over)
        refused += spool.quarantined()
        summary.sent = not stop.event.is_set() and not refused
        return _conclude(summary, spool, refused, stop)
    finally:
        if options.once:
            _show(summary, options)
            sender.stop()
            spool.close()


def _conclude(summary: Summary, spool: Spool, refused: int, stop: _Stop) -> int:
    """0 when every event has its receipt, 1 when some were refused, 130 when interrupted."""
    if refused:
        log.error("%d events were refused and are in the quarantine of %s", refused, spool.path)
    if stop.event.is_set() and not summary.sent:
        log.warning("interrupted: %d events wait in %s and are sent when an agent runs", len(spool), spool.path)
        return INTERRUPTED
    return 1 if refused else 0


class _Sender:
    """Sends what is in the home's spool, as soon as no other agent of the home does."""

    def __init__(self, home: Home, host: str, make: Callable[[], Agent]) -> None:
        self.home, self.host = home, host
        self.agent: Optional[Agent] = None
        self._make = make

    def take_over(self) -> bool:
        """Start to send unless another agent of the home does; whether this process sends."""
        if self.agent is None:
            try:
                lock.hold(self.home.agent_lock, f"the agent of {self.home.path}")
            except Conflict:
                return False
            self.agent = self._make()
            self.agent.start()
        self.agent.beat_when_due()
        return True

    def stop(self) -> None:
        if self.agent:
            self.agent.stop()


def _show(summary: Summary, options: argparse.Namespace) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if options.json:
        sys.stdout.write(summary.as_json() + "\n")
        sys.stdout.flush()
    else:
        sys.stderr.write(summary.as_text() + "\n")


def _make_agent(settings: Settings, home: Home, host: str, kind: Kind, interval: float) -> Agent:
    spool, damaged = open_spool(home.agent_spool)
    if damaged:
        spool.append([make_alert(host, kind.os_type, 4, describe_damage(damaged, "found at start"))])
    boot = str(uuid4())
    link: Link
    if settings.api_url and settings.api_key and not settings.broker_set:
        link = HttpLink(host, kind.os_type, settings.api_url, settings.api_key, spool, home.trusted)
    else:
        info = describe_machine(kind.os_type, interval, boot)
        tell = StandingFile(home.agent_standing, boot, info.version).tell
        link = MqttLink(host, settings.broker, _find_logins(settings, home), info, spool, tell)
    return Agent(host, boot, kind.make_collector(host), spool, link, interval)


def _find_logins(settings: Settings, home: Home) -> Logins:
    """How this agent logs in at the broker. Raises `Unavailable` and `Invalid` when it cannot."""
    login = find_login(settings, "agent")
    return (lambda: [login]) if settings.broker.user else (lambda: logins(home))


def choose_kind(options: argparse.Namespace) -> Tuple[Kind, float]:
    """The kind of host that `options` ask for, and the seconds between beats. Raises `Invalid`."""
    kind = _find_kind(options.kind)
    if options.listen:
        kind = _listen(kind, parse_address(options.listen))
    return kind, _check_interval(options.interval, kind)


def _find_kind(name: Optional[str]) -> Kind:
    own = platform.system().lower()
    wanted = name or {"darwin": "macos"}.get(own, own)
    if wanted not in KINDS:
        raise Invalid(f"--kind {wanted!r:.40} is unknown: use one of {', '.join(KINDS)}")
    return KINDS[wanted]


def _listen(kind: Kind, address: Address) -> Kind:
    """`kind` with a collector that listens at `address`. Raises `Invalid` when it listens nowhere."""
    if kind.os_type != "FIREWALL":
        raise Invalid("--listen belongs to --kind firewall")
    return kind._replace(make_collector=lambda host: agent_firewall.FirewallCollector(host, address))


def _check_interval(interval: Optional[float], kind: Kind) -> float:
    if interval is None:
        return kind.interval_seconds
    if not 1 <= interval <= 86_400:
        raise Invalid(f"--interval {interval}: use 1 to 86400 seconds")
    return interval


def _find_host(settings: Settings, options: argparse.Namespace, home: Home) -> str:
    """The name to report under: asked for, or enrolled, or the machine's own."""
    if options.host:
        return check_host(options.host, "--host")
    try:
        host = check_host(settings.host, "this machine's name")
    except Invalid as error:
        raise Invalid(f"{error}; set HEIMDALL_HOST or give --host to choose another") from error
    if host == socket.gethostname() and not settings.broker.user and home.credential_path("agent").exists():
        enrolled = home.credential("agent").user
        # machines are renamed, enrolments are not
        if enrolled != host:
            log.info("reporting as %s, the name that this home is enrolled under", enrolled)
        return check_host(enrolled, f"the user in {home.credential_path('agent')}")
    return host


class _Stop:
    """SIGTERM and SIGINT as an event to wait for; the handlers of before are put back at the end."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> None:
        # only the main thread may have handlers; in a test the agent runs in another
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._catch)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, _frame: Optional[FrameType]) -> None:
        if number == signal.SIGINT:
            self.code = INTERRUPTED
        self.event.set()
