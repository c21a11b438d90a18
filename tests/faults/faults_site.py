"""A site of real processes that a test breaks: broker, ingestors, API and agents, each by itself; and the oracle.

The oracle's sets: A = ids that the agents made, D = rows of `logs`, L = dead letters, S = what is in the spools.
I1: A is in D, L or S. I2: no id is twice in D. I3: what had its receipt is in D or L. I4: D holds nothing but A.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heimdall_home import outside
from last_seen import LastSeenWatch
from part import ROOT, Part
from waiting import free_port, wait_until

from broker import rights
from broker.identities import Identity, make_identities, write_identities
from core.errors import HeimdallError
from core.home import Home
from store import Store, open_store

ENDLESS = 1_000_000_000
AGENT = Path(__file__).with_name("numbered_agent.py")
RUN_INGESTOR = """
import sys
from heimdall.main import main
from mqtt import session
from store import slots
{patches}
sys.exit(main(["ingest", *sys.argv[1:]]))
"""


class Site:
    """One Heimdall in a home of its own, with an agent a host. Nothing runs until it is started."""

    def __init__(self, folder: Path, database_url: str, hosts: tuple[str, ...] = ("alpha", "beta")) -> None:
        self.folder, self.hosts = folder, hosts
        self.home = Home(folder / "home")
        self.home.prepare()
        self.database_url = database_url or f"sqlite:///{self.home.path / 'mini_siem.db'}"
        self.mqtt_port, self.http_port = free_port(), free_port()
        # of the recent past, so that all ids of a run lie in one day
        self.ms = int(time.time() * 1000)
        os.environ["TEST_MS"] = str(self.ms)  # for `numbered_id` in this process too
        self.environment = {
            **outside(),
            "PYTHONPATH": str(ROOT),
            "HEIMDALL_HOME": str(self.home.path),
            "HEIMDALL_DATABASE_URL": self.database_url,
            "HEIMDALL_HTTP_PORT": str(self.http_port),
            "HEIMDALL_MQTT_PORT": str(self.mqtt_port),
            "HEIMDALL_HOST": "this-machine",
            "TEST_MS": str(self.ms),
        }
        self._store: Store | None = None
        self.broker = self._part("broker", "-m", "heimdall", "broker", "--broker", "mosquitto")
        self.ingestor = self.make_ingestor()
        self.api = self._part("api", "-m", "heimdall", "api")
        self.judge = self._part("watch", "-m", "heimdall", "watch")
        self.agents: dict[str, Part] = {}
        self.counts: dict[str, int] = {}
        self.parts: list[Part] = [self.broker, self.ingestor, self.api, self.judge]
        self.watch: LastSeenWatch | None = None
        self.exempt: set[str] = set()  # ids that the agents themselves made beside the numbers
        self.forgiven: set[str] = set()  # ids that may be missing: the fault took them, and an event said so
        self.names: dict[str, str] = {}  # under which host name an agent reports, when not that of its home

    def _part(self, name: str, *arguments: str, **environment: str) -> Part:
        log = self.folder / f"{name}.log"
        return Part(name, [sys.executable, *arguments], {**self.environment, **environment}, log)

    def make_ingestor(self, *arguments: str, name: str = "ingestor", patches: str = "", **environment: str) -> Part:
        """`heimdall ingest`; `patches` are statements on `session` and `slots` that make its patience short."""
        if patches:
            return self._part(name, "-c", RUN_INGESTOR.format(patches=patches), *arguments, **environment)
        return self._part(name, "-m", "heimdall", "ingest", *arguments, **environment)

    # --- starting

    def start_broker(self, extra: str = "") -> None:
        """Heimdall's Mosquitto with its rights, each host's agent enrolled; `extra` lines go into its configuration."""
        self._enrol()
        self.broker.start()
        self.wait_for_broker()
        # from now on the broker is what `heimdall broker` has become: a kill and a start take no second
        configuration = self.home.broker / "mosquitto.conf"
        if extra:
            self.broker.stop()
            configuration.write_text(configuration.read_text() + extra)
        self.broker.command = ["/usr/sbin/mosquitto", "-c", str(configuration)]
        if extra:
            self.broker.start()
            self.wait_for_broker()

    def _enrol(self) -> None:
        path = self.home.broker / "dynsec.json"
        identities = make_identities(self.home, "this-machine")
        for host in self.hosts:
            home = self.agent_home(host)
            home.prepare()
            login = home.make_credential("agent", host)
            identities.append(Identity(login, rights.agent_role(host), rights.agent_rights(host), host))
        write_identities(path, identities)

    def wait_for_broker(self) -> None:
        def listens() -> bool:
            assert self.broker.alive, self.broker.said()[-2000:]
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.mqtt_port)) == 0

        wait_until(listens, "the broker listens")

    def start(self, api: bool = False) -> None:
        """Broker, ingestor, on wish the API; returns when the ingestor is subscribed."""
        self.start_broker()
        self.start_ingestor()
        if api:
            self.start_api()

    def start_ingestor(self) -> None:
        before = self.ingestor.said().count("is subscribed at")
        self.ingestor.start()
        wait_until(lambda: self.ingestor.said().count("is subscribed at") >= before + 2, "the ingestor is subscribed")

    def start_judge(self) -> None:
        """`heimdall watch`; returns when it hears."""
        before = self.judge.said().count("everything that is published is heard")
        self.judge.start()
        wait_until(lambda: self.judge.said().count("everything that is published is heard") > before, "it hears")

    def start_api(self) -> None:
        self.home.make_api_key()  # before the API makes one of its own at the same moment
        before = self.api.said().count("listening on http")
        self.api.start()
        # its port is taken before it has told the database which key it lets in
        wait_until(lambda: self.api.said().count("listening on http") > before, "the API listens")

    def wait_for_api(self) -> None:
        wait_until(lambda: _listens(self.http_port), "the API listens")

    def agent_home(self, host: str) -> Home:
        return Home(self.folder / f"agent-{host}")

    def start_agent(self, host: str, count: int = ENDLESS, port: int | None = None, **environment: str) -> Part:
        """The agent of `host`, which makes `count` events in all (or until `enough`), over `port` (a proxy's)."""
        if host not in self.agents:
            home = self.agent_home(host)
            home.prepare()
            self.agents[host] = self._part(f"agent-{host}", str(AGENT), str(count))
            self.parts.append(self.agents[host])
        agent = self.agents[host]
        agent.command[-1] = str(count)
        agent.environment |= {
            "HEIMDALL_HOME": str(self.agent_home(host).path),
            "HEIMDALL_HOST": host,
            "HEIMDALL_BROKER_URL": f"mqtt://127.0.0.1:{port or self.mqtt_port}",
            **environment,
        }
        self.counts[host] = count
        agent.start()
        return agent

    def start_http_agent(self, host: str, count: int = ENDLESS, port: int | None = None, **environment: str) -> Part:
        """The same over HTTP, for an agent that can speak nothing else."""
        url = f"http://127.0.0.1:{port or self.http_port}"
        key = self.home.make_api_key()
        return self.start_agent(host, count, SIEM_API_URL=url, SIEM_API_KEY=key, HEIMDALL_BROKER_URL="", **environment)

    def enough(self) -> None:
        """Let the agents make no more; how many each has made is told by how far its spool says it has read."""
        for host in self.counts:
            (self.agent_home(host).path / "enough").touch()

    # --- looking

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = open_store(self.database_url)
        return self._store

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.store.database.reading() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def stored(self) -> int:
        """How many events are stored, by the hosts' own counts; 0 while the database is away."""
        try:
            return int(self.rows("SELECT coalesce(sum(events), 0) FROM activity")[0][0])
        except HeimdallError:
            return 0

    def spooled(self, host: str) -> tuple[int, int]:
        """How far the agent of `host` has read its source, and how many events wait in its spool; -1 if unknown."""
        path = self.agent_home(host).agent_spool
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as spool:
                # one statement, so that both are of one moment
                query = "SELECT (SELECT position FROM source WHERE name = 'numbers'), (SELECT count(*) FROM spool)"
                position, waiting = spool.execute(query).fetchone()
                return int(position or 0), int(waiting)
        except sqlite3.Error:
            return -1, -1

    def in_gateway(self) -> int:
        """How many events are in the API's spool; 0 when it has never had one."""
        path = self.home.gateway_spool
        if not path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as spool:
            return int(spool.execute("SELECT count(*) FROM spool").fetchone()[0])

    def everything_sent(self) -> bool:
        """Whether each agent has read all of its numbers and has nothing in its spool."""
        return all(self.spooled(host) == (count, 0) for host, count in self.counts.items())

    def _settle_counts(self) -> bool:
        """After `enough`: whether nothing waits in any spool; what was read is then what was to be stored."""
        seen = {host: self.spooled(host) for host in self.counts}
        for host, (position, _) in seen.items():
            if (self.agent_home(host).path / "enough").exists():
                self.counts[host] = position
        return all(waiting == 0 and position == self.counts[host] for host, (position, waiting) in seen.items())

    # --- judging

    def expect_all_stored_once(self, seconds: float = 90, dead: int = 0) -> None:
        """Wait until the spools are empty, then hold the oracle's four invariants against the database."""
        try:
            # what an agent had read when it saw that it is enough is in its spool a moment later
            for _ in range(2):
                wait_until(self._settle_counts, "every spool is empty", seconds)
                time.sleep(0.1)
            # what agents over HTTP were answered for is there until it is stored
            wait_until(lambda: self.in_gateway() == 0, "the gateway's spool is empty", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.describe()}") from None
        expected = {
            event_id: self.names.get(host, host)
            for host, count in self.counts.items()
            for event_id in self.ids(host, count)
        }
        rows = self.rows("SELECT event_id, source_host FROM logs")
        stored = {str(event_id): host for event_id, host in rows}
        assert len(rows) == len(stored), f"{len(rows) - len(stored)} ids are stored twice"
        missing = expected.keys() - stored.keys() - self.forgiven
        assert not missing, (
            f"{len(missing)} of {len(expected)} events are lost: {sorted(missing)[:3]} ({self.describe()})"
        )
        extra = stored.keys() - expected.keys() - self.exempt
        assert not extra, f"{len(extra)} events were never made: {sorted(extra)[:3]}"
        assert all(stored.get(event_id, host) == host for event_id, host in expected.items())
        counted = dict(self.rows("SELECT source_host, events FROM activity"))
        held = dict(self.rows("SELECT source_host, count(*) FROM logs GROUP BY source_host"))
        assert counted == held, "the counts a host are those of its rows"
        by_severity = self.rows(
            "SELECT severity_1 + severity_2 + severity_3 + severity_4 + severity_5, events FROM activity"
        )
        assert all(total == events for total, events in by_severity)
        assert self.rows("SELECT count(*) FROM dead_letters") == [(dead,)], self.rows("SELECT reason FROM dead_letters")
        if self.watch is not None:
            assert not self.watch.went_back, f"last_seen went back: {self.watch.went_back[:3]}"

    def ids(self, host: str, count: int) -> list[str]:
        from numbered_agent import numbered_id

        return [str(numbered_id(host, number)) for number in range(count)]

    def describe(self) -> str:
        waiting = {}
        for host in self.counts:
            with contextlib.suppress(sqlite3.Error):
                waiting[host] = self.spooled(host)
        tails = "\n".join(f"--- {part.name}\n{part.said()[-1500:]}" for part in self.parts)
        return f"(read, waiting) {waiting}, stored {self.stored()} of {sum(self.counts.values())}\n{tails}"

    def close(self) -> None:
        if self.watch is not None:
            self.watch.close()
        for part in self.parts:
            if part.alive:
                with contextlib.suppress(OSError):
                    part.send(signal.SIGCONT)
                part.kill()
        if self._store is not None:
            self._store.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def site(database_url: str = "", hosts: tuple[str, ...] = ("alpha", "beta"), watched: bool = True) -> Iterator[Site]:
    """A site whose processes are ended and whose files are removed whatever happens; "" is a SQLite of its own."""
    made = Site(Path(tempfile.mkdtemp(prefix="heimdall-faults-")), database_url, hosts)
    try:
        if watched:
            made.watch = LastSeenWatch(made.database_url)
        yield made
    finally:
        made.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
