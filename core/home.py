"""The home: where each file below `$HEIMDALL_HOME` lies, and how secrets in it are kept."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

from core.errors import Invalid, Unavailable
from core.settings import Settings

# who has a user at the broker beside the enrolled agents; `agent` is this machine's own
SERVICES = ("ingestor", "watch", "keeper", "api", "ops")


class Credential(NamedTuple):
    """A user of the broker. Its repr hides the password, for it may end in a log."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credential({self.user!r}, …)"


class Home:
    """Paths below one home folder. Nothing is made until `prepare` or a `write` is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.api_key = path / "api-key"
        self.ports = path / "ports"
        self.lock = path / "lock"
        self.broker = path / "broker"
        self.logs = path / "logs"
        self.agent_spool = path / "spool" / "agent.db"
        self.gateway_spool = path / "spool" / "gateway.db"
        self.server = path / "server"
        self.trusted = path / "ca.pem"
        self.tls = path / "tls"
        self.rules = path / "rules.toml"
        self.sigma = path / "sigma"
        self.agent_lock = path / "spool" / "agent.lock"
        self.back_by = path / "back-by"
        self.agent_standing = path / "spool" / "agent.standing"
        self.restoring = path / ".restoring"

    def prepare(self) -> None:
        """Make the home (mode 0700) with its folders.

        Raises `Unavailable` when it cannot be written, or holds a backup that is not whole yet.
        """
        if self.restoring.exists():
            raise Unavailable(
                f"HEIMDALL_HOME {self.path}: a backup is being restored there, or that was stopped before its end: "
                "wait, or run `heimdall restore` again"
            )
        try:
            for folder in (self.path, self.path / "credentials", self.path / "spool", self.broker, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.path / f".writable-{os.getpid()}"
            probe.touch(mode=0o600)
            probe.unlink()
        except OSError as error:
            raise Unavailable(
                f"HEIMDALL_HOME {self.path} cannot be written ({error.strerror}): "
                "give yourself the right to it, or set HEIMDALL_HOME to another folder"
            ) from error

    def credential_path(self, name: str) -> Path:
        """The file of the credential `name`, such as `ingestor` or `agent`."""
        return self.path / "credentials" / name

    def credential(self, name: str) -> Credential:
        """The broker's user and password kept under `name`.

        Raises `Unavailable` when there is none and `Invalid` when others may read the file.
        """
        path = self.credential_path(name)
        user, colon, password = read_secret(path).partition(":")
        if not (user and colon and password):
            raise Invalid(f"{path} must hold one line user:password")
        return Credential(user, password)

    def make_credential(self, name: str, user: str) -> Credential:
        """The credential `name`, made with a new password when it is absent or of another user."""
        path = self.credential_path(name)
        if path.exists():
            kept = self.credential(name)
            if kept.user == user:
                return kept
        made = Credential(user, secrets.token_urlsafe(32))
        write_secret(path, f"{made.user}:{made.password}\n")
        return made

    def make_api_key(self, wanted: str = "") -> str:
        """The key in `api-key`; when the file is absent it is made, with `wanted` or else a new key.

        Raises `Unavailable` when it cannot be written and `Invalid` when others may read it.
        """
        if not self.api_key.exists():
            try:
                write_secret(self.api_key, (wanted or secrets.token_urlsafe(32)) + "\n")
            except OSError as error:
                raise Unavailable(
                    f"{self.api_key} cannot be written ({error.strerror}): give yourself the right to it"
                ) from error
        return read_secret(self.api_key)

    def make_keeper_key(self) -> bytes:
        """The keeper's private key, 32 bytes; made when it is absent. Raises `Unavailable` and `Invalid`."""
        path = self.credential_path("keeper-key")
        if not path.exists():
            write_secret(path, secrets.token_hex(32) + "\n")
        try:
            return bytes.fromhex(read_secret(path))
        except ValueError as error:
            raise Invalid(
                f"{path} is damaged: move it away, and the next start of the keeper makes a new one"
            ) from error

    def read_authorities(self) -> str:
        """The certificates (PEM) by which this server proves itself, the one that signs first; empty without any."""
        try:
            return (self.tls / "ca.pem").read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def read_server(self) -> dict[str, str]:
        """Where this home is enrolled: `broker`, and `token`, a mark of the token; empty when it is not."""
        try:
            lines = self.server.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        return {name: value for name, equals, value in (line.partition("=") for line in lines) if equals}

    def write_server(self, values: dict[str, str]) -> None:
        """Keep where this home is enrolled, whole or not at all."""
        write_secret(self.server, "".join(f"{name}={value}\n" for name, value in values.items()))


def find_login(settings: Settings, name: str) -> Credential:
    """Who logs in at the broker as `name`: whom the settings say, else the credential that the home keeps.

    Raises `Unavailable` when there is none and `Invalid` when others may read the file.
    """
    broker = settings.broker
    return Credential(broker.user, broker.password) if broker.user else Home(settings.home).credential(name)


def write_secret(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600, whole or not at all (a rename)."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def sync_folder(folder: Path) -> None:
    """See to it that what was renamed in `folder` is so after a power failure too."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_secret(path: Path) -> str:
    """The text of a secret's file, without the newline at its end.

    Raises `Unavailable` when it cannot be read and `Invalid` when group or others may read it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise Invalid(f"{path} may be read by others (mode {mode:04o}): run chmod 600 {path}")
            return file.read().rstrip("\r\n")
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read ({error.strerror}): `heimdall up` or `heimdall setup` makes it"
        ) from error
