"""The supervisor: keeps child processes running, writes down what they print, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.process import end_with_parent
from core.text import printable

LOG_BYTES, LOG_FILES = 5 * 1024 * 1024, 3
SECOND_TRY_SECONDS = 1.0
LOOP_DEATHS, LOOP_SECONDS = 3, 60.0
GOODBYE_SECONDS = 10.0

Say = Callable[[str], None]


class Child:
    """One process that is started again whenever it ends: at once, then after 1 s, for ever."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, say: Say) -> None:
        self.name = name
        self.log = log
        self._command, self._environment, self._say = command, environment, say
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._deaths: deque[float] = deque(maxlen=LOOP_DEATHS)
        self._reported_loop = False
        self._last_line = ""
        self._file = logging.handlers.RotatingFileHandler(log, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1)
        log.chmod(0o600)

    async def run(self) -> None:
        """Start the process, and again whenever it ends, until `stop` was called."""
        while not self._stopping:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C reaches the supervisor alone, which ends all in order
                preexec_fn=end_with_parent(signal.SIGTERM),
                limit=1 << 20,
            )
            await self._keep_output(self._process)
            code = await self._process.wait()
            if not self._stopping:
                await self._mourn(code)

    async def _keep_output(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stdout
        while stream is not None:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # longer than the limit: asyncio has dropped it
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_line = printable(text, len(text))  # a broker writes down what clients call themselves
            self._file.emit(logging.makeLogRecord({"msg": "%s", "args": (self._last_line,)}))

    async def _mourn(self, code: int) -> None:
        """Say that the child has ended, and wait as long as its deaths demand."""
        now = time.monotonic()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        again = len(self._deaths) > 0 and now - self._deaths[-1] < LOOP_SECONDS
        self._deaths.append(now)
        looping = len(self._deaths) == LOOP_DEATHS and now - self._deaths[0] < LOOP_SECONDS
        if looping and not self._reported_loop:
            self._say(
                f"{self.name} ends again and again ({how}); last line of {self.log}: {printable(self._last_line)}"
            )
        elif not looping:
            self._say(f"{self.name} has ended ({how}): starting it again")
        self._reported_loop = looping
        if again:
            await asyncio.sleep(SECOND_TRY_SECONDS)

    async def stop(self, seconds: float = GOODBYE_SECONDS) -> None:
        """Ask the process to end, and kill it with all of its own when it does not."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            self._say(f"{self.name} does not stop: killing it")
            self.kill()

    def kill(self) -> None:
        """Kill the process and whatever it started, and let it rest."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.name == "posix":
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
