"""`--read FILE`: a given log or database is read and sent, by this process or by the running agent of its home."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Callable, Optional

from agents.agent import Agent
from agents.reading import FileReader, Summary, spool_file, wait_until_sent
from agents.stop import INTERRUPTED, Stop
from core import lock
from core.errors import Conflict
from core.home import Home
from core.spool import Spool

log = logging.getLogger("heimdall.agent")

PATIENCE_SECONDS = 120.0  # without any receipt, before `--read --once` gives up


def backfill(
    options: argparse.Namespace,
    read_file: FileReader,
    sender: Sender,
    stop: Stop,
    run_agent: Callable[[Agent], int],
) -> int:
    """Read the log; then wait for its receipts (`--once`), or go on as the agent by `run_agent`. The exit code.

    Raises `Conflict`, `Invalid` and `Unavailable`.
    """
    if not sender.take_over():
        if not options.once:
            raise Conflict(f"the agent of {sender.home.path} is running: add --once, and it sends what is read")
        log.info("an agent of this home is running: it sends what is read here")
    agent = sender.agent
    spool = agent.spool if agent else Spool(sender.home.agent_spool, checkpoints=False)
    summary = Summary(options.read)
    refused = -spool.quarantined()
    try:
        spool_file(Path(options.read), sender.host, read_file, spool, stop.event, summary)
        if agent and not options.once:
            _show(summary, options)
            return run_agent(agent)
        wait_until_sent(spool, spool.last_position(), stop.event, PATIENCE_SECONDS, sender.take_over)
        refused += spool.quarantined()
        summary.sent = not stop.event.is_set() and not refused
        return _conclude(summary, spool, refused, stop)
    finally:
        if options.once:
            _show(summary, options)
            sender.stop()
            spool.close()


def _conclude(summary: Summary, spool: Spool, refused: int, stop: Stop) -> int:
    """0 when every event has its receipt, 1 when some were refused, 130 when interrupted."""
    if refused:
        log.error("%d events were refused and are in the quarantine of %s", refused, spool.path)
    if stop.event.is_set() and not summary.sent:
        log.warning("interrupted: %d events wait in %s and are sent when an agent runs", len(spool), spool.path)
        return INTERRUPTED
    return 1 if refused else 0


class Sender:
    """Sends what is in the home's spool, as soon as no other agent of the home does."""

    def __init__(self, home: Home, host: str, make: Callable[[], Agent]) -> None:
        self.home, self.host = home, host
        self.agent: Optional[Agent] = None
        self._make = make

    def take_over(self) -> bool:
        """Start to send unless another agent of the home does; whether this process sends."""
        if self.agent is None:
            try:
                lock.hold(self.home.agent_lock, f"the agent of {self.home.path}")
            except Conflict:
                return False
            self.agent = self._make()
            self.agent.start()
        self.agent.beat_when_due()
        return True

    def stop(self) -> None:
        if self.agent:
            self.agent.stop()


def _show(summary: Summary, options: argparse.Namespace) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if options.json:
        sys.stdout.write(summary.as_json() + "\n")
        sys.stdout.flush()
    else:
        sys.stderr.write(summary.as_text() + "\n")
