"""The launcher: chooses the broker, writes what it needs, proves that it is closed, and becomes it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from broker import embedded, mosquitto
from broker.handshake import prove_closed, wait_ready
from broker.identities import Identity, make_identities, write_identities
from core.errors import Invalid, Unavailable
from core.home import Home, write_secret
from core.listening import listen
from core.lock import hold
from core.process import allow_many_connections, end_with_parent
from core.settings import BrokerAddress, Settings, is_loopback

__all__ = ["Kind", "Plan", "choose", "prepare", "prove_closed", "run", "wait_ready"]

Kind = Literal["auto", "mosquitto", "embedded"]

_INSTALL = (
    "install it (Debian, Ubuntu: apt install mosquitto; Fedora: dnf install mosquitto; macOS: brew install mosquitto)"
)
_TRIAL_SECONDS = 5.0


@dataclass(frozen=True)
class Plan:
    """Which broker runs: Mosquitto with `binary` and `plugin`, or the embedded one when both are `None`."""

    binary: Path | None = None
    plugin: Path | None = None

    @property
    def embedded(self) -> bool:
        return self.binary is None

    def __str__(self) -> str:
        return "the embedded broker (iotcore)" if self.binary is None else f"Mosquitto ({self.binary})"


def choose(settings: Settings, wanted: Kind = "auto") -> Plan:
    """The broker to run: Mosquitto when it and its dynamic-security plugin are here, else the embedded one.

    Raises `Unavailable`, naming what to install, when what is wanted or needed is not here, and `Invalid`
    when the embedded broker would have to listen beyond loopback.
    """
    binary = mosquitto.find_binary() if wanted != "embedded" and sys.platform != "win32" else None
    plugin = mosquitto.find_plugin(binary) if binary else None
    if binary and plugin:
        return Plan(binary, plugin)
    if binary is None:
        lack = f"Mosquitto is not on this machine: {_INSTALL}"
    else:
        lack = f"{binary} has no {mosquitto.PLUGIN_NAMES[0]}, which Mosquitto 2.0 and newer bring: {_INSTALL}"
    if wanted == "mosquitto":
        raise Unavailable(f"{lack}, or choose --broker embedded")
    if not is_loopback(settings.bind):
        raise Invalid(
            f"HEIMDALL_BIND={settings.bind}: the embedded broker knows no rights and listens on loopback alone. "
            + (lack if wanted == "auto" else f"To listen there, {_INSTALL.replace('it', 'Mosquitto', 1)}")
        )
    if not embedded.is_installed():
        raise Unavailable(f"the embedded broker (iotcore) is not installed. Mosquitto is better: {_INSTALL}")
    return Plan()


def prepare(plan: Plan, settings: Settings, home: Home, host: str) -> list[Identity]:
    """Write what the broker needs below `home`: credentials, configuration, identities, the store's folder.

    `host` is this machine's name, its agent's user. What is there and still right stays, hosts that were
    enrolled too. Not while the broker of this home runs: it would write its own identities over ours.

    Raises `Invalid` for a damaged file or a bad `host`, and `Unavailable` when the home cannot be written.
    """
    home.prepare()
    try:
        identities = make_identities(home, host)
        if plan.binary is None or plan.plugin is None:
            logins = [identity.credential for identity in identities]
            write_secret(_toml(home), embedded.write_configuration(_address(settings), logins))
            return identities
        data = home.broker / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        write_identities(_dynsec(home), identities)
        write_secret(_configuration(home), _configure(plan.binary, plan.plugin, home, _listeners(settings, home), data))
    except OSError as error:
        raise Unavailable(f"{error.filename or home.broker} cannot be written ({error.strerror})") from error
    return identities


def run(settings: Settings, wanted: Kind = "auto", host: str = "") -> int:
    """Run the broker of `settings.home` in this process: the command `heimdall broker`.

    1. The home's broker is locked, so that no second one opens its store, also after the process has
       become Mosquitto.
    2. The ports must be free, and the files are written.
    3. A trial Mosquitto on another port, with the same plugin and identities and no store, must let us in
       and refuse strangers: Mosquitto runs on without a plugin that fails.
    4. This process becomes Mosquitto. The embedded broker runs in it instead, and is proven after its start.

    `host` is this machine's name (default: `settings.host`). Returns the embedded broker's exit code;
    raises `Invalid`, `Unavailable` or `Conflict` before anything runs.
    """
    os.umask(0o077)
    home = Home(settings.home)
    plan = choose(settings, wanted)
    home.prepare()
    hold(home.broker / "lock", f"the broker of HEIMDALL_HOME {home.path}", through_exec=True)
    check_ports(settings)
    identities = prepare(plan, settings, home, host or settings.host)
    login = next(identity.credential for identity in identities if identity.client_id is None)
    if plan.binary is None:
        return embedded.run_embedded(_toml(home), _address(settings), login)
    prove_configuration(plan, settings, home)
    allow_many_connections()
    sys.stdout.flush()
    sys.stderr.flush()
    return os.execv(plan.binary, ["mosquitto", "-c", str(_configuration(home))])  # noqa: S606 -- never returns


def check_ports(settings: Settings) -> None:
    """Raise `Conflict` when a port of the broker is taken, `Unavailable` when it cannot be had on this machine."""
    listen(settings.plain_bind, settings.mqtt_port, "HEIMDALL_MQTT_PORT").close()
    if settings.tls_name:
        listen(settings.bind, settings.mqtts_port, "HEIMDALL_MQTTS_PORT").close()


def prove_configuration(plan: Plan, settings: Settings, home: Home) -> None:
    """Prove with a trial Mosquitto that what `prepare` wrote for `home` lets its services in and nobody else.

    Raises `Unavailable` with what the trial said when it does not.
    """
    if plan.binary is None or plan.plugin is None:
        return
    addresses = [BrokerAddress("mqtt", "127.0.0.1", _free_port())]
    if settings.tls_name:
        addresses.append(BrokerAddress("mqtts", "127.0.0.1", _free_port()))
    listeners = [
        mosquitto.Listener(one.host, one.port, home.tls / "server.pem" if one.tls else None) for one in addresses
    ]
    configuration = home.broker / "trial.conf"
    write_secret(configuration, _configure(plan.binary, plan.plugin, home, listeners, None))
    with tempfile.TemporaryFile(dir=home.broker) as log:
        trial = subprocess.Popen(
            [plan.binary, "-c", configuration],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- no thread runs yet
        )
        try:
            for address in addresses:
                wait_ready(address, home.credential("ops"), _TRIAL_SECONDS, lambda: trial.poll() is None)
                prove_closed(address)
        except Unavailable as error:
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()[-3:]
            raise Unavailable(f"a trial of {plan} failed: {error}. It said: {' | '.join(said)}") from error
        finally:
            trial.kill()
            trial.wait()
            configuration.unlink(missing_ok=True)


def _listeners(settings: Settings, home: Home) -> list[mosquitto.Listener]:
    """With a certificate: for our own processes without TLS on loopback, for everybody else with it."""
    plain = mosquitto.Listener(settings.plain_bind, settings.mqtt_port)
    if not settings.tls_name:
        return [plain]
    return [plain, mosquitto.Listener(settings.bind, settings.mqtts_port, home.tls / "server.pem")]


def _configure(
    binary: Path, plugin: Path, home: Home, listeners: Sequence[mosquitto.Listener], data: Path | None
) -> str:
    return mosquitto.write_configuration(
        plugin,
        _dynsec(home),
        listeners,
        data,
        mqtt5_only=mosquitto.knows_option(binary, "accept_protocol_versions"),
        as_root=hasattr(os, "geteuid") and os.geteuid() == 0,
    )


def _configuration(home: Home) -> Path:
    return home.broker / "mosquitto.conf"


def _dynsec(home: Home) -> Path:
    return home.broker / "dynsec.json"


def _toml(home: Home) -> Path:
    return home.broker / "iotcore.toml"


def _address(settings: Settings) -> BrokerAddress:
    return BrokerAddress("mqtt", settings.plain_bind, settings.mqtt_port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
