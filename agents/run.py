"""`heimdall agent`: options and settings in, a running agent out."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import socket
import sys
from typing import Optional, Tuple
from uuid import uuid4

from agents.address import LISTEN
from agents.agent import Agent, describe_damage, make_alert, open_spool
from agents.backfill import Sender, backfill
from agents.enrolment import enroll
from agents.farewell import find_farewell, forget_upgrade
from agents.kinds import KINDS, Kind, find_kind
from agents.link import Link
from agents.link_http import HttpLink, speaks_http
from agents.link_mqtt import MqttLink
from agents.machine import describe_machine
from agents.renewal import Renewal, logins
from agents.standing import StandingFile
from agents.stop import Stop
from core import lock
from core.errors import HeimdallError, Invalid
from core.home import Home
from core.settings import Settings, parse_broker
from core.topics import check_host

log = logging.getLogger("heimdall.agent")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `heimdall agent`, for `run`."""
    add_work_arguments(parser)
    parser.add_argument("--only-enroll", action="store_true", help="enrol, and end")
    parser.add_argument("--read", metavar="FILE", help="read this log, plain or .gz, or database, from its start")
    parser.add_argument("--once", action="store_true", help="with --read: end when every event of it is stored")
    parser.add_argument("--json", action="store_true", help="with --read, --dry-run and --check: print JSON")
    parser.add_argument("--dry-run", action="store_true", help="print the events instead of sending and keeping them")
    parser.add_argument(
        "--check", action="store_true",
        help="tell what this host's agent can read, and whether it reaches its server; 1 when something is wrong",
    )  # fmt: skip


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of them that an agent at work has, for `install` too."""
    parser.add_argument("--kind", metavar="KIND", help=f"kind of host: {', '.join(KINDS)} (default: this machine's)")
    parser.add_argument("--host", metavar="NAME", help="name to report under (default: HEIMDALL_HOST)")
    intervals = ", ".join(f"{name}: {kind.interval_seconds:.0f}" for name, kind in KINDS.items())
    parser.add_argument("--interval", metavar="SECONDS", type=float, help=f"seconds between heartbeats ({intervals})")
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT",
        help=f"kind firewall: receive syslog there, over UDP and TCP (default: {LISTEN})",
    )  # fmt: skip
    parser.add_argument(
        "--enroll", metavar="TOKEN",
        help="enrol this host by a token of `heimdall enroll`, then run; - reads it from standard input "
        "(default: HEIMDALL_ENROLL_TOKEN)",
    )  # fmt: skip


def run(settings: Settings, options: argparse.Namespace, stop: Optional[Stop] = None) -> int:
    """Run the agent until SIGTERM, SIGINT or `stop.ask`, or read a log once; returns the exit code.

    Raises `Invalid` (options, names), `Conflict` (a second agent of one home) and `Unavailable`.
    """
    kind, interval = choose_kind(options)
    if options.once and not options.read:
        raise Invalid("--once belongs to --read FILE")
    home = Home(settings.home)
    stop = stop or Stop()
    if options.dry_run or options.check:
        return _look(settings, options, home, kind, stop)
    home.prepare()
    host = _find_host(settings, options, home)
    with stop:
        _enroll(settings, options, home, host, stop)
    settings = _find_server(settings, home)
    if options.only_enroll:
        return stop.code

    def make() -> Agent:
        return _make_agent(settings, home, host, kind, interval)

    def run_agent(agent: Agent) -> int:
        agent.run(stop.event, lambda: find_farewell(stop, home))
        agent.spool.close()
        return stop.code

    with stop:
        if options.read:
            return backfill(options, kind.read_file, Sender(home, host, make), stop, run_agent)
        lock.hold(home.agent_lock, f"the agent of {settings.home}")
        agent = make()
        if home.read_server().get("api"):
            Renewal(home, stop.event).start()
        return run_agent(agent)


def _look(settings: Settings, options: argparse.Namespace, home: Home, kind: Kind, stop: Stop) -> int:
    """Run `--dry-run` or `--check`: neither sends or keeps anything. Raises `Invalid` and `Conflict`."""
    from agents.check import check  # noqa: PLC0415 -- an agent at work has no use for it
    from agents.dry_run import dry_run  # noqa: PLC0415 -- an agent at work has no use for it

    if options.dry_run and options.check:
        raise Invalid("give --dry-run or --check, not both")
    if options.enroll or options.only_enroll:
        raise Invalid("--enroll changes something: leave it out with --dry-run and --check")
    if options.check and options.read:
        raise Invalid("--check looks at this host, and --read FILE at a file: give one of them")
    try:
        host = _find_host(settings, options, home)
    except (HeimdallError, OSError):
        # a home that cannot be read is no obstacle here
        host = _find_host(settings, options, None)
    with stop:
        try:
            if options.dry_run:
                return dry_run(kind, host, options.read, options.once, options.json, stop)
            return check(_find_server(settings, home), home, kind, host, options.json)
        except BrokenPipeError:
            # whoever reads has had enough; what the buffer still holds goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return stop.code


def _enroll(settings: Settings, options: argparse.Namespace, home: Home, host: str, stop: Stop) -> None:
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


def _make_agent(settings: Settings, home: Home, host: str, kind: Kind, interval: float) -> Agent:
    forget_upgrade(home)
    spool, damaged = open_spool(home.agent_spool)
    if damaged:
        spool.append([make_alert(host, kind.os_type, 4, describe_damage(damaged, "found at start"))])
    boot = str(uuid4())
    link: Link
    if speaks_http(settings):
        link = HttpLink(host, kind.os_type, settings.api_url, settings.api_key, spool, home.trusted)
    else:
        logins(settings, home)  # without any it ends here
        info = describe_machine(kind.os_type, interval, boot)
        tell = StandingFile(home.agent_standing, boot, info.version).tell
        link = MqttLink(host, settings.broker, lambda: logins(settings, home), info, spool, tell)
    return Agent(host, boot, kind.make_collector(host), spool, link, interval)


def choose_kind(options: argparse.Namespace) -> Tuple[Kind, float]:
    """The kind of host that `options` ask for, and the seconds between beats. Raises `Invalid`."""
    kind = find_kind(options.kind, options.listen)
    return kind, _check_interval(options.interval, kind)


def _check_interval(interval: Optional[float], kind: Kind) -> float:
    if interval is None:
        return kind.interval_seconds
    if not 1 <= interval <= 86_400:
        raise Invalid(f"--interval {interval}: use 1 to 86400 seconds")
    return interval


def _find_host(settings: Settings, options: argparse.Namespace, home: Optional[Home]) -> str:
    """The name to report under: asked for, or enrolled in `home`, or the machine's own."""
    if options.host:
        return check_host(options.host, "--host")
    try:
        host = check_host(settings.host, "this machine's name")
    except Invalid as error:
        raise Invalid(f"{error}; set HEIMDALL_HOST or give --host to choose another") from error
    if not home or host != socket.gethostname() or settings.broker.user:
        return host
    if home.credential_path("agent").exists():
        enrolled = home.credential("agent").user
        # machines are renamed, enrolments are not
        if enrolled != host:
            log.info("reporting as %s, the name that this home is enrolled under", enrolled)
        return check_host(enrolled, f"the user in {home.credential_path('agent')}")
    return host
