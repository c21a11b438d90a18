"""Enrolment: a token is exchanged for the right to use a secret that this host has made itself.

1. With an authority's fingerprint in the token, `GET /ca.pem` is asked for it, and nobody else is trusted then.
2. The secret is made and kept in `credentials/agent.new`, before anybody is told of it.
3. `POST /enroll` tells the server. A lost answer does no harm: the same again is the same enrolment.
4. `ca.pem` keeps whom to trust, `server` where the broker is and by which token, then the secret becomes
   `credentials/agent`.

Killed at any point and started again with the same token, it goes on where it was.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import ssl
import threading
import urllib.request
from http.client import HTTPException
from typing import Any, Dict, Optional, Tuple
from urllib.parse import urlsplit

from agents.answer import ask, decode_answer, open_straight, write_post
from agents.link import Backoff
from core.errors import Conflict, Invalid, Unavailable
from core.home import Credential, Home, write_secret
from core.settings import is_loopback
from core.text import printable
from core.tls import fingerprint, split_certificates, trust, trust_nobody_in_particular, trust_text
from core.token import Token, read_token

log = logging.getLogger("heimdall.agent")

TRIES = 6


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
    server = _Server(token)
    answer = _send(server, made, stopping)
    broker = answer.get("broker")
    if not isinstance(broker, str) or not broker.startswith(("mqtt://", "mqtts://", "ws://", "wss://")):
        raise Unavailable(f"{token.url} does not say where its broker is")
    if server.authority:
        write_secret(home.trusted, server.authority + "\n")
    else:
        home.trusted.unlink(missing_ok=True)  # of a server before
    home.write_server({"broker": broker, "token": mark, "api": token.url})
    os.replace(home.credential_path("agent.new"), home.credential_path("agent"))
    log.info("enrolled as %s at %s", host, token.url)


def _check_address(url: str) -> None:
    """Raise `Invalid` when a secret would go to another machine unencrypted."""
    parts = urlsplit(url)
    if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
        return
    raise Invalid(f"the token leads to {url}, where the secret would go unencrypted: the server needs HTTPS")


def _is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, leads to this machine and nowhere else."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return bool(found) and all(is_loopback(str(one[4][0])) for one in found)


def _send(server: _Server, made: Credential, stopping: threading.Event) -> Dict[str, Any]:
    backoff = Backoff()
    for attempt in range(TRIES):
        status, answer = server.enrol(made)
        detail = printable(answer.get("detail") or "no reason given")
        if status == 200:
            return answer
        if status in (403, 409, 422):
            raise (Conflict if status == 409 else Invalid)(f"{server.url} does not enrol {made.user}: {detail}")
        if attempt + 1 < TRIES:
            delay = backoff.next_seconds()
            log.warning("%s: %s; trying again in %.1f s", server.url, detail, delay)
            if stopping.wait(delay):
                break
    raise Unavailable(f"{server.url} did not enrol {made.user}: {detail}; the same token may be tried again")


class _Server:
    """The server that a token leads to. `authority` is the certificate (PEM) that it proved itself by, if any."""

    def __init__(self, token: Token) -> None:
        self.url, self.authority = token.url, ""
        self._token = token
        self._opener: Optional[urllib.request.OpenerDirector] = None

    def enrol(self, made: Credential) -> Tuple[int, Dict[str, Any]]:
        """Status (0: no answer) and what the server says. Raises `Invalid` when it is not whom the token means."""
        content = {"token": self._token.secret, "host": made.user, "secret": made.password}
        try:
            if self._opener is None:
                self._opener = open_straight(self._find_trust())
            status, answer = ask(self._opener, write_post(f"{self.url}/enroll", content))
            return status, decode_answer(answer)
        except (OSError, ValueError, HTTPException) as error:
            if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                raise Invalid(f"{self.url} cannot prove that it is the server: {printable(error)}") from error
            return 0, {"detail": str(error)}

    def _find_trust(self) -> ssl.SSLContext:
        if not self._token.authority:
            return trust(None)
        request = urllib.request.Request(f"{self.url}/ca.pem")  # noqa: S310
        status, answer = ask(open_straight(trust_nobody_in_particular()), request)
        if status >= 500:
            raise OSError(f"/ca.pem is answered {status}")
        for certificate in split_certificates(answer.decode("ascii", "replace")):
            if fingerprint(certificate) == self._token.authority:
                self.authority = certificate
                return trust_text(certificate)
        raise Invalid(
            f"{self.url} is not the server that the token means, or has a new authority since (its answer: {status}): "
            "make a new token there"
        )
