"""An ingestor that kills itself behind a commit. Its process imports this; `TEST_DIES=STEP:TIMES` says when."""

from __future__ import annotations

import os
import signal
import sys

from ingestor import write
from ingestor.batch import Batch

BEFORE_PUBACKS, BEFORE_RECEIPTS = STEPS = ("after commit, before PUBACKs", "after PUBACKs, before receipts")
OF_BEATS = "after a commit of heartbeats, before PUBACKs"


def die_at(step: str, times: int) -> None:
    """Kill this process (SIGKILL) at `step` when the batch number `times` with receipts to send has been committed.

    At OF_BEATS that with heartbeats.
    """
    settle = write.settle
    left = times

    def settled(batch: Batch, unanswered: frozenset[str]) -> None:
        nonlocal left
        left -= bool(batch.beats if step == OF_BEATS else batch.receipts)
        if left > 0:
            settle(batch, unanswered)
            return
        unsent, batch.receipts = batch.receipts, []
        if step == BEFORE_RECEIPTS:
            settle(batch, unanswered)
        print("dies", step, "with", len(unsent), "receipts unsent", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    write.settle = settled


if wanted := os.environ.get("TEST_DIES"):
    name, _, number = wanted.partition(":")
    die_at(name, int(number))
