"""A listener to `GET /stream`: a raw socket, and what came on it, message by message."""

from __future__ import annotations

import json
import re
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from waiting import wait_until


class Told(NamedTuple):
    """One server-sent event."""

    event: str
    id: str
    data: Any


class Ear:
    """Connects at once; `told` reads what has come."""

    def __init__(self, url: str, key: str, query: str = "", **headers: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        lines = {"host": parts.netloc, "api-key": key, **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        self.socket.sendall(f"GET /stream{query} HTTP/1.1\r\n{head}\r\n".encode())
        self._raw = b""
        self.ended = self.whole = False
        wait_until(lambda: self._read() and b"\r\n\r\n" in self._raw, "the answer has begun")
        self.head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1])
        self.last_id = ""
        self._text = b""
        self._told: list[Told] = []
        self.comments = 0

    def _read(self) -> bool:
        try:
            self.socket.settimeout(0.02)
            while not self.ended:
                piece = self.socket.recv(1 << 20)
                self._raw += piece
                self.ended = not piece
        except TimeoutError:
            pass
        except OSError:
            self.ended = True
        return True

    def told(self) -> list[Told]:
        """All messages so far."""
        self._read()
        while (end := self._raw.find(b"\r\n")) >= 0:
            size = int(self._raw[:end], 16)
            self.whole = self.whole or size == 0
            if len(self._raw) < end + 4 + size:
                break
            self._text += self._raw[end + 2 : end + 2 + size]
            self._raw = self._raw[end + 4 + size :]
        *blocks, self._text = self._text.split(b"\n\n")
        for block in blocks:
            fields = dict(re.findall(rb"^(\w+): ?(.*)$", block, re.MULTILINE))
            self.comments += block.startswith(b":")
            self.last_id = fields.get(b"id", b"").decode() or self.last_id
            if b"data" in fields:
                self._told.append(Told(fields[b"event"].decode(), self.last_id, json.loads(fields[b"data"])))
        return self._told

    def wait_for(self, event: str, count: int = 1) -> list[Told]:
        """The messages of this kind, when there are so many."""
        wait_until(lambda: len(self.of(event)) >= count, f"{count} of {event} have come")
        return self.of(event)

    def of(self, event: str) -> list[Told]:
        return [one for one in self.told() if one.event == event]

    def has_begun(self) -> Ear:
        """When it knows where it is: what comes from now on is told."""
        wait_until(lambda: self.told() is not None and self.last_id != "", "it has been told where it is")
        return self

    def close(self) -> None:
        self.socket.close()
