"""Settings: every variable that Heimdall reads, written once; `docs/settings.md` is made of this table."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, NamedTuple
from urllib.parse import unquote, urlsplit

from core.errors import Invalid
from core.topics import check_host


class Setting(NamedTuple):
    """One variable of the environment. `default` is what the documentation shows."""

    name: str
    default: str
    meaning: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "HEIMDALL_HOME",
        "~/.heimdall",
        "Folder (mode 0700) of the database `mini_siem.db`, the keys, the broker's files, the spools and the logs.",
    ),
    Setting(
        "HEIMDALL_DATABASE_URL",
        "sqlite:///$HEIMDALL_HOME/mini_siem.db",
        "Where events are kept: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`. "
        "A database of the earlier HTTP version is opened as it is.",
    ),
    Setting(
        "HEIMDALL_BROKER_URL",
        "mqtt://127.0.0.1:$HEIMDALL_MQTT_PORT",
        "The MQTT 5 broker: `mqtt://` or `mqtts://`, on agents `ws://` or `wss://` too. With it `up` starts no broker.",
    ),
    Setting(
        "HEIMDALL_ENROLL_TOKEN",
        "",
        "On an agent: the token that `heimdall enroll` has printed. It is used once.",
        secret=True,
    ),
    Setting(
        "HEIMDALL_BROKER_USER",
        "from $HEIMDALL_HOME/credentials",
        "User at the broker, instead of the file of the service's name.",
    ),
    Setting(
        "HEIMDALL_BROKER_PASSWORD",
        "from $HEIMDALL_HOME/credentials",
        "Password that belongs to HEIMDALL_BROKER_USER.",
        secret=True,
    ),
    Setting("HEIMDALL_BIND", "127.0.0.1", "Address that the API and the broker listen on."),
    Setting(
        "HEIMDALL_HTTP_PORT",
        "8010",
        "Port of the API and the page. Not set and taken: the next free one, written to `$HEIMDALL_HOME/ports`.",
    ),
    Setting("HEIMDALL_MQTT_PORT", "1883", "Port of the broker that Heimdall starts. Not set and taken: as above."),
    Setting(
        "HEIMDALL_MQTTS_PORT",
        "8883",
        "Its port with TLS, when `heimdall tls` has made or taken a certificate. Not set and taken: as above.",
    ),
    Setting("HEIMDALL_KEEP", "90d", "How long events are kept: a number and `d` (days), `w` (weeks) or `y` (years)."),
    Setting(
        "HEIMDALL_STATUS_PAGE",
        "off",
        "`on` publishes `/status` and `/badge.svg` of the API, which need no key: how many hosts are seen and what is "
        "wrong, in counts and general words, without any name or address.",
    ),
    Setting(
        "HEIMDALL_LOG",
        "text",
        "`json` writes what each process logs as one JSON object a line: `time`, `level`, `logger`, `message`, and "
        "`exception`. The same as the option `--log`.",
    ),
    Setting(
        "HEIMDALL_HOST",
        "this machine's host name",
        "Name under which the agent reports: 1 to 253 of `A-Z a-z 0-9 . _ -`.",
    ),
    Setting(
        "HEIMDALL_BACKUP_PASSPHRASE",
        "",
        "Passphrase that `heimdall backup` seals with and `heimdall restore` opens with; better in a file "
        "(`--passphrase-file`).",
        secret=True,
    ),
    Setting(
        "SIEM_API_KEY",
        "made at first start, in $HEIMDALL_HOME/api-key",
        "The API key that agents and curl send; for the API, the key that it accepts beside its own.",
        secret=True,
    ),
    Setting(
        "SIEM_API_URL",
        "",
        "On an agent that can only speak HTTP: the address of the API. Used when HEIMDALL_BROKER_URL is not set.",
    ),
)

LOGS = ("text", "json")
_SCHEMES = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_DAYS = {"d": 1, "w": 7, "y": 365}
_LONGEST_DAYS = 36_500


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is. `user` and `password` are empty unless the URL or the environment names them.

    Files that may exist: `authorities`, the certificates to trust there over TLS instead of this machine's own, and
    `certificate`, by which we prove ourselves there (its key, itself, its chain).
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str = ""
    password: str = ""
    authorities: Path | None = None
    certificate: Path | None = None

    @property
    def tls(self) -> bool:
        return self.scheme in ("mqtts", "wss")

    @property
    def proof(self) -> Path | None:
        """The file of our certificate, when we have one and speak TLS there."""
        return self.certificate if self.tls and self.certificate and self.certificate.exists() else None

    @property
    def websockets(self) -> bool:
        return self.scheme in ("ws", "wss")

    def __str__(self) -> str:
        return f"{self.scheme}://{in_url(self.host)}:{self.port}{self.path}"  # never the password


@dataclass(frozen=True)
class Settings:
    """All settings, checked. `*_set` tells a value that was asked for from a default.

    `tls_name` is the name that this server has a certificate for, empty without one; `seen_bind` is where the
    API listens as far as is known: by HEIMDALL_BIND, or as the last `up` did.
    """

    home: Path
    database_url: str
    broker: BrokerAddress
    broker_set: bool
    bind: str
    seen_bind: str
    http_port: int
    http_port_set: bool
    mqtt_port: int
    mqtt_port_set: bool
    mqtts_port: int
    mqtts_port_set: bool
    tls_name: str
    keep_days: int
    status_page: bool
    host: str
    api_key: str
    api_url: str
    enroll_token: str
    backup_passphrase: str

    @property
    def api_address(self) -> str:
        """Where people and hosts find the API: under the certificate's name, or as this machine sees it."""
        named = self.tls_name and not is_loopback(self.seen_bind)
        return f"{self._scheme}://{in_url(self.tls_name if named else _near(self.seen_bind))}:{self.http_port}"

    @property
    def near_address(self) -> str:
        """Where this machine's own processes find the API."""
        return f"{self._scheme}://{in_url(_near(self.seen_bind))}:{self.http_port}"

    @property
    def _scheme(self) -> str:
        return "https" if self.tls_name else "http"

    @property
    def plain_bind(self) -> str:
        """The address on which the broker takes connections without TLS: with a certificate loopback alone."""
        return _plain_bind(self.bind, self.tls_name)


def is_loopback(address: str) -> bool:
    """Whether `address`, an IP address, is this machine's own."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def in_url(host: str) -> str:
    """`host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _plain_bind(bind: str, tls_name: str) -> str:
    return bind if not tls_name or is_loopback(bind) else "127.0.0.1"


def _near(bind: str) -> str:
    """How this machine calls what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 -- compared, not bound


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings that `environment` (default: this process's) gives.

    Raises `Invalid`, naming variable and value.
    """
    env = os.environ if environment is None else environment

    def get(name: str, default: str = "") -> str:
        return env.get(name, "").strip() or default

    _checked("HEIMDALL_LOG", get("HEIMDALL_LOG"), get("HEIMDALL_LOG", LOGS[0]) in LOGS, f"use {' or '.join(LOGS)}")
    home = Path(get("HEIMDALL_HOME", "~/.heimdall")).expanduser().absolute()
    kept = _read_kept(home)
    mqtt_port = _port("HEIMDALL_MQTT_PORT", get("HEIMDALL_MQTT_PORT", kept.get("mqtt", "1883")))
    bind, tls_name = _bind(get("HEIMDALL_BIND", "127.0.0.1")), _tls_name(home)
    url = get("HEIMDALL_BROKER_URL", f"mqtt://{in_url(_near(_plain_bind(bind, tls_name)))}:{mqtt_port}")
    return Settings(
        home=home,
        database_url=_database(get("HEIMDALL_DATABASE_URL", f"sqlite:///{home / 'mini_siem.db'}")),
        broker=parse_broker(url, get("HEIMDALL_BROKER_USER"), get("HEIMDALL_BROKER_PASSWORD"), home),
        broker_set=bool(get("HEIMDALL_BROKER_URL")),
        bind=bind,
        seen_bind=_bind(get("HEIMDALL_BIND", kept.get("bind", "127.0.0.1"))),
        http_port=_port("HEIMDALL_HTTP_PORT", get("HEIMDALL_HTTP_PORT", kept.get("http", "8010"))),
        http_port_set=bool(get("HEIMDALL_HTTP_PORT")),
        mqtt_port=mqtt_port,
        mqtt_port_set=bool(get("HEIMDALL_MQTT_PORT")),
        mqtts_port=_port("HEIMDALL_MQTTS_PORT", get("HEIMDALL_MQTTS_PORT", kept.get("mqtts", "8883"))),
        mqtts_port_set=bool(get("HEIMDALL_MQTTS_PORT")),
        tls_name=tls_name,
        keep_days=parse_days("HEIMDALL_KEEP", get("HEIMDALL_KEEP", "90d")),
        status_page=_switch("HEIMDALL_STATUS_PAGE", get("HEIMDALL_STATUS_PAGE", "off")),
        host=_host(get("HEIMDALL_HOST")),
        api_key=_api_key(get("SIEM_API_KEY")),
        api_url=_api_url(get("SIEM_API_URL")),
        enroll_token=get("HEIMDALL_ENROLL_TOKEN"),
        backup_passphrase=get("HEIMDALL_BACKUP_PASSPHRASE"),
    )


def _tls_name(home: Path) -> str:
    """The name that `heimdall tls` has kept beside the server's certificate."""
    try:
        return (home / "tls" / "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _read_kept(home: Path) -> dict[str, str]:
    """Where the last `up` listened, from `$HEIMDALL_HOME/ports`: lines such as `http=8011`."""
    try:
        lines = (home / "ports").read_text().split()
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines) if value}


def _checked(name: str, value: str, fits: bool, hint: str) -> None:
    if not fits:
        raise Invalid(f"{name}={value!r:.100}: {hint}")


def _port(name: str, value: str) -> int:
    _checked(name, value, value.isascii() and value.isdigit() and 1 <= int(value) <= 65_535, "use a port, 1 to 65535")
    return int(value)


def _switch(name: str, value: str) -> bool:
    _checked(name, value, value in ("on", "off"), "use on or off")
    return value == "on"


def _bind(value: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, value)
        except (OSError, ValueError):
            continue
        return value
    raise Invalid(f"HEIMDALL_BIND={value!r:.100}: use an IPv4 or IPv6 address, such as 127.0.0.1 or ::1")


def _database(value: str) -> str:
    fits = value.startswith(("sqlite:///", "postgresql://", "postgres://")) and len(value) > len("sqlite:///")
    # the password must not be shown, so the value is not
    if not fits:
        raise Invalid("HEIMDALL_DATABASE_URL: use sqlite:///PATH or postgresql://USER@HOST/NAME")
    return "postgresql://" + value[len("postgres://") :] if value.startswith("postgres://") else value


def parse_broker(url: str, user: str, password: str, home: Path) -> BrokerAddress:
    """The broker at `url`, with the URL's user and password unless others are given. Raises `Invalid`.

    Files `ca.pem` and `client.pem` in `home` are what it may prove itself by over TLS, and we.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _SCHEMES or not parts.hostname or port == -1:
        raise Invalid("HEIMDALL_BROKER_URL: use mqtt://HOST:PORT, or mqtts, ws or wss")
    if password and not user:
        raise Invalid("HEIMDALL_BROKER_PASSWORD is set without HEIMDALL_BROKER_USER: set both or neither")
    return BrokerAddress(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _SCHEMES[parts.scheme],
        path=parts.path,
        user=user or unquote(parts.username or ""),
        password=password or unquote(parts.password or ""),
        authorities=home / "ca.pem",
        certificate=home / "client.pem",
    )


def parse_days(name: str, value: str) -> int:
    """Days that `value` tells, as in `90d`, `4w` or `1y` (365 days), 100 years at most. Raises `Invalid`."""
    found = re.fullmatch(r"([1-9]\d{0,4})([dwy])", value)
    if found is None:
        raise Invalid(f"{name}={value!r:.100}: use a number above 0 and d, w or y, such as 90d")
    days = int(found[1]) * _DAYS[found[2]]
    # what lies before the calendar cannot be compared with, and what lies behind it cannot be reached
    _checked(name, value, days <= _LONGEST_DAYS, "use at most 100y")
    return days


def _host(value: str) -> str:
    """The name asked for, checked; the machine's own is checked where it is used, for only agents need one."""
    return check_host(value, "HEIMDALL_HOST") if value else socket.gethostname()


def _api_key(value: str) -> str:
    printable = value.isascii() and value.isprintable() and " " not in value
    # the key itself must not be shown
    if value and not (printable and 8 <= len(value) <= 256):
        raise Invalid("SIEM_API_KEY: use 8 to 256 printable ASCII characters without spaces")
    return value


def _api_url(value: str) -> str:
    parts = urlsplit(value)
    _checked(
        "SIEM_API_URL", value, not value or (parts.scheme in ("http", "https") and bool(parts.hostname)),
        "use http://HOST:PORT or https://HOST:PORT",
    )  # fmt: skip
    return value.rstrip("/")
