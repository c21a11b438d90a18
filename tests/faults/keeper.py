"""Starts again what ends, as `heimdall up` and a container engine do: at once, for ever."""

from __future__ import annotations

import contextlib
import signal
import threading

from part import Part


class Keeper:
    """Keeps parts running. One that is stopped (SIGSTOP) is alive to it."""

    def __init__(self) -> None:
        self._kept: list[Part] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def keep(self, part: Part) -> None:
        """Start `part` if it does not run, and from now on whenever it has ended."""
        with self._lock:
            self._kept.append(part)

    def forget(self, part: Part) -> None:
        """Let `part` end without starting it again."""
        with self._lock:
            self._kept.remove(part)

    def send(self, part: Part, number: signal.Signals) -> None:
        """Send a signal to `part`, if it runs just now."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if part.alive:
                part.send(number)

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            with self._lock:
                for part in self._kept:
                    if not part.alive:
                        part.start()
