"""What an agent says of its host when it ends: that it stops, or for how long it will be away.

A machine that reboots comes back by itself, and an agent that is upgraded too: they are `away`. One that is switched
off on purpose is `offline`: nobody knows until when. Over HTTP nothing is said.
"""

from __future__ import annotations

import logging
import subprocess
from datetime import datetime, timedelta
from typing import NamedTuple, Optional

from agents.stop import INTERRUPTED, Stop
from core.clock import parse_time, rfc3339, utc_now
from core.errors import Invalid
from core.home import Home, write_secret
from core.messages import Reason, State

log = logging.getLogger("heimdall.agent")

REBOOT_SECONDS = 600.0  # within which a machine is back, or something is wrong with it
LONGEST_SECONDS = 86_400.0  # that an agent may announce
SYSTEMD_SECONDS = 1.5
_REBOOTS = ("reboot.target", "kexec.target", "soft-reboot.target")
_SHUTDOWNS = ("poweroff.target", "halt.target")


class Farewell(NamedTuple):
    """The last words of a session; `back_by` belongs to `away`."""

    state: State
    reason: Reason
    back_by: Optional[datetime] = None


STOPPED = Farewell("offline", "stop")
SHUT_DOWN = Farewell("offline", "shutdown")


def announce_upgrade(home: Home, seconds: float) -> None:
    """Let the agent of `home` say at its next SIGTERM that it is upgraded, and back within `seconds`, 24 h at most.

    It is a file of the home, `back-by`, which the next start deletes. Raises `Invalid` and `OSError`.
    """
    if not 0 < seconds <= LONGEST_SECONDS:
        raise Invalid(f"an agent cannot be away for {seconds} s: use 1 to {LONGEST_SECONDS:.0f}")
    write_secret(home.back_by, rfc3339(utc_now() + timedelta(seconds=seconds)) + "\n")


def forget_upgrade(home: Home) -> None:
    """The agent is back. Raises `OSError`."""
    home.back_by.unlink(missing_ok=True)


def find_farewell(stop: Stop, home: Home) -> Farewell:
    """What to say as `stop` was asked for; returns within two seconds."""
    if stop.code == INTERRUPTED:
        return STOPPED
    now = utc_now()
    farewell = SHUT_DOWN if stop.shutting_down else _ask_systemd(now) or _read_announced(home, now) or STOPPED
    if farewell != STOPPED:
        until = f" until {rfc3339(farewell.back_by)} at most" if farewell.back_by else ""
        log.info("saying that this host is %s (%s)%s", farewell.state, farewell.reason, until)
    return farewell


def _ask_systemd(now: datetime) -> Optional[Farewell]:
    """What the machine is about to do, when systemd says so: of a shutdown its target is a job (systemctl(1)).

    Anybody may ask. The files in /run tell less: `shutdown/scheduled` is written for a later time alone, and
    `nologin` does not say whether the machine comes back.
    """
    command = ("systemctl", "list-jobs", "--no-legend", "--no-pager", "--plain", "--full")
    try:
        jobs = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SYSTEMD_SECONDS, check=True
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("systemd does not say whether the machine goes down: %s", error)
        return None
    lines = [line.split() for line in jobs.splitlines()]
    starting = {words[1] for words in lines if len(words) >= 3 and words[2] == "start"}
    if starting.intersection(_REBOOTS):
        return Farewell("away", "reboot", now + timedelta(seconds=REBOOT_SECONDS))
    return SHUT_DOWN if starting.intersection(_SHUTDOWNS) else None


def _read_announced(home: Home, now: datetime) -> Optional[Farewell]:
    try:
        back_by = parse_time(home.back_by.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, Invalid) as error:
        log.warning("%s is not heeded: %s", home.back_by, error)
        return None
    if not now < back_by <= now + timedelta(seconds=LONGEST_SECONDS):
        return None
    return Farewell("away", "upgrade", back_by)
