"""`heimdall up`: broker, ingestor, watch, API and this machine's own agent, as processes under one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from dataclasses import replace
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from broker import launcher
from core import lock
from core.errors import Conflict, HeimdallError, Invalid
from core.home import Home
from core.settings import Settings, is_loopback
from core.tls import trust_nobody_in_particular
from core.topics import check_host
from heimdall import ports
from heimdall.supervisor import Child
from watch.rules import read_rules

READY_SECONDS = 30.0
AGENT_WAITS_SECONDS = 15.0
RENEW_EVERY_SECONDS = 3_600.0
# who ends first: the agent says goodbye while its broker is still there
STOP_ORDER = ("agent", "api", "watch", "ingest", "keeper", "broker")
# what is meant for an agent that reports elsewhere
_NOT_OURS = ("SIEM_API_URL", "HEIMDALL_ENROLL_TOKEN")


def say(text: str) -> None:
    print(text, flush=True)


def run(settings: Settings, wanted_broker: launcher.Kind, insecure: bool) -> int:
    """Run all until SIGINT or SIGTERM; returns 0 then. Raises for what keeps it from starting."""
    check_host(settings.host, "this machine's host name (set HEIMDALL_HOST to another):")
    home = Home(settings.home)
    home.prepare()
    try:
        lock.hold(home.lock, f"the home {home.path}")
    except Conflict as error:
        raise Conflict(
            f"{error}: another `heimdall up` runs there; stop it, or set HEIMDALL_HOME to another"
        ) from error
    _expect_tls(settings, insecure)
    read_rules(home.rules)  # what is wrong with them is said now, and not by a process that ends again and again
    asked, settings = settings, replace(ports.choose_all(settings), seen_bind=settings.bind)
    for name, wanted, got in (
        ("HTTP", asked.http_port, settings.http_port),
        ("MQTT", asked.mqtt_port, settings.mqtt_port),
        ("MQTT with TLS", asked.mqtts_port, settings.mqtts_port),
    ):
        if wanted != got:
            say(f"port {wanted} is in use: {name} uses {got} (written to {home.ports})")
    ports.remember(home, settings)
    environment = {
        **os.environ,
        "HEIMDALL_HOME": str(home.path),
        "HEIMDALL_BIND": settings.bind,
        "HEIMDALL_HTTP_PORT": str(settings.http_port),
        "HEIMDALL_MQTT_PORT": str(settings.mqtt_port),
        "HEIMDALL_MQTTS_PORT": str(settings.mqtts_port),
        "HEIMDALL_HOST": settings.host,
        "PYTHONUNBUFFERED": "1",
    }
    if not settings.broker_set:
        settings = replace(settings, broker=replace(settings.broker, port=settings.mqtt_port))
    return asyncio.run(Up(settings, home, environment, wanted_broker).run())


def _expect_tls(settings: Settings, insecure: bool) -> None:
    """Raise `Invalid` when other machines would speak to this one unencrypted without anybody's having said so."""
    if settings.tls_name or insecure or is_loopback(settings.bind):
        return
    raise Invalid(
        f"beyond loopback ({settings.bind}) secrets and events would travel unencrypted: make a certificate with "
        "`heimdall tls init`, or say --insecure when something else encrypts"
    )


class Up:
    """All children of one home, from the first start to the last goodbye."""

    def __init__(
        self, settings: Settings, home: Home, environment: dict[str, str], wanted_broker: launcher.Kind
    ) -> None:
        self._settings, self._home = settings, home
        names = ["ingest", "watch", "api"]
        self._options = {"broker": ["--broker", wanted_broker]}
        self._broker_name = f"broker at {settings.broker}"
        if not settings.broker_set:
            plan = launcher.choose(settings, wanted_broker)
            launcher.prepare(plan, settings, home, settings.host)
            self._broker_name = f"{plan} on port {settings.mqtt_port}"
            if settings.tls_name and not plan.embedded:
                self._broker_name += f", with TLS on {settings.mqtts_port}"
            names.insert(0, "broker")
            if plan.embedded:
                self._options |= {"ingest": ["--unshared"], "watch": ["--without-sys"]}
            else:
                names.append("keeper")
        if sys.platform == "linux":
            names.append("agent")
        # our own agent speaks MQTT to our own broker
        self._environment = {name: value for name, value in environment.items() if name not in _NOT_OURS}
        self._children = {name: self._child(name) for name in names}
        # the API is on this machine, no proxy lies between, and no secret is told: any certificate will do
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trust_nobody_in_particular()))
        self._began = time.monotonic()
        self._interrupted = 0.0
        self._ready = asyncio.Event()

    def _child(self, name: str) -> Child:
        command = [sys.executable, "-m", "heimdall", name, *self._options.get(name, [])]
        return Child(name, command, self._environment, self._home.logs / f"{name}.log", say)

    async def run(self) -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else [])):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._interrupt, stop))
        tasks = [asyncio.create_task(self._run_child(name), name=name) for name in self._children]
        announcing = asyncio.create_task(self._announce(), name="announce")
        renewing = asyncio.create_task(self._renew(), name="renew")
        waiting = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for one in (announcing, renewing, waiting):
            one.cancel()
        say("\nstopping")
        for name in STOP_ORDER:
            if name in self._children:
                await self._children[name].stop()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for child in self._children.values():
            child.kill()  # one that was just being started when the others were stopped
        for result in results:
            if isinstance(result, Exception):
                raise result
        say("stopped: nothing of it runs any more")
        return 0

    async def _run_child(self, name: str) -> None:
        if name == "agent":
            # its first heartbeat shall find an ingestor; but it must not wait for one that never comes
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), AGENT_WAITS_SECONDS)
        await self._children[name].run()

    async def _renew(self) -> None:
        """Renew the certificate before it ends; the API and the broker take the new one without a restart."""
        if not self._settings.tls_name:
            return
        from broker.certificates import renew_when_due  # noqa: PLC0415 -- 8 MB that few need

        while True:
            try:
                made = await asyncio.to_thread(renew_when_due, self._home)
                if made is not None:
                    say(f"the certificate is renewed: it ends on {made.ends_at:%Y-%m-%d}")
            except HeimdallError as error:
                say(f"the certificate cannot be renewed: {error}")
            await asyncio.sleep(RENEW_EVERY_SECONDS)

    def _interrupt(self, stop: asyncio.Event) -> None:
        """The first signal stops in order; another one, a second later or more, kills what is left."""
        now = time.monotonic()
        if not stop.is_set():
            stop.set()
            self._interrupted = now
        # a terminal and a program in between may both pass on the same Ctrl-C
        elif now - self._interrupted > 1:
            for child in self._children.values():
                child.kill()

    async def _announce(self) -> None:
        """Wait until all is ready, then print what runs and where to look."""
        complained = False
        while trouble := await asyncio.to_thread(self._trouble):
            if not complained and time.monotonic() - self._began > READY_SECONDS:
                complained = True
                say(f"not ready after {READY_SECONDS:.0f} s, still trying: {trouble}; logs are in {self._home.logs}")
            await asyncio.sleep(0.1)
        self._ready.set()
        page = await self._login_link()
        address, key, home = self._settings.api_address, self._home.api_key, self._home
        others = " · ".join(
            {"ingest": "ingestor", "agent": f"agent (this machine, {self._settings.host})"}.get(name, name)
            for name in self._children
            if name != "broker"
        )
        say(f"""
Heimdall is ready after {time.monotonic() - self._began:.1f} s: {self._broker_name} · {others}

  page      {page}
            (logs you in once, within 15 minutes; `heimdall login` prints another)
  key       {key}
  database  {self._database()}
  logs      {home.logs}

Try:  curl {self._trusting()}-H "api-key: $(cat {shlex.quote(str(key))})" {address}/hosts

Ctrl-C stops it all.""")

    def _trusting(self) -> str:
        authority = self._home.tls / "ca.pem"
        return f"--cacert {shlex.quote(str(authority))} " if self._settings.tls_name and authority.exists() else ""

    def _database(self) -> str:
        scheme, _, rest = self._settings.database_url.partition("://")
        # a password, before the host or behind the question mark, is not for the screen
        return rest[1:] if scheme == "sqlite" else f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

    def _trouble(self) -> str:
        """Empty when the API says that all is ready, else what it or the network says."""
        try:
            with self._opener.open(f"{self._settings.near_address}/readyz", timeout=2):
                return ""
        except HTTPError as error:
            return error.read(500).decode(errors="replace")
        except (URLError, OSError) as error:
            return str(error)

    async def _login_link(self) -> str:
        if os.environ.get("JOURNAL_STREAM"):
            # whoever may read the journal need not be who may log in
            return self._settings.api_address
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "heimdall", "login",
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode != 0:
            return f"{self._settings.api_address} (no link could be made: {err.decode(errors='replace').strip()})"
        return out.decode().strip()
