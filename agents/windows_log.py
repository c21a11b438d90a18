"""The Windows event log through `wevtapi`: as thin as it can be, for only Windows can run it.

Nothing of Windows is touched before the first call, so that every system can import this. Source: Microsoft's pages
"Subscribing to Events", "Bookmarking Events" and those of the functions of winevt.h.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Protocol, Tuple

from core.errors import Invalid

log = logging.getLogger("heimdall.agent")

ACCESS_DENIED = 5
INVALID_BOUND = 1734  # EvtNext: the events that it was to fetch at once were too large together
NOT_FOUND = 1168  # EvtSubscribe, strict: the bookmark's event is not in the log
CHANNEL_NOT_FOUND = 15007
_INSUFFICIENT_BUFFER = 122
_NOTHING_NEW = (259, 1460)  # no more items, timeout

_SUBSCRIBE_AT_OLDEST = 2
_SUBSCRIBE_AFTER_BOOKMARK_STRICT = 3 | 0x10000
_QUERY_CHANNEL_NEWEST_FIRST = 0x1 | 0x200
_RENDER_XML = 1
_RENDER_BOOKMARK = 2


class LogError(Exception):
    """Windows refused: `code` is the number of its error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error {code} of Windows")
        self.code = code


class Subscription(Protocol):
    """A log read from a bookmark on."""

    def read(self, most: int) -> Tuple[List[str], str]:
        """The events, as XML, that have come so far, about `most` of them, and the bookmark behind the last.

        Raises `LogError`; the subscription is then of no use any more.
        """

    def close(self) -> None:
        """Let go of what Windows holds for it."""


class EventLog(Protocol):
    """The event logs of this machine. A bookmark is text of Windows' own; the empty one is before the first event."""

    def newest(self, channel: str, query: str) -> str:
        """The bookmark at the newest event of `channel` that the XPath `query` selects. Raises `LogError`."""

    def subscribe(self, channel: str, query: str, bookmark: str, batch: int) -> Subscription:
        """Read `channel` from behind `bookmark` on, `batch` events at once.

        Raises `LogError`; `NOT_FOUND` when the log does not hold the bookmark's event.
        """


class Calls(NamedTuple):
    """The functions of Windows that are called, and the number of the last error."""

    wevtapi: Any
    kernel32: Any
    last_error: Callable[[], int]


def load_calls() -> Calls:
    """Load the two libraries. Raises `Invalid` on anything but Windows."""
    if not hasattr(ctypes, "WinDLL"):
        raise Invalid("the kind windows follows Windows' event log, and this is no Windows: give it a log with --read")
    wevtapi = ctypes.WinDLL("wevtapi", use_last_error=True)
    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    handle, number, flag, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_wchar_p
    number_out = ctypes.POINTER(number)
    for function, result, arguments in (
        (wevtapi.EvtSubscribe, handle, (handle, handle, text, text, handle, handle, handle, number)),
        (wevtapi.EvtQuery, handle, (handle, text, text, number)),
        (wevtapi.EvtNext, flag, (handle, number, ctypes.POINTER(handle), number, number, number_out)),
        (wevtapi.EvtRender, flag, (handle, handle, number, number, handle, number_out, number_out)),
        (wevtapi.EvtCreateBookmark, handle, (text,)),
        (wevtapi.EvtUpdateBookmark, flag, (handle, handle)),
        (wevtapi.EvtClose, flag, (handle,)),
        (kernel32.CreateEventW, handle, (handle, flag, flag, text)),
        (kernel32.CloseHandle, flag, (handle,)),
    ):
        function.restype, function.argtypes = result, arguments
    return Calls(wevtapi, kernel32, ctypes.get_last_error)  # type: ignore[attr-defined]


class WindowsEventLog:
    """The `EventLog` of Windows."""

    def __init__(self, calls: Optional[Calls] = None) -> None:
        self._calls = calls

    def newest(self, channel: str, query: str) -> str:
        """See `EventLog.newest`."""
        calls = self._load()
        found = _check(calls, calls.wevtapi.EvtQuery(None, channel, query, _QUERY_CHANNEL_NEWEST_FIRST))
        try:
            for event in _next(calls, found, 1):
                return _make_bookmark(calls, event)
            return ""
        finally:
            calls.wevtapi.EvtClose(found)

    def subscribe(self, channel: str, query: str, bookmark: str, batch: int) -> Subscription:
        """See `EventLog.subscribe`."""
        return _WindowsSubscription(self._load(), channel, query, bookmark, batch)

    def _load(self) -> Calls:
        if self._calls is None:
            self._calls = load_calls()
        return self._calls


class _WindowsSubscription:
    def __init__(self, calls: Calls, channel: str, query: str, bookmark: str, batch: int) -> None:
        self._calls, self._bookmark, self._batch = calls, bookmark, batch
        self._broken: Optional[LogError] = None
        api = calls.wevtapi
        start, at = _SUBSCRIBE_AT_OLDEST, None
        if bookmark:
            start, at = _SUBSCRIBE_AFTER_BOOKMARK_STRICT, api.EvtCreateBookmark(bookmark)
            if not at:
                raise LogError(NOT_FOUND)
        # without a callback Windows asks for an event to signal, though nobody waits for it: we look twice a second
        self._signal = calls.kernel32.CreateEventW(None, True, False, None)
        try:
            self._handle = api.EvtSubscribe(None, self._signal, channel, query, at, None, None, start)
            code = 0 if self._handle else calls.last_error()
        finally:
            if at:
                api.EvtClose(at)
        if code:
            calls.kernel32.CloseHandle(self._signal)
            raise LogError(code)

    def read(self, most: int) -> Tuple[List[str], str]:
        """See `Subscription.read`."""
        if self._broken:
            raise self._broken
        texts: List[str] = []
        try:
            while len(texts) < most and self._read_batch(texts):
                pass
        except LogError as error:
            # what came before the error counts
            self._broken = error
            if not texts:
                raise
        return texts, self._bookmark

    def _read_batch(self, texts: List[str]) -> bool:
        """Add the next events to `texts`; whether there were any. Raises `LogError`."""
        any_came = False
        for event in _next(self._calls, self._handle, self._batch):
            any_came = True
            try:
                texts.append(_render(self._calls, event, _RENDER_XML))
                self._bookmark = _make_bookmark(self._calls, event)
            except LogError as error:
                log.warning("an event cannot be had from the event log, and is left out: %s", error)
        return any_came

    def close(self) -> None:
        """See `Subscription.close`."""
        self._calls.wevtapi.EvtClose(self._handle)
        self._calls.kernel32.CloseHandle(self._signal)


def _next(calls: Calls, found: Any, most: int) -> Iterator[Any]:
    """The next events of a subscription or query, at most `most`; each is closed when the next is asked for."""
    events = (ctypes.c_void_p * most)()
    count = ctypes.c_uint32()
    if not calls.wevtapi.EvtNext(found, most, events, 0, 0, ctypes.byref(count)):
        code = calls.last_error()
        if code in _NOTHING_NEW:
            return
        raise LogError(code)
    taken = events[: count.value]
    try:
        yield from taken
    finally:
        for event in taken:
            calls.wevtapi.EvtClose(event)


def _render(calls: Calls, fragment: Any, what: int) -> str:
    """An event or a bookmark as XML. Raises `LogError`."""
    used, properties = ctypes.c_uint32(4096), ctypes.c_uint32()
    for _ in range(2):
        size = used.value  # in bytes, with the zero at the end
        buffer = ctypes.create_string_buffer(size)
        sizes = ctypes.byref(used), ctypes.byref(properties)
        if calls.wevtapi.EvtRender(None, fragment, what, size, buffer, *sizes):
            return buffer.raw[: used.value].decode("utf-16-le", "replace").rstrip("\0")
        if calls.last_error() != _INSUFFICIENT_BUFFER:
            break
    raise LogError(calls.last_error())


def _make_bookmark(calls: Calls, event: Any) -> str:
    """The bookmark at `event`. Raises `LogError`."""
    bookmark = _check(calls, calls.wevtapi.EvtCreateBookmark(None))
    try:
        _check(calls, calls.wevtapi.EvtUpdateBookmark(bookmark, event))
        return _render(calls, bookmark, _RENDER_BOOKMARK)
    finally:
        calls.wevtapi.EvtClose(bookmark)


def _check(calls: Calls, result: Any) -> Any:
    if not result:
        raise LogError(calls.last_error())
    return result
