"""An API that kills itself while it forgets a host. `TEST_DIES=STEP:TIMES` says behind which of its transactions."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from heimdall.main import main
from store import forget
from store.forget import Forgetting

AFTER_EVENTS, AFTER_ROWS, AFTER_BARRING = STEPS = ("delete_events", "forget", "bar")


def die_behind(method: str, times: int) -> None:
    """Kill this process (SIGKILL) when the transaction of `method` has been committed for the time number `times`."""
    work = getattr(Forgetting, method)
    left = times

    def worked(self: Forgetting, *arguments: Any) -> Any:
        nonlocal left
        done = work(self, *arguments)
        left -= 1
        if left == 0:
            print("dies behind", method, file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(Forgetting, method, worked)


if __name__ == "__main__":
    forget.EVENTS_PER_TRANSACTION = 50
    if wanted := os.environ.get("TEST_DIES"):
        name, _, number = wanted.partition(":")
        die_behind(name, int(number))
    sys.exit(main(["api"]))
