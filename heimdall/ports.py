"""Ports: one that was asked for must be free; one that was not is the next free one, and is remembered."""

from __future__ import annotations

from dataclasses import replace

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


def choose_all(settings: Settings) -> Settings:
    """`settings` with ports that can be had. Raises `Conflict` and `Unavailable`."""
    asked = {
        "HEIMDALL_HTTP_PORT": (settings.http_port, settings.http_port_set, settings.bind),
        "HEIMDALL_MQTT_PORT": (settings.mqtt_port, settings.mqtt_port_set, settings.plain_bind),
        "HEIMDALL_MQTTS_PORT": (settings.mqtts_port, settings.mqtts_port_set, settings.bind),
    }
    needed = ["HEIMDALL_HTTP_PORT"]
    if not settings.broker_set:
        needed += ["HEIMDALL_MQTT_PORT", *(["HEIMDALL_MQTTS_PORT"] if settings.tls_name else [])]
    chosen: dict[str, int] = {}
    # those that were asked for first: the others make way for them
    for name in sorted(needed, key=lambda name: not asked[name][1]):
        port, asked_for, address = asked[name]
        if asked_for and port in chosen.values():
            raise Conflict(f"{name}={port} is {next(one for one in chosen if chosen[one] == port)} too: set another")
        chosen[name] = choose(name, address, port, asked_for, taken=tuple(chosen.values()))
    return replace(
        settings,
        http_port=chosen["HEIMDALL_HTTP_PORT"],
        mqtt_port=chosen.get("HEIMDALL_MQTT_PORT", settings.mqtt_port),
        mqtts_port=chosen.get("HEIMDALL_MQTTS_PORT", settings.mqtts_port),
    )


def remember(home: Home, settings: Settings) -> None:
    """Write address and ports in use to `$HEIMDALL_HOME/ports`, where commands of the same home find them."""
    kept = {
        "bind": settings.bind, "http": settings.http_port, "mqtt": settings.mqtt_port, "mqtts": settings.mqtts_port,
    }  # fmt: skip
    home.ports.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
