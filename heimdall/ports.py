"""Ports: one that was asked for must be free; one that was not is the next free one, and is remembered."""

from __future__ import annotations

from core.errors import Conflict
from core.home import Home
from core.listening import listen
from core.settings import Settings

TRIES = 100


def choose(setting: str, address: str, port: int, asked_for: bool, taken: tuple[int, ...] = ()) -> int:
    """`port`, or when it is in use and was not asked for, the next free one. Raises `Conflict` and `Unavailable`."""
    for candidate in range(port, min(port + TRIES, 65_536)):
        if candidate in taken:
            continue
        try:
            listen(address, candidate, setting).close()
        except Conflict:
            if asked_for:
                raise
        else:
            return candidate
    raise Conflict(f"no free port from {port} to {port + TRIES} on {address}: set {setting}")


def choose_both(settings: Settings) -> tuple[int, int]:
    """The API's port and the broker's. Raises `Conflict` and `Unavailable`."""
    kept_free = (settings.mqtt_port,) if settings.mqtt_port_set and not settings.http_port_set else ()
    http_port = choose("HEIMDALL_HTTP_PORT", settings.bind, settings.http_port, settings.http_port_set, taken=kept_free)
    if settings.broker_set:
        return http_port, settings.mqtt_port
    if settings.mqtt_port_set and settings.mqtt_port == http_port:
        raise Conflict(f"HEIMDALL_MQTT_PORT={http_port} is the API's port too: set another")
    mqtt_port = choose(
        "HEIMDALL_MQTT_PORT", settings.bind, settings.mqtt_port, settings.mqtt_port_set, taken=(http_port,)
    )
    return http_port, mqtt_port


def remember(home: Home, http_port: int, mqtt_port: int) -> None:
    """Write the ports in use to `$HEIMDALL_HOME/ports`, where commands of the same home find them."""
    home.ports.write_text(f"http={http_port}\nmqtt={mqtt_port}\n")
