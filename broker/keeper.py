"""The keeper: alone administers the broker. It carries out the orders of the table `keeper_orders`.

1. Orders are read twice a second, oldest first.
2. Each is one message to Mosquitto's dynamic-security plugin, whose answer is awaited.
3. What came of it is written down, and the secret is deleted. Killed between 2 and 3, it does the same again,
   which changes nothing.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from broker.control import Control, write_enrolment, write_removal
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.home import Home, find_login
from core.settings import Settings
from store import Order, Store, open_store

log = logging.getLogger("keeper")

POLL_SECONDS = 0.5  # a revoked host is cut off within a second, and an idle home stays idle
RETRY_SECONDS = 2.0


def run(settings: Settings) -> int:
    """Keep the identities until SIGTERM or SIGINT; returns 0 then. Raises for what keeps it from starting."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    key = PrivateKey(Home(settings.home).make_keeper_key())
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        store.publish_keeper_key(bytes(key.public_key))
        Keeper(settings, store, key).run(stopping)
    return 0


class Keeper:
    """Reads orders from `store`, and unseals with `key` what is in them."""

    def __init__(self, settings: Settings, store: Store, key: PrivateKey) -> None:
        self._settings, self._store, self._box = settings, store, SealedBox(key)
        self._trouble = ""

    def run(self, stopping: threading.Event) -> None:
        """Carry out orders until `stopping` is set; a broker or database that is away is waited for."""
        while not stopping.is_set():
            with self._waiting_out(stopping), closing(self._connect()) as control:
                control.open()
                log.info("connected to the broker %s", self._settings.broker)
                self._trouble = ""
                while not stopping.is_set():
                    control.give_sign(time.monotonic())
                    for order in self._store.read_orders():
                        self._carry_out(control, order)
                    stopping.wait(POLL_SECONDS)

    def _connect(self) -> Control:
        return Control(self._settings.broker, find_login(self._settings, "keeper"))

    @contextmanager
    def _waiting_out(self, stopping: threading.Event) -> Iterator[None]:
        try:
            yield
        except Unavailable as error:
            if str(error) != self._trouble:
                log.warning("%s; trying again", error)
            self._trouble = str(error)
            stopping.wait(RETRY_SECONDS)

    def _carry_out(self, control: Control, order: Order) -> None:
        try:
            errors = control.command(self._write_commands(order))
        except (Invalid, CryptoError) as error:
            errors = [str(error) or "the secret cannot be unsealed: it was sealed for another keeper"]
        said = "; ".join(errors)
        self._store.finish_order(order.id, said or None, utc_now())
        log.log(logging.ERROR if said else logging.INFO, "%s %s: %s", order.kind, order.host, said or "done")

    def _write_commands(self, order: Order) -> list[dict[str, Any]]:
        if order.kind == "forget":
            return write_removal(order.host)
        if order.kind != "enroll":
            return _revoke(order.host)
        return write_enrolment(order.host, self._box.decrypt(order.sealed or b"").decode())


def _revoke(host: str) -> list[dict[str, Any]]:
    # disabled, not deleted: this machine's own agent would be made again at the next start
    return [{"command": "disableClient", "username": host}]
