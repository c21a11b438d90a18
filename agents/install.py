"""The agent as a service of this machine: installed, started, described and removed.

What is installed is the agent's one file, compiled for the interpreter that runs this, which runs it from then on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from agents.compiled import compile_modules
from agents.run import choose_kind, run
from agents.service import Plan, Service
from agents.standing import read_standing
from core import agent_file, lock
from core.errors import Invalid, Unavailable
from core.home import Home
from core.settings import Settings
from core.spool import Spool

log = logging.getLogger("heimdall.agent")

CONNECT_SECONDS = 90.0  # a task of Windows is started again each minute
POLL_SECONDS = 0.2

DONE, FAILED = 0, 1


def install(service: Service, settings: Settings, options: argparse.Namespace) -> int:
    """Enrol, define the service and start it; 0 when it has connected, 1 when it has not yet.

    1. The options are checked, and the host is enrolled, before anything else is changed.
    2. The file replaces the one before as a whole, then the definition does.
    3. The service starts, anew when it ran.

    Stopped at any point, the same again goes on. Raises `Invalid`, `Conflict` and `Unavailable`.
    """
    service.check()
    _expect_only_work(options)
    source = _find_file()
    check_interpreter(service)
    kind, _ = choose_kind(options)
    home = Home(service.home)
    with service.writing_home():
        code = _enrol(dataclasses.replace(settings, home=home.path), options, home)
    if code:
        return code
    os.replace(lay_beside(compile_modules(source.read_bytes()), service.program), service.program)
    port = kind.listen.port if kind.listen else None
    service.write(Plan(_make_command(service, kind.name, options), kind.name, port))
    log.info("%s runs %s from now on, at each boot", service.manager, service.program)
    return start(service)


def start(service: Service) -> int:
    """Start the service, anew when it runs, and wait until its agent has connected. Returns the exit code."""
    path = Home(service.home).agent_standing
    before = read_standing(path)
    service.start()
    deadline, told = time.monotonic() + CONNECT_SECONDS, ""
    begun = False
    while time.monotonic() < deadline:
        now = read_standing(path)
        if now and (before is None or now.boot != before.boot):
            begun = True
            if now.connected_since:
                log.info("the service has connected as %s", _read_host(Home(service.home)))
                return DONE
            if now.trouble and now.trouble != told:
                told = now.trouble
                log.warning("the service has no connection yet: %s", told)
        time.sleep(POLL_SECONDS)
    what = "has no connection, and goes on trying" if begun else "does not run"
    log.error("the service %s: `%s` shows what it says", what, service.log)
    return FAILED


def uninstall(service: Service, purge: bool) -> int:
    """Stop the service and remove it, and with `purge` its home: identity, spool and all. Returns 0."""
    service.check()
    if service.installed():
        service.remove()
    service.program.unlink(missing_ok=True)
    if purge and service.home.exists():
        shutil.rmtree(service.home.resolve())
        service.home.unlink(missing_ok=True)  # of systemd's, the link to it
    with contextlib.suppress(OSError):  # the home may lie in it
        service.program.parent.rmdir()
    log.info("the service is removed%s", f"; {service.home} is kept" if service.home.exists() else "")
    return DONE


def describe(service: Service) -> Dict[str, Any]:
    """How the service is. Times are RFC 3339.

    Raises `Invalid`, and `Unavailable` when its spool cannot be read.
    """
    service.check()
    home = Home(service.home)
    standing = read_standing(home.agent_standing)
    if not lock.is_held(home.agent_lock):
        standing = None
    return {
        "installed": service.installed(),
        "running": standing is not None,
        "since": standing.started_at if standing else None,
        "version": standing.version if standing else read_version(service.program) or None,
        "host": _read_host(home) or None,
        "server": home.read_server().get("api"),
        "connected": bool(standing and standing.connected_since),
        "trouble": (standing and standing.trouble) or None,
        "spool": _count_spool(home),
    }


def lay_beside(content: bytes, program: Path) -> Path:
    """Write `content` to a new file beside `program`, that everybody may read. Returns its path."""
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.parent.chmod(0o755)  # whoever the agent runs as
        partial = program.with_name(f".{os.getpid()}-{program.name}")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o755)
    except OSError as error:
        raise Unavailable(f"{program} cannot be written: {error}") from error
    return partial


def read_version(program: Path) -> str:
    """The version in the metadata of the agent's file `program`; empty when there is none."""
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(program) as archive:
        for name in archive.namelist():
            if name.startswith("heimdall_siem-") and name.endswith("/METADATA"):
                for line in archive.read(name).decode("utf-8", "replace").splitlines():
                    if line.startswith("Version: "):
                        return line[len("Version: ") :]
    return ""


def _expect_only_work(options: argparse.Namespace) -> None:
    """A service reads no single log, and does not end."""
    for option in ("only_enroll", "read", "once"):
        if getattr(options, option, None):
            raise Invalid(f"--{option.replace('_', '-')} is nothing for a service")


def _find_file() -> Path:
    """The agent's file that this code is in."""
    spec = sys.modules[__name__].__spec__
    archive: Optional[str] = getattr(spec and spec.loader, "archive", None)
    if archive is None:
        raise Invalid(
            f"what is installed is the agent's one file, and this is none: fetch {agent_file.NAME} with the command "
            "that `heimdall enroll` prints"
        )
    return Path(archive).resolve()


def check_interpreter(service: Service) -> None:
    """Raise `Invalid` when the service could not run this interpreter, or a person could change what it runs."""
    for python in (Path(sys.executable), Path(sys.executable).resolve()):
        for folder in service.personal:
            if folder in python.parents:
                raise Invalid(
                    f"the service cannot run {sys.executable}, for {folder} is not the machine's own: run this with a "
                    "Python that is installed for everybody"
                )


def _enrol(settings: Settings, options: argparse.Namespace, home: Home) -> int:
    """Enrol `home` by the token, if there is one; a home that is enrolled needs none. Returns the exit code."""
    if not (options.enroll or settings.enroll_token) and home.credential_path("agent").exists():
        home.prepare()
        return DONE
    return run(settings, argparse.Namespace(**{**vars(options), "only_enroll": True}))


def _make_command(service: Service, kind: str, options: argparse.Namespace) -> List[str]:
    words = [sys.executable, str(service.program), "--kind", kind]
    for name, value in (("--host", options.host), ("--interval", options.interval), ("--listen", options.listen)):
        if value is not None:
            words += [name, str(value)]
    return words


def _read_host(home: Home) -> str:
    """The name that `home` is enrolled under; empty when it is not."""
    return home.credential("agent").user if home.credential_path("agent").exists() else ""


def _count_spool(home: Home) -> int:
    if not home.agent_spool.exists():
        return 0
    spool = Spool(home.agent_spool, checkpoints=False)
    try:
        return len(spool)
    finally:
        spool.close()
