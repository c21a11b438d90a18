"""Mosquitto: where it and its dynamic-security plugin lie, and the configuration that it runs with."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Invalid
from core.messages import MAX_MESSAGE_BYTES

PLUGIN_NAMES = ("mosquitto_dynamic_security.so", "mosquitto_dynamic_security.dylib")

# Debian keeps it in /usr/sbin, which is seldom on a user's PATH
_BINARY_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/local/sbin")
_LIBRARY_FOLDERS = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/opt/homebrew/lib",
    "/opt/local/lib",
)

# topic (at most 300 bytes) and properties beside the payload
PACKET_BYTES = MAX_MESSAGE_BYTES + 16_384


@dataclass(frozen=True)
class Listener:
    """Where it listens; an empty address is all. With `certificate` (key, certificate and chain in one file) by TLS."""

    address: str
    port: int
    certificate: Path | None = None


def find_binary() -> Path | None:
    """Mosquitto's program, on the PATH or where packages put it; `None` when there is none."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_BINARY_FOLDERS))
    return Path(found) if found else None


def find_plugin(binary: Path) -> Path | None:
    """The dynamic-security plugin that belongs to `binary`; `None` when there is none."""
    for folder in _plugin_folders(binary):
        for name in PLUGIN_NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def _plugin_folders(binary: Path) -> Iterator[Path]:
    # the binary's own installation first: a package manager's plugin may be of another version
    for program in dict.fromkeys((binary, binary.resolve())):
        yield program.parent
        for library in (program.parent.parent / "lib", program.parent.parent / "lib64"):
            yield from (library, library / "mosquitto", *sorted(library.glob("*-linux-*")))
    for library in map(Path, _LIBRARY_FOLDERS):
        yield from (library, library / "mosquitto", *sorted(library.glob("*-linux-*")))


def knows_option(binary: Path, option: str) -> bool:
    """Whether this Mosquitto knows the configuration's `option`, which is a word in its program file."""
    return option.encode() in binary.read_bytes()


def write_configuration(
    plugin: Path,
    identities: Path,
    listeners: Sequence[Listener],
    data: Path | None,
    mqtt5_only: bool = False,
    as_root: bool = False,
) -> str:
    """The text of `mosquitto.conf`.

    `data` is the folder of the store, `None` keeps nothing; `mqtt5_only` refuses older clients (Mosquitto 2.1 or
    newer); `as_root` stays root when started as root. Raises `Invalid` for a path with a line break, which the
    file cannot hold.
    """
    lines = [
        "# Written by Heimdall at each start: changes here are lost.",
        *(line for listener in listeners for line in _listen(listener, mqtt5_only)),
        "allow_anonymous false",
        f"plugin {plugin}",
        f"plugin_opt_config_file {identities}",
        # without it a Mosquitto started as root becomes another user, who cannot read a home of mode 0700
        *(["user root"] if as_root else []),
        *_store(data),
        # as shipped it drops what exceeds 1,000 waiting messages, and says success
        "max_queued_messages 1000000",
        "max_inflight_messages 4000",
        "set_tcp_nodelay true",
        # told in CONNACK; message_size_limit instead answers with a PUBACK that MQTT 5 does not know
        f"max_packet_size {PACKET_BYTES}",
        "log_dest stderr",
        # the only place where it tells that a session was taken over
        "log_dest topic",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S%z",
    ]
    for line in lines:
        if re.search(r"[\r\n\0]", line):
            raise Invalid(f"{line!r:.200} has a line break: set HEIMDALL_HOME to a path without one")
    return "\n".join(lines) + "\n"


def _listen(listener: Listener, mqtt5_only: bool) -> Iterator[str]:
    yield f"listener {listener.port} {listener.address}".rstrip()
    if mqtt5_only:
        yield "accept_protocol_versions 5"
    if listener.certificate is not None:
        yield from (f"certfile {listener.certificate}", f"keyfile {listener.certificate}", "tls_version tlsv1.2")


def _store(data: Path | None) -> list[str]:
    if data is None:
        return ["persistence false"]
    return [
        "persistence true",
        f"persistence_location {data}/",
        # it saves the whole store each time: with a million waiting once a second was most of its work (decision 13)
        "autosave_interval 10",
        "persistent_client_expiration 14d",
    ]
