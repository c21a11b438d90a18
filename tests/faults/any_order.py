"""The rows of the fault matrix as rules of a state machine: any of them, in any order, several at a time."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable
from typing import ClassVar

import hypothesis.strategies as st
from broken_database import IMPATIENT, terminate, unwritable, wait_until_ready
from faults_site import site
from faulty_network import FaultyNetwork
from flood import publish
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from keeper import Keeper
from numbered_agent import numbered_event
from part import Part
from postgresql_server import Server
from waiting import wait_until

from core.messages import encode
from core.topics import EVENTS, host_topic

HOSTS = ("mqtt", "faulty", "http")  # an agent each: over MQTT, over MQTT and a network that breaks, over HTTP
PARTS = ("broker", "ingestor", "api", *HOSTS)
PATCHES = f"""{IMPATIENT}
session.KEEP_ALIVE_SECONDS, session.LONGEST_PAUSE_SECONDS, ingestor.write.LONGEST_PAUSE_SECONDS = 2, 1.0, 1.0
"""
RUN_API = """
import sys
from core import forwarder
from heimdall.main import main
forwarder.PATIENCE_SECONDS = 1.0
sys.exit(main(["api"]))
"""


class AnyOrder(RuleBasedStateMachine):
    """One site an example. What a rule breaks stays broken until another rule mends it, or the end does."""

    make_database: ClassVar[Callable[[], contextlib.AbstractContextManager[str]]]
    server: ClassVar[Server | None]
    chance: ClassVar[random.Random]

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        with contextlib.ExitStack() as stack:
            here = self.here = stack.enter_context(site(stack.enter_context(type(self).make_database()), HOSTS))
            self.networks = [FaultyNetwork(here.mqtt_port) for _ in range(2)]
            for network in self.networks:
                stack.callback(network.close)
            self.keeper = Keeper()
            stack.callback(self.keeper.close)
            self._start()
            self._stack = stack.pop_all()
        self._lock = contextlib.ExitStack()
        self.locked = False
        self.paused: set[str] = set()
        self.broken: set[int] = set()
        self._say("everything runs")

    def _start(self) -> None:
        here, through = self.here, f"mqtt://127.0.0.1:{self.networks[0].port}"
        here.ingestor = here.parts[1] = here.make_ingestor(patches=PATCHES, HEIMDALL_BROKER_URL=through)
        self.second = here.make_ingestor(name="ingestor-2", patches=PATCHES)
        here.api = here.parts[2] = here._part("api", "-c", RUN_API)
        here.parts.append(self.second)
        here.start(api=True)
        here.start_agent("mqtt")
        here.start_agent("faulty", port=self.networks[1].port)
        here.start_http_agent("http")
        self.parts: dict[str, Part] = {
            "broker": here.broker, "ingestor": here.ingestor, "api": here.api, **here.agents
        }  # fmt: skip
        for part in self.parts.values():
            self.keeper.keep(part)
        wait_until(here.stored, "something is stored")

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.2f} s  {what}; {self.here.stored()} events are stored")

    @invariant()
    def a_moment_passes(self) -> None:
        """Between two rules: what breaks within a millisecond breaks together."""
        time.sleep(self.chance.uniform(0, 0.2))

    # --- processes

    @rule(name=st.sampled_from(PARTS))
    def kill(self, name: str) -> None:
        """kill -9; it is started again at once."""
        self._say(f"kill {name}")
        self.keeper.send(self.parts[name], signal.SIGKILL)
        self.paused.discard(name)

    @rule(names=st.sets(st.sampled_from(PARTS), min_size=2))
    def kill_several(self, names: set[str]) -> None:
        for name in sorted(names):
            self.kill(name)

    @precondition(lambda self: len(self.paused) < 2)
    @rule(name=st.sampled_from(PARTS))
    def pause(self, name: str) -> None:
        self._say(f"pause {name}")
        self.keeper.send(self.parts[name], signal.SIGSTOP)
        self.paused.add(name)

    @precondition(lambda self: self.paused)
    @rule()
    def go_on(self) -> None:
        self._say(f"go on {sorted(self.paused)}")
        for name in self.paused:
            self.keeper.send(self.parts[name], signal.SIGCONT)
        self.paused.clear()

    # SQLite before 3.51.3 can be damaged by two processes that carry its log over, and each ingestor does
    @precondition(lambda self: self.server and "ingestor-2" not in self.parts)
    @rule()
    def start_second_ingestor(self) -> None:
        self._say("start a second ingestor")
        self.parts["ingestor-2"] = self.second
        self.keeper.keep(self.second)

    @precondition(lambda self: "ingestor-2" in self.parts)
    @rule(number=st.sampled_from([signal.SIGTERM, signal.SIGKILL]))
    def stop_second_ingestor(self, number: signal.Signals) -> None:
        self._say(f"stop the second ingestor with {number.name}")
        del self.parts["ingestor-2"]
        self.keeper.forget(self.second)
        self.keeper.send(self.second, number)

    # --- network

    @rule(which=st.integers(0, 1), fault=st.sampled_from(["cut", "swallow", "slow"]))
    def break_network(self, which: int, fault: str) -> None:
        self._say(f"{fault} network {which}")
        network = self.networks[which]
        if fault == "slow":
            network.slow(50_000)
        else:
            getattr(network, fault)()
        self.broken.add(which)

    @precondition(lambda self: self.broken)
    @rule()
    def mend_networks(self) -> None:
        self._say("mend the networks")
        for which in self.broken:
            self.networks[which].mend()
        self.broken.clear()

    # --- database

    @precondition(lambda self: not self.locked)
    @rule()
    def lock_database(self) -> None:
        self._say("lock the database")
        self._lock.enter_context(unwritable(self.here))
        self.locked = True

    @precondition(lambda self: self.locked)
    @rule()
    def unlock_database(self) -> None:
        self._say("unlock the database")
        self._lock.close()
        self.locked = False

    @precondition(lambda self: self.server)
    @rule()
    def end_connections(self) -> None:
        self._say("end all connections to the database")
        terminate(self.here)

    @precondition(lambda self: self.server and not self.locked)
    @rule(number=st.sampled_from([signal.SIGINT, signal.SIGQUIT]))
    def restart_database(self, number: signal.Signals) -> None:
        self._say(f"restart PostgreSQL with {number.name}")
        assert self.server is not None
        self.server.stop(number)
        self.server.start()

    # --- delivery and time

    @rule(host=st.sampled_from(HOSTS), first=st.integers(0, 200), count=st.integers(1, 50), times=st.integers(1, 3))
    def duplicate(self, host: str, first: int, count: int, times: int) -> None:
        """Events that the agent has made come once more, from elsewhere."""
        behind = min(self.here.spooled(host)[0], first + count)
        events = [numbered_event(host, number) for number in range(first, behind)]
        if not events or "broker" in self.paused:
            return
        self._say(f"repeat {len(events)} events of {host} {times} times")
        batch = b"[" + b",".join(map(encode, events)) + b"]"
        login = self.here.home.credential("api")
        with contextlib.suppress(OSError):  # the broker may be dead
            publish(self.here, login, "@api-again", [(host_topic(host, EVENTS), batch)] * times)

    @precondition(lambda self: not (self.paused or self.broken or self.locked))
    @rule()
    def wait_until_something_is_stored(self) -> None:
        before = self.here.stored()
        wait_until(lambda: self.here.stored() > before, "something is stored")

    # --- the end

    def teardown(self) -> None:
        """Mend everything, wait until it is well, and hold the oracle against what is stored."""
        with self._stack:
            self._lock.close()
            self.go_on()
            self.mend_networks()
            wait_until_ready(self.here)
            self.here.enough()
            wait_until(self._everything_is_stored, "everything is stored", 100)
            self._say("everything is sent")
            self.here.expect_all_stored_once()
            for ingestor in (self.here.ingestor, self.second):
                assert "Traceback" not in ingestor.said(), ingestor.said()[-3000:]

    def _everything_is_stored(self) -> bool:
        """Also what waits in the API's spool, which no receipt to an HTTP agent waits for."""
        return self.here._settle_counts() and self.here.stored() >= sum(self.here.counts.values())
