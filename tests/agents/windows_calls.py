"""A stand-in for `wevtapi` and `kernel32`: logs in memory, handles that must be closed, and the errors of Windows.

It fills the buffers that it is given as Windows does, so that what is above the libraries runs as it is.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

from agents.windows_log import Calls

EVENT = (
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-"
    "Security-Auditing'/><EventID>4625</EventID><TimeCreated SystemTime='2026-11-23T06:30:01.6568711Z'/>"
    "<Channel>Security</Channel></System><EventData><Data Name='IpAddress'>192.0.2.{number}</Data></EventData></Event>"
)


class Windows:
    """`logs` has the numbers of each log's events; `errors` what a call answers instead, by log and function."""

    def __init__(self) -> None:
        self.logs: dict[str, list[int]] = {"Security": [], "System": []}
        self.errors: dict[tuple[str, str], int] = {}
        self.batches: list[int] = []
        self.open: dict[int, Any] = {}
        self._last_error = 0
        self._last_handle = 0x1_0000_0000  # what does not fit into 32 bits must not be cut
        self.calls = Calls(self, self, lambda: self._last_error)

    def _new(self, what: Any) -> int:
        self._last_handle += 4
        self.open[self._last_handle] = what
        return self._last_handle

    def _fail(self, code: int) -> int:
        self._last_error = code
        return 0

    def _find(self, function: str, channel: str) -> int:
        return self.errors.get((channel, function), 0 if channel in self.logs else 15007)

    def EvtQuery(self, _session: None, channel: str, _query: str, flags: int) -> int:
        assert flags == 0x201
        code = self._find("EvtQuery", channel)
        return self._fail(code) if code else self._new({"channel": channel, "left": self.logs[channel][-1:]})

    def EvtSubscribe(
        self, _session: None, signal: int, channel: str, _query: str, bookmark: int | None, _context: None,
        _callback: None, flags: int,
    ) -> int:  # fmt: skip
        assert signal in self.open
        code = self._find("EvtSubscribe", channel)
        if code:
            return self._fail(code)
        if flags == 2:
            return self._new({"channel": channel, "behind": -1})
        assert flags == 0x10003
        assert bookmark is not None
        behind = self.open[bookmark]["event"]
        if behind not in self.logs[channel]:
            return self._fail(1168)
        return self._new({"channel": channel, "behind": behind})

    def EvtNext(self, found: int, most: int, events: Any, timeout: int, _flags: int, count: Any) -> int:
        assert timeout == 0
        source = self.open[found]
        code = self.errors.get((source["channel"], "EvtNext"), 0)
        if code:
            return self._fail(code)
        if "left" in source:
            numbers, source["left"] = source["left"], []
        else:
            numbers = [number for number in self.logs[source["channel"]] if number > source["behind"]][:most]
            source["behind"] = numbers[-1] if numbers else source["behind"]
            self.batches.append(most)
        if not numbers:
            return self._fail(259)
        for place, number in enumerate(numbers):
            events[place] = self._new({"channel": source["channel"], "event": number})
        ctypes.cast(count, ctypes.POINTER(ctypes.c_uint32)).contents.value = len(numbers)
        return 1

    def EvtRender(
        self, _context: None, fragment: int, what: int, size: int, buffer: Any, used: Any, _count: Any
    ) -> int:
        source = self.open[fragment]
        code = self.errors.get((source["channel"], "EvtRender"), 0)
        if what == 1 and code and source["event"] == 13:
            return self._fail(code)
        text = EVENT.format(number=source["event"]) + " " * 5_000
        if what == 2:
            text = (
                f"<BookmarkList><Bookmark Channel='{source['channel']}' RecordId='{source['event']}'/></BookmarkList>"
            )
        written = f"{text}\0".encode("utf-16-le")
        ctypes.cast(used, ctypes.POINTER(ctypes.c_uint32)).contents.value = len(written)
        if len(written) > size:
            return self._fail(122)
        ctypes.memmove(buffer, written, len(written))
        return 1

    def EvtCreateBookmark(self, text: str | None) -> int:
        if text is None:
            return self._new({})
        found = re.search("Channel='(.*)' RecordId='(.*)'", text)
        return self._new({"channel": found[1], "event": int(found[2])}) if found else self._fail(87)

    def EvtUpdateBookmark(self, bookmark: int, event: int) -> int:
        self.open[bookmark].update(self.open[event])
        return 1

    def CreateEventW(self, _security: None, _manual: bool, _signalled: bool, _name: None) -> int:
        return self._new("signal")

    def EvtClose(self, handle: int) -> int:
        del self.open[handle]
        return 1

    CloseHandle = EvtClose
