"""Renewal: an enrolled host comes by at its server, hears whom to trust, and takes a new secret when asked to.

The new secret is kept in `credentials/agent.new` before anybody is told of it. The broker ends the session when it
takes the new one; until the answer is here either may be the right one, so the link tries both.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from http.client import HTTPException
from typing import Any, Dict, List, Tuple

from agents.answer import ask, decode_answer, open_straight, write_post
from core.errors import HeimdallError
from core.home import Credential, Home, write_secret
from core.settings import Settings
from core.text import printable
from core.tls import split_certificates, trust, trust_text

log = logging.getLogger("heimdall.agent")

FIRST_SECONDS = (2.0, 60.0)  # after the start; a fleet that starts at once is spread
EVERY_SECONDS = (64_800.0, 86_400.0)  # a day, less up to a quarter
AGAIN_SECONDS = (600.0, 1_200.0)  # when nobody has answered


def logins(settings: Settings, home: Home) -> List[Credential]:
    """What the broker may know this host by: whom the settings name, or its secret, also one it is about to have.

    Its certificate alone is a login without a user. Raises `Unavailable` when there is nothing, and `Invalid`.
    """
    broker = settings.broker
    if broker.user or (broker.proof and not home.credential_path("agent").exists()):
        return [Credential(broker.user, broker.password)]
    found = [home.credential("agent")]
    if home.credential_path("agent.new").exists():
        found.append(home.credential("agent.new"))
    return found


class Renewal(threading.Thread):
    """Comes by at the server where `home` is enrolled, until `stopping` is set."""

    def __init__(self, home: Home, stopping: threading.Event) -> None:
        super().__init__(name="renewal", daemon=True)
        self._home, self._stopping = home, stopping

    def run(self) -> None:
        pause = FIRST_SECONDS
        while not self._stopping.wait(random.uniform(*pause)):
            pause = AGAIN_SECONDS
            try:
                if self.visit():
                    pause = EVERY_SECONDS
            except (HeimdallError, OSError, ValueError, HTTPException) as error:
                log.warning("no answer about this host's enrolment: %s", printable(error))

    def visit(self) -> bool:
        """Come by once; whether the server has answered. Raises `HeimdallError`, `OSError` and `HTTPException`."""
        status, answer = self._ask(self._home.credential("agent"))
        if status == 200 and answer.get("renew") is True:
            self._home.make_credential("agent.new", self._home.credential("agent").user)
            status, answer = self._ask(self._home.credential("agent"))
        if status != 200:
            why = printable(answer.get("detail") or answer.get("title") or "")
            log.warning("the server where this host is enrolled answers %d %s", status, why)
            return False
        if answer.get("renewed") is True:
            os.replace(self._home.credential_path("agent.new"), self._home.credential_path("agent"))
            log.info("this host has a new secret at the broker")
        self._trust(answer.get("ca"))
        return True

    def _ask(self, login: Credential) -> Tuple[int, Dict[str, Any]]:
        content = {"host": login.user, "secret": login.password}
        if self._home.credential_path("agent.new").exists():
            content["new_secret"] = self._home.credential("agent.new").password
        url = f"{self._home.read_server()['api']}/enroll/renewal"
        status, body = ask(open_straight(trust(self._home.trusted)), write_post(url, content))
        return status, decode_answer(body)

    def _trust(self, authorities: object) -> None:
        """Trust what the server says from now on, when that is something else than before."""
        before = self._home.trusted.read_text(encoding="ascii") if self._home.trusted.exists() else ""
        if not isinstance(authorities, str) or split_certificates(authorities) == split_certificates(before):
            return
        trust_text(authorities)  # raises when there is none in it
        write_secret(self._home.trusted, authorities)
        log.info("this host trusts the server's new authority")
