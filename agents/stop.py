"""The end of the agent's process, as a person, the service manager or the system asks for it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Dict, Optional

INTERRUPTED = 130


class Stop:
    """SIGTERM and SIGINT as an event to wait for; the handlers of before are put back at the end."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> None:
        # only the main thread may have handlers; in a test the agent runs in another
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._catch)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, _frame: Optional[FrameType]) -> None:
        if number == signal.SIGINT:
            self.code = INTERRUPTED
        self.event.set()
