"""Whether a host reaches its server, and would be let in there: asked without becoming the host's agent."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, List, Optional

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agents.answer import open_straight, open_with
from agents.session_mqtt import REFUSED, make_client
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.home import Credential
from core.settings import BrokerAddress
from core.text import printable
from core.tls import make_context, trust

PATIENCE_SECONDS = 10.0
# what waits for the host at the broker waits on: a session that is there is taken up, and left as it is
KEPT_SECONDS = 600


def connect_to(broker: BrokerAddress) -> None:
    """Connect, over TLS with the proof that it is the server, and hang up. Raises `OSError` and `Invalid`."""
    with socket.create_connection((broker.host, broker.port), PATIENCE_SECONDS) as line:
        if broker.tls:
            with make_context(broker).wrap_socket(line, server_hostname=broker.host):
                pass


def log_in(host: str, broker: BrokerAddress, credential: Credential) -> None:
    """Log in as `host` and out again, without a will; only when its agent does not run, for the name is the session's.

    Raises `Invalid` when the broker refuses, `Unavailable` when it does not answer, and `OSError`.
    """
    answers: List[tuple[int, str, bool]] = []

    def on_connect(_client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Any) -> None:
        answers.append((reason.value, str(reason), flags.session_present))

    client = make_client(host, broker, credential)
    client.on_connect = on_connect
    asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    asked.SessionExpiryInterval = KEPT_SECONDS
    client.connect(broker.host, broker.port, clean_start=False, properties=asked)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers:
        if client.loop(0.2) != 0 and not answers:
            raise Invalid("the broker closed the connection without an answer (wrong credentials?)")
        if time.monotonic() > deadline:
            raise Unavailable("the broker does not answer")
    code, text, was_there = answers[0]
    if code >= REFUSED:
        raise Invalid(f"the broker refuses the login, 0x{code:02x} {text}")
    left = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
    if not was_there:
        left.SessionExpiryInterval = 0
    client.disconnect(properties=left)
    client.loop(0.2)


def compare_clocks(url: str, authorities: Optional[Path]) -> timedelta:
    """How far this machine's clock is ahead of that of the API at `url`, to about a second.

    Raises `OSError`, `ValueError`, `HTTPException` and `Invalid`.
    """
    request = urllib.request.Request(f"{url}/livez", headers={"user-agent": "heimdall-agent"})  # noqa: S310
    before = utc_now()
    try:
        with open_straight(trust(authorities)).open(request, timeout=PATIENCE_SECONDS) as answer:
            date = answer.headers["date"]
    except urllib.error.HTTPError as error:
        with error:
            date = error.headers["date"]
    after = utc_now()
    # RFC 9110, section 6.6.1: whole seconds, so on average half a one has gone since
    server = _read_date(date) + timedelta(seconds=0.5)
    return before + (after - before) / 2 - server


def _read_date(text: Optional[str]) -> datetime:
    try:
        read = parsedate_to_datetime(text or "")
    except TypeError as error:  # what it raises for no date before Python 3.10
        raise ValueError(f"{text!r} is no date") from error
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)


def send_nothing(url: str, key: str, host: str, os_type: str, authorities: Optional[Path]) -> None:
    """Send no events as an agent over HTTP does, to hear whether the key is taken.

    Raises `Invalid` when it is not, `Unavailable` when the API is there and cannot say, `OSError` and `HTTPException`.
    """
    headers = {"api-key": key, "source-host": host, "os-type": os_type, "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/ingest", b'{"events":[]}', headers, method="POST")  # noqa: S310
    try:
        with open_with(trust(authorities)).open(request, timeout=PATIENCE_SECONDS):
            return
    except urllib.error.HTTPError as error:
        with error:
            said = _detail(error)
        refused = error.code in (401, 403)
        raise (Invalid if refused else Unavailable)(f"the API answers {error.code} {said}".rstrip()) from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        answer = json.loads(error.read(65_536))
        return printable(answer.get("detail") or answer.get("title") or "")
    except (ValueError, AttributeError, OSError, HTTPException, RecursionError):
        return ""


def advise(error: BaseException) -> str:
    """What a person may do about a connection that failed."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            "compare the clocks of both machines, then the name that the server is called by with `heimdall tls show` "
            "there; if its authority is another one now, enrol this host again (docs/troubleshooting.md)"
        )
    if isinstance(cause, socket.gaierror):
        return "look whether this machine's name server knows that name"
    return "look whether the server runs, and whether a firewall lies between"
