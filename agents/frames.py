"""The messages in the bytes of a TCP connection that carries syslog (RFC 6587)."""

from __future__ import annotations

import re
from typing import List, Optional

LONGEST_MESSAGE_BYTES = 64 * 1024  # what is longer is cut

_COUNT = re.compile(rb"[1-9]\d{0,6} ")
_PART_OF_COUNT = re.compile(rb"(?:[1-9]\d{0,6} ?)?")
# a message without a priority may begin with a number too: RFC 5424's version, or a year and what is no space
_FIRST_COUNT = re.compile(rb"[1-9](?:\d{1,6} | <)")
_NOTHING = b"\r\n\0 "


class Frames:
    """Octet counting or a message a line, told apart by the first bytes.

    Nothing is an error: what is too long is cut, and where a count should be and is none, it goes on by lines.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._counted: Optional[bool] = None
        self._skip = 0  # octets of a message that was cut
        self._skip_line = False

    def feed(self, data: bytes) -> List[bytes]:
        """The messages that `data` completes."""
        self._buffer += data
        if self._counted is None:
            if _PART_OF_COUNT.fullmatch(self._buffer):
                return []
            self._counted = _FIRST_COUNT.match(self._buffer) is not None
        messages = self._read_counted() if self._counted else []
        if not self._counted:
            messages += self._read_lines()
        return [message for message in messages if message.strip(_NOTHING)]

    def end(self) -> List[bytes]:
        """What the connection left at its end: a message without its end may still tell something."""
        rest = b"" if self._skip or self._skip_line else self._buffer
        if self._counted:
            rest = _COUNT.sub(b"", rest, count=1)
        self._buffer = b""
        return [rest] if rest.strip(_NOTHING) else []

    def _read_counted(self) -> List[bytes]:
        messages: List[bytes] = []
        at = 0
        while True:
            skipped = min(self._skip, len(self._buffer) - at)
            self._skip -= skipped
            at += skipped
            # some senders write a line's end behind each message
            while self._buffer[at : at + 1] in (b"\n", b"\r"):
                at += 1
            found = _COUNT.match(self._buffer, at)
            if not found:
                break
            length = int(found[0])
            kept = min(length, LONGEST_MESSAGE_BYTES)
            if len(self._buffer) - found.end() < kept:
                break
            at = found.end() + kept
            self._skip = length - kept
            messages.append(self._buffer[found.end() : at])
        self._buffer = self._buffer[at:]
        self._counted = bool(found or _PART_OF_COUNT.fullmatch(self._buffer))
        return messages

    def _read_lines(self) -> List[bytes]:
        messages: List[bytes] = []
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            if not self._skip_line:
                messages.append(line[:LONGEST_MESSAGE_BYTES])
            self._skip_line = False
        if len(self._buffer) > LONGEST_MESSAGE_BYTES:
            if not self._skip_line:
                messages.append(self._buffer[:LONGEST_MESSAGE_BYTES])
            self._buffer, self._skip_line = b"", True
        return messages
