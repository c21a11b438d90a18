"""The server's certificate: made by an authority of this home's own, or given; renewed before it ends.

`$HEIMDALL_HOME/tls` holds `server.pem` (private key, certificate, authority: one file, so that a renewal is one
rename), `name` (how hosts call this server), `ca.pem` (whom hosts shall trust) and, when the authority is our
own, `ca.key`. Without `name` there is no TLS.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.clock import utc_now
from core.errors import Conflict, Invalid, Unavailable
from core.home import Home, read_secret, write_secret
from core.lock import is_held

AUTHORITY_DAYS = 3_650
SERVER_DAYS = 90
RENEW_DAYS = 30  # so long before its end a certificate of our own is renewed
_AHEAD = timedelta(days=1)  # hosts' clocks may be so far behind ours
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificate:
    """What `server.pem` says: its names, when it ends (UTC), and whether this home's own authority made it."""

    names: tuple[str, ...]
    ends_at: datetime
    ours: bool

    @property
    def due(self) -> bool:
        return self.ends_at - utc_now() < timedelta(days=RENEW_DAYS)


def find_names() -> list[str]:
    """How other machines may call this one; first what they most likely can: a name with a domain, or an address."""
    name = socket.gethostname()
    full = socket.getfqdn(name)
    addresses = []
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # nothing is sent: connecting a datagram socket only chooses the route (addresses of RFC 5737 and 3849)
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            addresses.append(probe.getsockname()[0])
    found = [full, *addresses, name] if "." in full else [*addresses, name]
    return list(dict.fromkeys(one for one in found if "localhost" not in one and _is_name(one))) or ["localhost"]


def init(home: Home, names: Sequence[str]) -> Certificate:
    """Make an authority and a server's certificate for `names`; the first is how hosts shall call this server.

    Raises `Invalid` for a bad name, `Conflict` when there is a certificate already, and `Unavailable`.
    """
    for name in names:
        _check_name(name)
    if (home.tls / "name").exists():
        raise Conflict(f"{home.tls} holds a certificate already: `heimdall tls renew --name NAME` changes its names")
    _prepare(home)
    key = ec.generate_private_key(ec.SECP256R1())
    _write_authority(home, key, _sign_authority(key, names[0]))
    return _issue(home, names)


def renew(home: Home, names: Sequence[str] = ()) -> Certificate:
    """A new certificate of our own authority, for `names` or those of before. Raises `Unavailable` and `Invalid`."""
    kept = read(home)
    if not kept.ours:
        raise Invalid("this certificate was given, not made here: give a newer one with `heimdall tls use`")
    for name in names:
        _check_name(name)
    return _issue(home, names or [_main_name(home), *kept.names])


def renew_when_due(home: Home) -> Certificate | None:
    """The new certificate when one was due, else `None`. Raises `Unavailable` and `Invalid`."""
    if not (home.tls / "name").exists():
        return None
    kept = read(home)
    return renew(home) if kept.ours and kept.due else None


def rotate(home: Home) -> Certificate:
    """Begin or end the change to a new authority: hosts learn of it first, then it signs and the old one is gone.

    Raises `Unavailable` when there is no authority of our own, and `Invalid`.
    """
    if not read(home).ours:
        raise Invalid("this certificate was given, not made here: there is no authority of our own to change")
    if not rotation_began(home):
        key = ec.generate_private_key(ec.SECP256R1())
        before, _ = _read_authority(home, "ca.key")
        # the one that signs stands first: its fingerprint is the one in tokens
        write_secret(home.tls / "ca.pem", _text(before) + _text(_sign_authority(key, _main_name(home))))
        write_secret(home.tls / "ca-next.key", _private_text(key))
        return read(home)
    certificate = _issue(home, [_main_name(home), *read(home).names], "ca-next.key")
    write_secret(home.tls / "ca.pem", _text(_read_authority(home, "ca-next.key")[0]))
    os.replace(home.tls / "ca-next.key", home.tls / "ca.key")
    return certificate


def rotation_began(home: Home) -> datetime | None:
    """Since when (UTC) hosts learn of a new authority; `None` when none is under way."""
    try:
        return datetime.fromtimestamp((home.tls / "ca-next.key").stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def use(home: Home, certificate: Path, key: Path, authority: Path | None) -> Certificate:
    """Take a certificate (PEM, with its chain) from elsewhere. `authority`: whom hosts shall trust, if not the usual.

    Raises `Invalid` when the files do not fit together or it has ended, and `Unavailable` when they cannot be read.
    """
    chain_text, key_text = _read(certificate), _read(key)
    try:
        chain = x509.load_pem_x509_certificates(chain_text)
        private = load_pem_private_key(key_text, password=None)
    except (ValueError, TypeError) as error:
        raise Invalid(f"{certificate} or {key} is not PEM without a passphrase ({error})") from error
    if private.public_key() != chain[0].public_key():
        raise Invalid(f"{key} is not the key of the first certificate in {certificate}")
    if chain[0].not_valid_after_utc <= utc_now():
        raise Invalid(f"{certificate} has ended on {chain[0].not_valid_after_utc:%Y-%m-%d}")
    names = [name for name in _names_of(chain[0]) if "*" not in name]
    if not names:
        raise Invalid(f"{certificate} names no host (a subject alternative name without *)")
    _prepare(home)
    for name in ("ca.key", "ca-next.key", "ca.pem"):
        (home.tls / name).unlink(missing_ok=True)
    if authority is not None:
        text = _read(authority)
        x509.load_pem_x509_certificates(text)
        write_secret(home.tls / "ca.pem", text.decode())
    write_secret(home.tls / "server.pem", f"{key_text.decode().strip()}\n{chain_text.decode().strip()}\n")
    write_secret(home.tls / "name", names[0] + "\n")
    reload_broker(home)
    return read(home)


def read(home: Home) -> Certificate:
    """The certificate in use. Raises `Unavailable` when there is none and `Invalid` when it is damaged."""
    text = read_secret(home.tls / "server.pem")
    try:
        leaf = x509.load_pem_x509_certificates(text.encode())[0]
    except ValueError as error:
        raise Invalid(f"{home.tls / 'server.pem'} is damaged ({error})") from error
    return Certificate(tuple(_names_of(leaf)), leaf.not_valid_after_utc, (home.tls / "ca.key").exists())


def reload_broker(home: Home) -> None:
    """Let the home's Mosquitto read its certificate again, when it runs: it does at SIGHUP, and nothing ends."""
    lock = home.broker / "lock"
    if sys.platform == "win32" or not is_held(lock):
        return
    holder = lock.read_text().strip()
    if holder.isdigit():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(holder), signal.SIGHUP)


def _main_name(home: Home) -> str:
    # in a certificate names stand before addresses: the one that hosts are told is kept beside it
    return (home.tls / "name").read_text(encoding="utf-8").strip()


def _prepare(home: Home) -> None:
    home.prepare()
    home.tls.mkdir(mode=0o700, exist_ok=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror})") from error


def _is_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return len(name) <= 253 and all(
            0 < len(label) <= 63 and label.isascii() and label.replace("-", "").replace("_", "").isalnum()
            for label in name.split(".")
        )
    return True


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise Invalid(f"{name!r:.100} is neither a host name (ASCII; xn-- for others) nor an address")


def _names_of(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    ]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _begin(
    subject: str, issuer: x509.Name | None, days: int, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    # a common name has 64 characters at most (RFC 5280, appendix A); who verifies reads the alternative names
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _AHEAD)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign_authority(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _begin(f"Heimdall of {name}", None, AUTHORITY_DAYS, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _issue(home: Home, names: Sequence[str], signer_file: str = "ca.key") -> Certificate:
    """Sign a certificate with a key of its own, and put it in place."""
    authority, signer = _read_authority(home, signer_file)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    everything = list(dict.fromkeys([*names, *LOOPBACK]))
    leaf = (
        _begin(names[0], authority.subject, SERVER_DAYS, key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in everything]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    write_secret(home.tls / "server.pem", _private_text(key) + _text(leaf) + _text(authority))
    write_secret(home.tls / "name", names[0] + "\n")
    reload_broker(home)
    return read(home)


def _write_authority(home: Home, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    write_secret(home.tls / "ca.key", _private_text(key))
    write_secret(home.tls / "ca.pem", _text(certificate))


def _read_authority(home: Home, key_file: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        key = load_pem_private_key(read_secret(home.tls / key_file).encode(), password=None)
        for certificate in x509.load_pem_x509_certificates((home.tls / "ca.pem").read_bytes()):
            if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.public_key() == key.public_key():
                return certificate, key
    except (OSError, ValueError) as error:
        raise Unavailable(f"the authority in {home.tls} cannot be read ({error})") from error
    raise Unavailable(f"{home.tls / key_file} is not the key of a certificate in {home.tls / 'ca.pem'}")


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _private_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
