"""Steps of an agent's work at which its process can kill itself: exactly there, and with work in hand."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from agents.agent import Agent
from agents.link_http import HttpLink
from agents.session_mqtt import Session
from core.forwarder import Forwarder
from core.spool import Spool


class Step(NamedTuple):
    """Before or after `method` of `owner`, whenever its first argument fits `of_work`."""

    owner: type
    method: str
    before: bool
    of_work: Callable[[Any], bool] = bool


def _is_ingest(path: str) -> bool:
    return path == "/ingest"


COMMON = {
    "before spooling": Step(Agent, "send_events", before=True),
    "after spooling": Step(Spool, "append", before=False, of_work=len),
    "before deleting": Step(Spool, "delete", before=True),
    "after deleting": Step(Spool, "delete", before=False),
}
MQTT = COMMON | {
    "before publishing": Step(Session, "publish_batch", before=True),
    "after publishing": Step(Session, "publish_batch", before=False),
    "after PUBACK": Step(Forwarder, "acknowledged", before=False),
}
HTTP = COMMON | {
    "before posting": Step(HttpLink, "_post", before=True, of_work=_is_ingest),
    "after posting": Step(HttpLink, "_post", before=False, of_work=_is_ingest),
}


def die_at(name: str, times: int) -> None:
    """From now on this process kills itself (SIGKILL) when it comes to the step `name` for the time number `times`."""
    step = (MQTT | HTTP)[name]
    work = getattr(step.owner, step.method)
    left = times

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            print("dies", name, file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(work)
    def worked(self: Any, subject: Any, *rest: Any) -> Any:
        due = step.of_work(subject)
        if due and step.before:
            count()
        done = work(self, subject, *rest)
        if due and not step.before:
            count()
        return done

    setattr(step.owner, step.method, worked)
