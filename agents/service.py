"""The agent as a service of its machine: what every service manager is asked for."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Callable, ContextManager, List, NamedTuple, Optional, Protocol, Sequence

from core.errors import Invalid, Unavailable

CALL_SECONDS = 90.0

# runs a program of the system and returns what it printed; raises `Unavailable` when it fails
Call = Callable[..., str]


class Plan(NamedTuple):
    """What is to run: `command` from the interpreter on, a kind of host, and the port that it listens on, if any."""

    command: List[str]
    kind: str
    port: Optional[int] = None


class Service(Protocol):
    """The one agent that a machine runs as its service, by whatever manages services there."""

    manager: str  # the service manager's name, for people
    program: Path  # the agent's file that it runs
    home: Path  # its HEIMDALL_HOME
    personal: Sequence[Path]  # folders of people, or that end with a session: nothing that it runs may lie there
    log: str  # how a person reads its log

    def check(self) -> None:
        """Raise `Invalid`, with what to do, when this machine or whoever runs this cannot manage it."""

    def writing_home(self) -> ContextManager[None]:
        """For the block, files may be written into its home; afterwards they are its own, and nobody else's."""

    def installed(self) -> bool:
        """Whether it is defined."""

    def write(self, plan: Plan) -> None:
        """Define it, or define it anew. Raises `Unavailable`."""

    def start(self) -> None:
        """Start it, now and at each boot; one that runs is started anew. Raises `Unavailable`."""

    def remove(self) -> None:
        """Stop it and undo `write`; its home and its program stay. Raises `Unavailable`."""


def call(*words: str) -> str:
    """The `Call` that is none of a test's."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=CALL_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"`{' '.join(words)}` cannot be run: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Unavailable(f"`{' '.join(words)}` failed ({done.returncode}): {said}")
    return done.stdout


def expect_root() -> None:
    """Raise `Invalid` unless this process is root's. A token is never repeated."""
    if os.geteuid() != 0:
        typed = f"{shlex.quote(sys.executable)} {shlex.quote(sys.argv[0])}"
        raise Invalid(f"a service of this machine is root's affair: type `sudo {typed} …`, the same words behind sudo")
