"""`heimdall agent upgrade`: the agent's file of the server where the service's home is enrolled."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Tuple

from agents.answer import ask, open_straight
from agents.compiled import compile_modules, read_origin
from agents.farewell import announce_upgrade
from agents.install import DONE, lay_beside, read_version, start
from agents.service import Service
from core import agent_file
from core.errors import Unavailable
from core.home import Home
from core.text import printable
from core.tls import trust

log = logging.getLogger("heimdall.agent")

LONGEST_FILE_BYTES = 32 * 1024 * 1024
ANSWER_SECONDS = 60.0
AWAY_SECONDS = 120.0  # a restart takes a moment, and another minute where a task is tried again each minute


def upgrade(service: Service, force: bool) -> int:
    """Take the server's file when it is another one, and no older; 0 when that runs, or nothing was to do.

    1. The server says which file it has, and nothing more is fetched when that is the one here.
    2. The file must be the one that the server named, and answer `--version` under this interpreter.
    3. It replaces the one here as a whole, and the service is started anew.

    Raises `Invalid` and `Unavailable`; nothing is changed then.
    """
    service.check()
    home = Home(service.home)
    url = home.read_server().get("api")
    if not (service.installed() and service.program.exists() and url):
        raise Unavailable("no agent is installed here as a service: `install` does that")
    ours = read_version(service.program)
    digest = agent_file.read_sum(_fetch(home, f"{url}/agent.pyz.sha256"))
    if digest == read_origin(service.program.read_bytes()):
        log.info("up to date: %s", ours)
        return DONE
    content = _fetch(home, f"{url}/agent.pyz")
    if agent_file.digest(content) != digest:
        raise Unavailable(f"what {url} has sent is not the file that it has named: nothing is changed; try again")
    partial = lay_beside(compile_modules(content), service.program)
    try:
        theirs = _ask_version(partial)
        if is_older(theirs, ours) and not force:
            log.info("up to date: %s is newer than the server's %s (--force takes that)", ours, theirs)
            return DONE
        os.replace(partial, service.program)
    finally:
        partial.unlink(missing_ok=True)
    log.info("%s is %s now, and was %s", service.program, theirs, ours or "damaged")
    with service.writing_home():
        announce_upgrade(home, AWAY_SECONDS)
    return start(service)


def is_older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`: numbers, then what precedes a release (PEP 440: `1.0rc1`, `1.0.dev2`)."""
    return _order(version) < _order(than)


def _order(version: str) -> Tuple[Tuple[int, ...], bool, str]:
    found = re.match(r"(\d+(?:\.\d+)*)(.*)", version)
    if found is None:
        return (), False, version
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.0 is 1
    rest = found[2].lstrip(".")
    return tuple(numbers), not re.match(r"a|b|rc|dev", rest), rest


def _fetch(home: Home, url: str) -> bytes:
    """What the server answers, which must prove itself as it does whenever this host comes by."""
    try:
        request = urllib.request.Request(url, headers={"user-agent": "heimdall-agent"})  # noqa: S310 -- the home's
        status, content = ask(open_straight(trust(home.trusted)), request, LONGEST_FILE_BYTES)
    except (OSError, ValueError, HTTPException) as error:
        raise Unavailable(f"{url} cannot be fetched: {printable(error)}") from error
    if status != 200:
        raise Unavailable(f"{url} is answered {status}: nothing is changed")
    return content


def _ask_version(file: Path) -> str:
    """The version that `file` says it is, run by this interpreter. Raises `Unavailable` when it does not run."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(file), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=ANSWER_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the server's file cannot be run: {error}") from error
    found = re.fullmatch(r"heimdall (\S+)\s*", done.stdout)
    if done.returncode or not found:
        why = printable((done.stderr or done.stdout).strip().rpartition("\n")[2]) or f"code {done.returncode}"
        raise Unavailable(f"the server's file does not run under {sys.executable}: {why}; nothing is changed")
    return found[1]
