"""Asking a broker whether it lets somebody in: one CONNECT and its CONNACK (MQTT 5, sections 3.1 and 3.2).

By hand, because a client library retries, reconnects and raises by its own rules, and here the answer
itself is wanted. It is for the brokers that Heimdall starts on this machine: over TLS any certificate will do.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from typing import BinaryIO

from core.errors import Unavailable
from core.home import Credential
from core.settings import BrokerAddress
from core.tls import trust_nobody_in_particular

_DISCONNECT = b"\xe0\x00"
_CLEAN_START, _PASSWORD, _USER = 0x02, 0x40, 0x80
_KEEP_ALIVE_SECONDS = 10


def wait_ready(
    address: BrokerAddress,
    credential: Credential,
    seconds: float = 10.0,
    lives: Callable[[], bool] = lambda: True,
) -> None:
    """Return as soon as the broker at `address` lets `credential` in; ask again for `seconds` at most.

    `lives` tells whether there is still a reason to wait, such as a process that runs.

    A service's credential is best: an agent's has one client id, and asking would end its running session.

    Raises `Unavailable` when nobody answers in time or it lives no more, or at once when the login is refused.
    """
    user = credential.user
    client_id = f"{user}-ready-{os.getpid()}" if user.startswith("@") else user
    deadline = time.monotonic() + seconds
    while True:
        problem = "it closed the connection"
        try:
            code = ask(address, client_id, credential, max(0.1, deadline - time.monotonic()))
        except OSError as error:
            code, problem = None, str(error)
        if code == 0:
            return
        if code is not None:
            raise Unavailable(
                f"the broker at {address} refuses the login of {user} (reason code 0x{code:02x}): "
                "perhaps another broker listens there; set HEIMDALL_MQTT_PORT to a free port"
            )
        if not lives():
            raise Unavailable(f"the broker for {address} has ended")
        if time.monotonic() >= deadline:
            raise Unavailable(f"no broker was ready at {address} within {seconds:g} s ({problem})")
        time.sleep(0.02)


def prove_closed(address: BrokerAddress, seconds: float = 5.0) -> None:
    """Return when the broker at `address` refuses strangers; each answer may take `seconds`.

    Strangers are a client without a login, an unknown user, and a service's user with a wrong password.

    Raises `Unavailable` when one of them is let in or the broker does not answer.
    """
    strangers = {
        "a client without a login": None,
        "an unknown user": Credential("stranger", secrets.token_urlsafe(16)),
        "a wrong password": Credential("@api", secrets.token_urlsafe(16)),
    }
    for name, credential in strangers.items():
        try:
            code = ask(address, f"stranger-{secrets.token_hex(4)}", credential, seconds)
        except OSError as error:
            raise Unavailable(f"the broker at {address} does not answer ({error})") from error
        if code == 0:
            raise Unavailable(f"the broker at {address} lets in {name}: it must not run like this")


def ask(address: BrokerAddress, client_id: str, credential: Credential | None, seconds: float) -> int | None:
    """The reason code with which the broker answers a CONNECT; `None` when it just closes the connection.

    0 is success. Raises `OSError` when it cannot be reached or stays silent.
    """
    with _open(address, seconds) as connection:
        try:
            connection.sendall(_connect(client_id, credential))
            with connection.makefile("rb") as stream:
                code = _read_connack(stream)
            if code == 0:
                connection.sendall(_DISCONNECT)
        except (ConnectionResetError, BrokenPipeError):
            return None
        return code


def _open(address: BrokerAddress, seconds: float) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), timeout=seconds)
    if not address.tls:
        return connection
    try:
        return trust_nobody_in_particular().wrap_socket(connection)
    except OSError:
        connection.close()
        raise


def _connect(client_id: str, credential: Credential | None) -> bytes:
    flags = _CLEAN_START | (_USER | _PASSWORD if credential else 0)
    body = _text("MQTT") + struct.pack(">BBHB", 5, flags, _KEEP_ALIVE_SECONDS, 0) + _text(client_id)
    if credential:
        body += _text(credential.user) + _text(credential.password)
    return b"\x10" + _variable_length(len(body)) + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _variable_length(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_connack(stream: BinaryIO) -> int | None:
    if stream.read(1) != b"\x20":
        return None
    while (length := stream.read(1)) and length[0] & 0x80:  # the remaining length; its value is not needed
        pass
    flags_and_code = stream.read(2)
    return flags_and_code[1] if len(flags_and_code) == 2 else None
