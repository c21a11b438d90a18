"""Enrolment: a token is exchanged for the right to use a secret that this host has made itself.

1. The secret is made and kept in `credentials/agent.new`, before anybody is told of it.
2. `POST /enroll` tells the server. A lost answer does no harm: the same again is the same enrolment.
3. `server` keeps where the broker is and by which token, then the secret becomes `credentials/agent`.

Killed at any point and started again with the same token, it goes on where it was.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import os
import socket
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Dict, Tuple
from urllib.parse import urlsplit

from agents.answer import NoRedirect, decode_answer
from agents.link import Backoff
from core.errors import Conflict, Invalid, Unavailable
from core.home import Credential, Home
from core.text import printable
from core.token import Token, read_token

log = logging.getLogger("heimdall.agent")

TIMEOUT_SECONDS = 20.0
TRIES = 6
LONGEST_ANSWER_BYTES = 65_536


def enroll(home: Home, host: str, text: str, stopping: threading.Event) -> None:
    """Enrol `host` by the token `text`, unless this home was enrolled by it before.

    Raises `Invalid` (a token that is damaged, or that would go over the network unencrypted), `Conflict` and
    `Unavailable`.
    """
    token = read_token(text)
    mark = hashlib.sha256(token.secret.encode()).hexdigest()
    if home.read_server().get("token") == mark and home.credential_path("agent").exists():
        return
    _check_address(token.url)
    made = home.make_credential("agent.new", host)
    answer = _send(token, made, stopping)
    broker = answer.get("broker")
    if not isinstance(broker, str) or not broker.startswith(("mqtt://", "mqtts://", "ws://", "wss://")):
        raise Unavailable(f"{token.url} does not say where its broker is")
    home.write_server({"broker": broker, "token": mark})
    os.replace(home.credential_path("agent.new"), home.credential_path("agent"))
    log.info("enrolled as %s at %s", host, token.url)


def _check_address(url: str) -> None:
    """Raise `Invalid` when a secret would go to another machine unencrypted."""
    parts = urlsplit(url)
    if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
        return
    raise Invalid(f"the token leads to {url}, where the secret would go unencrypted: the server needs HTTPS")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)


def _send(token: Token, made: Credential, stopping: threading.Event) -> Dict[str, Any]:
    body = json.dumps({"token": token.secret, "host": made.user, "secret": made.password}).encode()
    backoff = Backoff()
    for attempt in range(TRIES):
        status, answer = _post(f"{token.url}/enroll", body)
        detail = printable(answer.get("detail") or "no reason given")
        if status == 200:
            return answer
        if status in (403, 409, 422):
            raise (Conflict if status == 409 else Invalid)(f"{token.url} does not enrol {made.user}: {detail}")
        if attempt + 1 < TRIES:
            delay = backoff.next_seconds()
            log.warning("%s: %s; trying again in %.1f s", token.url, detail, delay)
            if stopping.wait(delay):
                break
    raise Unavailable(f"{token.url} did not enrol {made.user}: {detail}; the same token may be tried again")


def _post(url: str, body: bytes) -> Tuple[int, Dict[str, Any]]:
    headers = {"content-type": "application/json", "user-agent": "heimdall-agent"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 -- checked by `read_token`
    # no proxy and no redirect: the secret goes to the address in the token and nowhere else
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, decode_answer(answer.read(LONGEST_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, decode_answer(error.read(LONGEST_ANSWER_BYTES))
    except (OSError, ValueError, HTTPException) as error:
        return 0, {"detail": str(error)}
