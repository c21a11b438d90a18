"""The end of the agent's process, as a person, the service manager or the system asks for it."""

from __future__ import annotations

import ctypes
import signal
import threading
from types import FrameType
from typing import Any, Callable, Dict, Optional

INTERRUPTED = 130
# Windows ends the process by itself before that: 5 s after a console's end, 20 s after a service's
CONSOLE_PATIENCE_SECONDS = 20.0
# Microsoft's page "HandlerRoutine callback function"
_CLOSE_EVENT, _LOGOFF_EVENT, _SHUTDOWN_EVENT = 2, 5, 6


def _make_console_handler(end_console: Callable[[int], int]) -> Any:
    """`end_console` as Windows can call it; `None` on any other system."""
    if not hasattr(ctypes, "WINFUNCTYPE"):
        return None
    return ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint32)(end_console)


class Stop:
    """SIGTERM and SIGINT as an event to wait for, on Windows the end of the console too.

    Whatever was installed for that is taken back at the end of the block.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self.shutting_down = False  # the machine is known to go down
        self._ended = threading.Event()
        self._before: Dict[int, Any] = {}
        # kept as long as this object: a thread of Windows may still be on its way out of it
        self._console: Any = _make_console_handler(self.end_console)

    def ask(self, shutting_down: bool = False) -> None:
        """Let the agent end, from any thread; `shutting_down` when it is because the machine goes down.

        A service of Windows calls it at the controls STOP and SHUTDOWN, with the object that it gave to `run`.
        """
        self.shutting_down |= shutting_down
        self.event.set()

    def __enter__(self) -> None:
        # only the main thread may have handlers; in a test or a service the agent runs in another
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._catch)
            if self._console:
                self._ended.clear()
                ctypes.WinDLL("kernel32").SetConsoleCtrlHandler(self._console, True)  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before and self._console:
            ctypes.WinDLL("kernel32").SetConsoleCtrlHandler(self._console, False)  # type: ignore[attr-defined]

    def end_console(self, control: int) -> int:
        """Windows says that the console closes, in a thread of its own; once this returns the process is gone."""
        if control not in (_CLOSE_EVENT, _LOGOFF_EVENT, _SHUTDOWN_EVENT):
            return 0
        self.ask(shutting_down=control == _SHUTDOWN_EVENT)
        self._ended.wait(CONSOLE_PATIENCE_SECONDS)
        return 1

    def _catch(self, number: int, _frame: Optional[FrameType]) -> None:
        if number == signal.SIGINT:
            self.code = INTERRUPTED
        self.event.set()
