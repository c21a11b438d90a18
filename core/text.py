"""Text that came from elsewhere, made fit to be shown."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Sequence


def printable(text: object, limit: int = 300) -> str:
    """`text` on one line for a log or a terminal, cut at `limit` characters.

    Control, format (bidirectional) and surrogate characters are shown as escapes instead of sent.
    """
    shown = str(text)[:limit]
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown)


def name_some(names: Sequence[str], most: int) -> str:
    """The first of `names`, `most` of them, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def put_line(text: str) -> None:
    """Write `text` as a line to standard output, at once; what the console has no character for is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


class LineFormatter(logging.Formatter):
    """A line for each record, its time in UTC, and whatever it quotes printable: no text forges a line of its own.

    The lines of a traceback are indented.
    """

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without a traceback."""
        text = super().formatMessage(record)
        return printable(text, len(text))

    def formatException(self, ei: Any) -> str:
        """The traceback of `ei`."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"    {printable(line, len(line))}" for line in lines)


class JsonFormatter(logging.Formatter):
    """A JSON object a line for each record: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told = {
            "time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname, "logger": record.name,
            "message": record.getMessage(),
        }  # fmt: skip
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)
