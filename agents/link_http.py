"""The link over HTTP, for hosts that cannot reach the broker: `POST /ingest` and `POST /heartbeat`.

A 200 means that the events are in the gateway's spool, on disk: only then are they deleted here.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from http.client import HTTPException
from pathlib import Path
from typing import Any, Deque, Dict, List, NamedTuple, Optional

from agents.answer import decode_answer, open_with
from agents.farewell import STOPPED, Farewell
from agents.link import Backoff
from core.errors import Invalid, Unavailable
from core.messages import Heartbeat, encode
from core.settings import Settings
from core.spool import Batch, Spool, SpoolDamaged
from core.text import printable
from core.tls import trust

log = logging.getLogger("heimdall.agent")

POLL_SECONDS = 1.0  # how long what another process spools may wait; what this one does comes with `wake`
TIMEOUT_SECONDS = 15.0
LONGEST_ANSWER_BYTES = 4 * 1024 * 1024
RETRY_REFUSED_SECONDS = 30.0
# the same bytes would be refused again: what is in them must be parted, or set aside
_UNFIT = (400, 413, 422)


def speaks_http(settings: Settings) -> bool:
    """Whether an agent with these settings reports over HTTP, and not over MQTT."""
    return bool(settings.api_url and settings.api_key and not settings.broker_set)


class _Answer(NamedTuple):
    status: int
    body: Dict[str, Any]
    retry_after_seconds: float


class HttpLink:
    """The agent's way to the API at `url`, with `api_key`."""

    def __init__(
        self, host: str, os_type: str, url: str, api_key: str, spool: Spool, authorities: Optional[Path] = None
    ) -> None:
        self.host, self.url = host, url.rstrip("/")
        self.connections = 0
        self.beats_lost = 0
        self.spool_damaged = False
        self._headers = {
            "api-key": api_key,
            "source-host": host,
            "os-type": os_type,
            "content-type": "application/json",
            "user-agent": "heimdall-agent",
        }
        self._spool = spool
        self._most_events = 1_000
        self._beats: Deque[Heartbeat] = deque()
        self._waking = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        # a redirect would carry the key to another server
        self._trouble = self._beats_trouble = ""
        self._authorities = authorities
        self._opener: Optional[urllib.request.OpenerDirector] = None

    def start(self) -> None:
        self.connections = 1  # HTTP knows no session: the first beat may go at once
        self._thread.start()

    def send_beat(self, beat: Heartbeat) -> bool:
        self._beats.append(beat)
        self.wake()
        return True

    def wake(self) -> None:
        self._waking.set()

    def use_spool(self, spool: Spool) -> None:
        self._spool = spool

    def stop(self, farewell: Farewell = STOPPED) -> None:  # noqa: ARG002 -- HTTP has no words for it
        self._stopping.set()
        self.wake()
        self._thread.join(timeout=TIMEOUT_SECONDS + 5)

    def _run(self) -> None:
        backoff = Backoff()
        due = 0.0
        while not self._stopping.is_set():
            self._send_beats()
            left = due - time.monotonic()
            if left <= 0:
                left = self._forward(backoff)
                due = time.monotonic() + left
            if left >= 0:
                self._waking.wait(min(left or POLL_SECONDS, POLL_SECONDS))
                self._waking.clear()

    def _send_beats(self) -> None:
        # an old beat says nothing that the newest does not
        while len(self._beats) > 1:
            self._beats.popleft()
            self.beats_lost += 1
        while self._beats and not self._stopping.is_set():
            answer = self._post("/heartbeat", encode(self._beats.popleft()))
            if answer is None:
                self._lose_beat(self._trouble)
            elif answer.status != 200:
                self._lose_beat(f"it answers {_say(answer)}")
            elif self._beats_trouble:
                self._beats_trouble = ""
                log.info("%s takes heartbeats again", self.url)

    def _lose_beat(self, why: str) -> None:
        self.beats_lost += 1
        if why != self._beats_trouble:
            self._beats_trouble = why
            log.warning("%s takes no heartbeat: %s", self.url, why)

    def _forward(self, backoff: Backoff) -> float:
        """Send one batch; returns how many seconds to wait before the next, below 0 for not at all."""
        if self.spool_damaged:
            return 0.0
        # positions mean nothing in another spool: `use_spool` may come while the API is asked
        spool = self._spool
        try:
            batch = spool.batch(0, max_events=self._most_events)
            if batch is None:
                return 0.0
            answer = self._post("/ingest", b'{"events":' + batch.payload + b"}")
            if answer is not None and answer.status == 200:
                self._keep_refused(spool, batch, answer)
                spool.delete([(batch.first, batch.last)])
                if backoff.failures:
                    log.info("events reach %s again", self.url)
                backoff.reset()
                self._most_events = min(1_000, self._most_events * 2)
                return -1.0
            if answer is not None and answer.status in _UNFIT:
                self._part(spool, batch, answer)
                return -1.0
            return self._report(answer, backoff)
        except SpoolDamaged:
            self.spool_damaged = True
        except Unavailable as error:
            log.debug("%s", error)
        return backoff.next_seconds()

    def _keep_refused(self, spool: Spool, batch: Batch, answer: _Answer) -> None:
        """Move what the API does not take to the quarantine, each with the reason that it gives."""
        refused = answer.body.get("rejected")
        if not isinstance(refused, list) or not refused:
            return
        events: List[Dict[str, Any]] = json.loads(batch.payload)
        reasons = {}
        for entry in refused:
            index = entry.get("index") if isinstance(entry, dict) else None
            if isinstance(index, int) and 0 <= index < len(events):
                reasons[events[index]["event_id"]] = printable(entry.get("reason", "refused"))
        kept = spool.quarantine(batch.first, batch.last, reasons)
        example = next(iter(reasons.values()), "no reason given")
        log.error("%s refused %d events; they are in the quarantine of the spool: %s", self.url, kept, example)

    def _part(self, spool: Spool, batch: Batch, answer: _Answer) -> None:
        """The batch as a whole was refused: find out which events by halving it."""
        if batch.count > 1:
            self._most_events = max(1, batch.count // 2)
            return
        reason = _Answer(answer.status, {"rejected": [{"index": 0, "reason": _say(answer)}]}, 0.0)
        self._keep_refused(spool, batch, reason)

    def _report(self, answer: Optional[_Answer], backoff: Backoff) -> float:
        if answer is None:
            delay = backoff.next_seconds()
            log.warning("no connection to %s: %s; trying again in %.1f s", self.url, self._trouble, delay)
            return delay
        least = RETRY_REFUSED_SECONDS if answer.status in (401, 403) else answer.retry_after_seconds
        delay = backoff.next_seconds(least)
        hint = ": check SIEM_API_KEY" if answer.status in (401, 403) else ""
        log.error("%s answered %s%s; trying again in %.1f s", self.url, _say(answer), hint, delay)
        return delay

    def _post(self, path: str, body: bytes) -> Optional[_Answer]:
        """The answer to `body`, or `None` when there was no connection."""
        request = urllib.request.Request(self.url + path, body, self._headers, method="POST")  # noqa: S310
        try:
            if self._opener is None:
                self._opener = open_with(trust(self._authorities))
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return _Answer(answer.status, decode_answer(answer.read(LONGEST_ANSWER_BYTES)), 0.0)
        except urllib.error.HTTPError as error:
            with error:
                return _Answer(error.code, decode_answer(error.read(LONGEST_ANSWER_BYTES)), _retry_after(error.headers))
        except (OSError, ValueError, HTTPException, Invalid) as error:
            if isinstance(error, Invalid) or isinstance(getattr(error, "reason", None), ssl.SSLError):
                self._opener = None  # whom to trust may be written anew meanwhile
            self._trouble = printable(error)
            return None


def _retry_after(headers: Any) -> float:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3), 0 when it is absent or a date."""
    text = str(headers.get("retry-after", ""))
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else 0.0


def _say(answer: _Answer) -> str:
    detail = answer.body.get("detail") or answer.body.get("title") or ""
    return printable(f"{answer.status} {detail}".strip())
