"""The embedded broker (iotcore): what runs where no Mosquitto is, on loopback alone.

It knows passwords but no rights, and forgets everything when it ends; the receipts keep the promise.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import signal
import threading
from collections.abc import Iterable
from pathlib import Path

from broker.handshake import prove_closed, wait_ready
from broker.mosquitto import PACKET_BYTES
from core.errors import Unavailable
from core.home import Credential
from core.settings import BrokerAddress

_log = logging.getLogger("heimdall.broker")


def is_installed() -> bool:
    """Whether the package is there: some platforms have no wheel of it."""
    return importlib.util.find_spec("iotcore") is not None


def write_configuration(address: BrokerAddress, logins: Iterable[Credential]) -> str:
    """The text of its TOML file, which holds the passwords plain: keep it with mode 0600."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [
        "# Written by Heimdall at each start: changes here are lost.",
        "id = 0",
        "[router]",
        "id = 0",
        "max_connections = 1000",
        "max_outgoing_packet_count = 20000",
        # smaller segments lose a backlog in silence
        "max_segment_size = 104857600",
        "max_segment_count = 10",
        "[v5.1]",
        'name = "v5-1"',
        f'listen = "{host}:{address.port}"',
        "next_connection_delay_ms = 1",
        "[v5.1.connections]",
        "connection_timeout_ms = 60000",
        f"max_payload_size = {PACKET_BYTES}",
        "max_inflight_count = 100",
        "[v5.1.connections.auth]",
        # a JSON string of ASCII is a TOML string
        *(f"{json.dumps(login.user)} = {json.dumps(login.password)}" for login in logins),
    ]
    return "\n".join(lines) + "\n"


def run_embedded(configuration: Path, address: BrokerAddress, login: Credential) -> int:
    """Run the broker in this process until SIGTERM or SIGINT; the exit code.

    1 when it does not start, does not let `login` in or lets a stranger in, which is proven at once.
    Call it in the main thread.
    """
    # it reports every packet as an error or a span, each through Python's logging: a third of its speed
    for name in ("rumqttd", "tracing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from iotcore.iotcore import IotCoreBroker  # noqa: PLC0415 -- absent where there is no wheel

    stop = threading.Event()
    exit_codes: list[int] = []

    def prove() -> None:
        try:
            wait_ready(address, login)
            prove_closed(address)
        except Unavailable as error:
            _log.error("%s", error)
            exit_codes.append(1)
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    IotCoreBroker(config_path=str(configuration)).start()
    threading.Thread(target=prove, name="proof", daemon=True).start()
    while not stop.wait(3600):
        pass
    return max(exit_codes, default=0)
