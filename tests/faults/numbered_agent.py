"""A real agent whose source is numbers: `numbered_agent.py COUNT`, everything else from the environment.

It makes COUNT events, or fewer when a file `enough` appears in its home before. What a test may set: TEST_BEGIN (the
number that a source without a position begins at), TEST_NAME (whose numbers these are, when not the host's),
TEST_AT_ONCE and TEST_PAUSE (numbers a read, and seconds for it), TEST_CLOCK_OFFSET (seconds that this host's clock is
wrong by) and TEST_CLOCK_BEATS (from which beat on), TEST_SPOOL_LIMIT (bytes), TEST_PATIENCE, TEST_RETRY_SPOOL
and TEST_KEEP_ALIVE (seconds), TEST_INTERVAL (seconds between beats), TEST_AWAY (for how many
seconds it announces its absence when it ends), TEST_DIES (`STEP:TIMES`, see `dying`). While there is a file `mute` in
its home it does not beat.

Each number is an event whose id follows from host and number alone, so that the same number read again is the
same event, and a test knows without a ledger what must be stored. Spool, link and heartbeat are the agent's own.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import dying
from paho.mqtt.client import Client

from agents import agent as shared_agent
from agents import link_mqtt, session_mqtt
from agents.agent import Agent, describe_damage, make_alert, open_spool
from agents.collector import Reading
from agents.farewell import STOPPED, Farewell
from agents.link import Backoff, Link
from agents.link_http import HttpLink
from agents.link_mqtt import MqttLink
from agents.machine import describe_machine
from agents.stop import Stop
from core import clock, forwarder, lock
from core.home import Home, find_login
from core.messages import Event, OsType
from core.settings import Settings, load

INTERVAL_SECONDS = float(os.environ.get("TEST_INTERVAL", "1.0"))


def numbered_id(host: str, number: int) -> UUID:
    """The id of the event `number` of `host`: version 7, of today, the same in every process of a test run."""
    ms = int(os.environ["TEST_MS"])
    tail = int.from_bytes(hashlib.sha256(f"{host}/{number}".encode()).digest()[:9], "big")
    return UUID(int=(ms << 80) | (7 << 76) | ((tail >> 62 & 0xFFF) << 64) | (2 << 62) | (tail & (1 << 62) - 1))


def numbered_event(host: str, number: int) -> Event:
    # by a clock that a test may set wrong; from the id, so that the same number has the same body each time
    seconds = int(os.environ["TEST_MS"]) / 1000 + float(os.environ.get("TEST_CLOCK_OFFSET", "0"))
    happened = datetime.fromtimestamp(seconds, UTC)
    severity = number % 5 + 1
    event_id = numbered_id(os.environ.get("TEST_NAME", host), number)
    return Event(event_id, happened, host, "LINUX", "LOGIN_FAIL", severity, f"number {number}")


class Numbers:
    """A collector of numbers, `at_once` a read, until there are `count` or the file `enough` is there."""

    name = "numbers"
    os_type: OsType = "LINUX"

    def __init__(self, host: str, count: int, enough: Path, at_once: int, pause_seconds: float) -> None:
        self._host, self._count, self._enough = host, count, enough
        self._at_once, self._pause_seconds = at_once, pause_seconds

    def read(self, position: str | None) -> Reading:
        first = int(os.environ.get("TEST_BEGIN", "0") if position is None else position)
        behind = first if self._enough.exists() else min(first + self._at_once, self._count)
        if behind > first:
            time.sleep(self._pause_seconds)
        return Reading([numbered_event(self._host, number) for number in range(first, behind)], str(behind))

    def close(self) -> None:
        """Nothing was started."""


def make_agent(settings: Settings, home: Home, count: int) -> Agent:
    host, boot = settings.host, os.urandom(8).hex()
    spool, damaged = open_spool(home.agent_spool)
    spool.limit_bytes = int(os.environ.get("TEST_SPOOL_LIMIT", spool.limit_bytes))
    if damaged:
        spool.append([make_alert(host, "LINUX", 4, describe_damage(damaged, "found at start"))])
    link: Link
    if settings.api_url and not settings.broker_set:
        link = HttpLink(host, "LINUX", settings.api_url, settings.api_key, spool)
    else:
        info = describe_machine("LINUX", INTERVAL_SECONDS, boot)
        link = MqttLink(host, settings.broker, lambda: [find_login(settings, "agent")], info, spool)
        # an agent that knows no back-pressure, for a broker's limits are then met by few agents
        link._forwarder.window = int(os.environ.get("TEST_WINDOW", link._forwarder.window))
    at_once, pause_seconds = int(os.environ.get("TEST_AT_ONCE", "20")), float(os.environ.get("TEST_PAUSE", "0.01"))
    numbers = Numbers(host, count, home.path / "enough", at_once, pause_seconds)
    return Agent(host, boot, numbers, spool, link, INTERVAL_SECONDS)


def set_clock(offset_seconds: float, beats: int) -> None:
    """Let all that this process says of the time be wrong by `offset_seconds`, from the beat number `beats` on."""
    asked = itertools.count()

    def wrong_now() -> datetime:
        return clock.utc_now() + timedelta(seconds=offset_seconds if next(asked) >= beats else 0)

    shared_agent.utc_now = session_mqtt.utc_now = wrong_now


def set_keep_alive(seconds: int) -> None:
    """Notice a dead connection sooner than an agent may: its keep alive is 5 s at least."""
    connect = Client.connect

    def connect_shortly(client: Client, host: str, port: int, _seconds: int, **rest: Any) -> Any:
        return connect(client, host, port, seconds, **rest)

    Client.connect = connect_shortly


def fall_mute(agent: Agent, mute: Path) -> None:
    """As if the thread that beats had died: while the file `mute` is there, no heartbeat leaves the agent."""
    send = agent.send_heartbeat
    agent.send_heartbeat = lambda: None if mute.exists() else send()  # type: ignore[method-assign]


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # what was lost or is away shall cost a test a second or two, not ten or sixty; everything else is as it is shipped
    Backoff.__init__.__defaults__ = (0.2, 2.0, None)
    link_mqtt.RECONNECT_SECONDS = 0.2
    forwarder.PATIENCE_SECONDS = float(os.environ.get("TEST_PATIENCE", "1.0"))
    shared_agent.RETRY_SPOOL_SECONDS = float(os.environ.get("TEST_RETRY_SPOOL", "1.0"))
    set_clock(float(os.environ.get("TEST_CLOCK_OFFSET", "0")), int(os.environ.get("TEST_CLOCK_BEATS", "0")))
    if keep_alive := os.environ.get("TEST_KEEP_ALIVE"):
        set_keep_alive(int(keep_alive))
    if step := os.environ.get("TEST_DIES"):
        name, _, times = step.partition(":")
        dying.die_at(name, int(times))
    link_mqtt.MAX_BATCH_BYTES = int(os.environ.get("TEST_BATCH_BYTES", link_mqtt.MAX_BATCH_BYTES))
    settings = load()
    home = Home(settings.home)
    home.prepare()
    lock.hold(home.agent_lock, "the agent")
    agent = make_agent(settings, home, int(sys.argv[1]))
    fall_mute(agent, home.path / "mute")
    stop = Stop()
    if away := os.environ.get("TEST_AWAY"):
        farewell = Farewell("away", "reboot", clock.utc_now() + timedelta(seconds=float(away)))
    else:
        farewell = STOPPED
    with stop:
        agent.run(stop.event, lambda: farewell)
    agent.spool.close()
    return stop.code


if __name__ == "__main__":
    sys.exit(main())
