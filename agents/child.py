"""A program that is followed: what it prints comes as whole lines, without waiting for more."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from typing import List, Optional, Sequence

from core.text import printable

log = logging.getLogger("heimdall.agent")

PIECES_PER_READ = 16  # of 64 KiB
LONGEST_LINE_BYTES = 4 * 1024 * 1024
COMPLAINT_BYTES = 300


class Child:
    """`command` as a process, from its start to `close`. Raises `OSError` when it cannot be started."""

    def __init__(self, command: Sequence[str]) -> None:
        self._rest = b""
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- a pipe that nobody reads would fill up
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._complaints
            )
        except OSError:
            self._complaints.close()
            raise
        if self._process.stdout:
            os.set_blocking(self._process.stdout.fileno(), False)

    def take_lines(self) -> List[bytes]:
        """Whole lines that have come; what is left of a longer line than we take is dropped."""
        pipe = self._process.stdout
        if pipe is None:
            return []
        for _ in range(PIECES_PER_READ):
            try:
                piece = os.read(pipe.fileno(), 65_536)
            except BlockingIOError:
                break
            if not piece:
                break
            self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LONGEST_LINE_BYTES:
            log.warning("a line of %s is longer than %d bytes and is left out", self.name, LONGEST_LINE_BYTES)
            self._rest = b""
        return lines

    @property
    def name(self) -> str:
        """The program's name, for people."""
        return os.path.basename(str(self._process.args[0]))  # type: ignore[index]

    @property
    def code(self) -> Optional[int]:
        """The code that it ended with; `None` while it runs."""
        return self._process.poll()

    def complaint(self) -> str:
        """What it wrote to its standard error, or the code that it ended with; on one line."""
        self._complaints.seek(0)
        said = self._complaints.read(COMPLAINT_BYTES).decode("utf-8", "replace").strip()
        return printable(said or f"code {self.code}")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._complaints.close()
