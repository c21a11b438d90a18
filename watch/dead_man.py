"""The dead man's switch: while all is well an address is called, again and again. Who is called raises the alarm when
there is silence: nobody here can tell that all of us are dead.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from core.text import printable
from watch.dead_man_rule import read_address
from watch.reachable import check_address
from watch.rulebook import Rulebook

log = logging.getLogger("watch.dead_man")

CALL_SECONDS = 10.0
LOOK_SECONDS = 1.0
NO_RULE_SECONDS = 5.0


class DeadMan:
    """`find_fault` tells what is not well, an empty text when all is."""

    def __init__(self, rulebook: Rulebook, find_fault: Callable[[], str]) -> None:
        self._rulebook, self._find_fault = rulebook, find_fault
        self._said = ""

    async def run(self) -> None:
        """Call while all is well, until cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            rule = self._rulebook.rules.dead_man
            await asyncio.sleep(LOOK_SECONDS if rule is not None else NO_RULE_SECONDS)
            if rule is None or loop.time() < next_at:
                continue
            fault = self._find_fault()
            if not fault:
                fault = await asyncio.to_thread(call, rule.url, allow_private=rule.allow_private)
                next_at = loop.time() + rule.every_seconds
            if fault != self._said:
                log.warning("the dead man's switch is not held: %s", printable(fault)) if fault else log.info(
                    "the dead man's switch is held"
                )
            self._said = fault


def call(url: str, *, allow_private: bool) -> str:
    """Call `url`; what went wrong, or an empty text. No redirect is followed."""
    parts = read_address(url)
    secure = parts.scheme == "https"
    try:
        line = _connect(parts.hostname or "", parts.port or (443 if secure else 80), allow_private)
        connection = http.client.HTTPConnection(parts.netloc.rpartition("@")[2], timeout=CALL_SECONDS)
        with line:
            connection.sock = (
                ssl.create_default_context().wrap_socket(line, server_hostname=parts.hostname) if secure else line
            )
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers={"User-Agent": "Heimdall"})
            status = connection.getresponse().status
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{parts.hostname}: {error or type(error).__name__}"
    return "" if 200 <= status < 300 else f"{parts.hostname} answers {status}"


def _connect(host: str, port: int, allow_private: bool) -> socket.socket:
    """To an address that was checked: a name that is resolved again may be another by then."""
    found: list[tuple[Any, ...]] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("it has no address")
    for family, kind, protocol, _, address in found:
        try:
            if not allow_private:
                check_address(address[0])
            with ExitStack() as undone:
                line = undone.enter_context(socket.socket(family, kind, protocol))
                line.settimeout(CALL_SECONDS)
                line.connect(address)
                undone.pop_all()
                return line
        except OSError as error:
            failure = error
    raise failure
