"""`--check`: what this host's agent can read, and whether it reaches its server. It changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from http.client import HTTPException
from typing import Callable, Iterator, List, NamedTuple

from agents.collector import Collector
from agents.kinds import Kind
from agents.link_http import speaks_http
from agents.reach import advise, compare_clocks, connect_to, log_in, send_nothing
from agents.renewal import logins
from core import lock
from core.clock import rfc3339
from core.errors import HeimdallError, Invalid
from core.home import Credential, Home
from core.settings import Settings
from core.spool import Spool
from core.text import printable, put_line

CLOCK_SECONDS = 5.0  # that a clock may be wrong by
SPOOL_SHARE = 0.8  # of its limit
LITTLE_BYTES, NO_BYTES = 512 * 1024 * 1024, 16 * 1024 * 1024  # free on the disk: a full spool is half of the first
_OK, _WARN, _FAIL = "ok", "warn", "fail"
_AS_THE_AGENT = "run this as the user that the agent runs as"
_KEY = "check SIEM_API_URL and SIEM_API_KEY"
_LOGIN = "enrol the host again: `heimdall enroll NAME --replace` on the server"
_SYNCHRONISE = {"win32": "w32tm /resync", "darwin": "sntp"}.get(sys.platform, "systemd-timesyncd or chrony")


class Diagnostic(NamedTuple):
    """One thing that was looked at. `level` is `ok`, `warn` or `fail`; `advice` is what to do, if anything."""

    level: str
    about: str
    text: str
    advice: str = ""

    def as_line(self) -> str:
        """For a person."""
        line = f"{self.level:<4}  {self.about}: {self.text}{f'; {self.advice}' if self.advice else ''}"
        return printable(line, len(line))


def check(settings: Settings, home: Home, kind: Kind, host: str, as_json: bool) -> int:
    """Print what is found, a line each; 1 when something is wrong, else 0. `settings` are those that the agent has."""
    runs = _is_running(home)
    found: List[Diagnostic] = []
    for part in (
        look_at_sources(kind.make_collector(host), runs),
        look_at_home(settings, home, runs),
        look_at_server(settings, home, host, kind.os_type),
        look_at_room(home),
    ):
        for diagnostic in part:
            found.append(diagnostic)
            if not as_json:
                put_line(diagnostic.as_line())
    sound = all(diagnostic.level != _FAIL for diagnostic in found)
    if as_json:
        put_line(json.dumps({"host": host, "ok": sound, "findings": [one._asdict() for one in found]}))
    return 0 if sound else 1


def _is_running(home: Home) -> bool:
    try:
        return lock.is_held(home.agent_lock)
    except OSError:
        return False  # what is wrong with the home is told where it is looked at


def look_at_sources(collector: Collector, runs: bool) -> Iterator[Diagnostic]:
    """Each source. None that can be read is a fault, one that cannot beside others a warning."""
    sources = collector.sources()
    collector.close()
    bad = _WARN if any(not source.trouble for source in sources) else _FAIL
    for source in sources:
        if source.taken and runs:
            yield Diagnostic(_OK, source.name, "the agent that runs listens there, or another program does")
        elif source.trouble:
            yield Diagnostic(bad, source.name, f"cannot be read: {source.trouble}", source.advice)
        else:
            newest = f", its newest entry is of {rfc3339(source.newest)}" if source.newest else ""
            yield Diagnostic(_OK, source.name, f"can be read{newest}")


def look_at_home(settings: Settings, home: Home, runs: bool) -> Iterator[Diagnostic]:
    """Whether the agent runs, is enrolled, and keeps its secrets to itself."""
    if runs:
        yield Diagnostic(_OK, "agent", f"one of {home.path} runs")
    else:
        yield Diagnostic(_WARN, "agent", f"none of {home.path} runs", "start it: heimdall agent, or its service")
    if speaks_http(settings):
        yield Diagnostic(_OK, "enrolment", "none is needed: SIEM_API_URL and SIEM_API_KEY are set")
    elif settings.broker.user:
        yield Diagnostic(_OK, "enrolment", f"none is needed: the settings name the user {settings.broker.user}")
    elif settings.broker.proof and not os.path.exists(home.credential_path("agent")):
        yield Diagnostic(_OK, "enrolment", f"none is needed: {settings.broker.proof} is what this host logs in with")
    else:
        yield _look_at_credential(home)
    yield from _look_at_modes(home)


def _look_at_credential(home: Home) -> Diagnostic:
    try:
        home.credential_path("agent").stat()
        user = home.credential("agent").user
    except FileNotFoundError:
        advice = "on the server `heimdall enroll NAME` prints the command that does it"
        return Diagnostic(_FAIL, "enrolment", f"{home.path} is not enrolled", advice)
    except OSError as error:
        return Diagnostic(_FAIL, "enrolment", f"{home.path} cannot be read: {error.strerror}", _AS_THE_AGENT)
    except HeimdallError as error:
        return Diagnostic(_FAIL, "enrolment", str(error))
    server = home.read_server()
    where = f"at {server['api']}" if server.get("api") else "on the server's own machine"
    return Diagnostic(_OK, "enrolment", f"enrolled as {user} {where}")


def _look_at_modes(home: Home) -> Iterator[Diagnostic]:
    """What others may read, or we may not. Windows gives files the rights of their folder."""
    if os.name != "posix":
        return
    try:
        kept = [home.path, home.credential_path("agent").parent, home.agent_spool.parent]
        kept += [folder / name for folder in kept[1:] if folder.is_dir() for name in sorted(os.listdir(folder))]
        open_to_others = [path for path in kept if os.path.exists(path) and stat.S_IMODE(path.stat().st_mode) & 0o077]
    except OSError as error:
        yield Diagnostic(_FAIL, "secrets", f"{home.path} cannot be read: {error.strerror}", _AS_THE_AGENT)
        return
    for path in open_to_others:
        secret = path.parent == home.credential_path("agent").parent
        yield Diagnostic(_FAIL if secret else _WARN, "secrets", f"others may read {path}", f"chmod go= {path}")
    if not open_to_others and os.path.exists(home.path):
        yield Diagnostic(_OK, "secrets", f"nobody else may read {home.path}")


def look_at_server(settings: Settings, home: Home, host: str, os_type: str) -> Iterator[Diagnostic]:
    """Whether the server is there, is the one that it should be, and lets this host in; and the clock."""
    url = settings.api_url if speaks_http(settings) else home.read_server().get("api", "")
    if speaks_http(settings):
        yield _try("API", url, lambda: send_nothing(url, settings.api_key, host, os_type, home.trusted), _KEY)
    elif not settings.broker_set and not os.path.exists(home.credential_path("agent")):
        yield Diagnostic(_WARN, "broker", "not asked: this home does not know where it is")
    else:
        reached = _try("broker", str(settings.broker), lambda: connect_to(settings.broker), "")
        yield reached
        if reached.level == _OK:
            yield _look_at_login(settings, home, host)
    if url:
        yield _look_at_clock(url, home)
    else:
        yield Diagnostic(_OK, "clock", "not compared: this home does not know the address of an API")


def _try(about: str, where: str, ask: Callable[[], None], advice: str) -> Diagnostic:
    try:
        ask()
    except HeimdallError as error:
        return Diagnostic(_FAIL, about, f"{where}: {error}", advice)
    except (OSError, HTTPException, ValueError) as error:
        return Diagnostic(_FAIL, about, f"{where} cannot be reached: {printable(error)}", advise(error))
    return Diagnostic(_OK, about, f"{where} answers")


def _look_at_login(settings: Settings, home: Home, host: str) -> Diagnostic:
    try:
        known = logins(settings, home)
    except (HeimdallError, OSError):
        return Diagnostic(_WARN, "login", "not tried: there is nothing to log in with")
    # its name is its session's: a second one would throw it out
    if _is_running(home):
        return Diagnostic(_OK, "login", "not tried, for the agent that runs is logged in or says in its log why not")
    tried = [_try_login(settings, host, login) for login in known]
    return next((one for one in tried if one.level == _OK), tried[0])


def _try_login(settings: Settings, host: str, login: Credential) -> Diagnostic:
    where = f"{settings.broker} as {login.user or host}"
    return _try("login", where, lambda: log_in(host, settings.broker, login), _LOGIN)


def _look_at_clock(url: str, home: Home) -> Diagnostic:
    try:
        seconds = compare_clocks(url, home.trusted).total_seconds()
    except (Invalid, OSError, HTTPException, ValueError) as error:
        return Diagnostic(_WARN, "clock", f"not compared, {url} does not answer: {printable(error)}", advise(error))
    off = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the server's"
    if abs(seconds) <= CLOCK_SECONDS:
        return Diagnostic(_OK, "clock", f"right, to {CLOCK_SECONDS:.0f} s")
    return Diagnostic(_WARN, "clock", off, f"events carry wrong times: let {_SYNCHRONISE} set it, here or there")


def look_at_room(home: Home) -> Iterator[Diagnostic]:
    """How full the spool and its disk are."""
    if os.path.exists(home.agent_spool):  # not its method: that raises where we may not look
        yield from _look_at_spool(home)
    there = next(path for path in (home.agent_spool.parent, *home.agent_spool.parents) if os.path.exists(path))
    free = shutil.disk_usage(there).free
    level = _OK if free >= LITTLE_BYTES else _WARN if free >= NO_BYTES else _FAIL
    advice = "" if level == _OK else "make room: events wait on this disk while the server is away"
    yield Diagnostic(level, "disk", f"{free // 2**20:,} MiB are free in {there}", advice)


def _look_at_spool(home: Home) -> Iterator[Diagnostic]:
    try:
        spool = Spool(home.agent_spool, checkpoints=False)
        try:
            waiting, used, refused = len(spool), spool.used_bytes() / spool.limit_bytes, spool.quarantined()
        finally:
            spool.close()
    except HeimdallError as error:
        yield Diagnostic(_FAIL, "spool", str(error), "a running agent makes a damaged one anew, and keeps the old")
        return
    full = used >= SPOOL_SHARE
    advice = "when it is full the oldest events of the lowest severity go: is the server away?" if full else ""
    yield Diagnostic(_WARN if full else _OK, "spool", f"{waiting:,} events wait, it is {used:.0%} full", advice)
    if refused:
        advice = f"their reasons are in the table quarantine of {home.agent_spool}"
        yield Diagnostic(_WARN, "spool", f"{refused:,} events were refused and are set aside", advice)
