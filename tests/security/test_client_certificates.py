"""Hosts that log in by a certificate instead of a secret, at a real Mosquitto with the listener of docs/tls.md."""

from __future__ import annotations

import queue
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from heimdall_home import outside
from plain_mosquitto import Broker
from waiting import free_port, wait_until

from core.clock import utc_now
from core.errors import Invalid
from core.home import Home, write_secret
from core.settings import BrokerAddress, parse_broker
from core.tls import make_context

pytestmark = pytest.mark.mosquitto

REFUSED = 0x87
HOSTS = "heimdall/v1/hosts"
_KEY = ec.generate_private_key(ec.SECP256R1())
_PLAIN = NoEncryption()
_DAY = timedelta(days=1)


def sign(name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey = _KEY) -> x509.Certificate:
    """A certificate for `name` by the company's authority, which is the one whose key is the signer's."""
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, "company"))
    builder = x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), utc_now() - _DAY, utc_now() + _DAY
    ).add_extension(x509.BasicConstraints(key is signer, None), True)
    if name == "localhost":
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(signer, hashes.SHA256())


AUTHORITY = sign("company", _KEY)


def make(
    name: str, signer: ec.EllipticCurvePrivateKey = _KEY, encryption: KeySerializationEncryption = _PLAIN
) -> tuple[str, x509.Certificate]:
    """A key and its certificate as one PEM, and the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign(name, key, signer)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return (private + certificate.public_bytes(Encoding.PEM)).decode(), certificate


def revoke(certificate: x509.Certificate) -> bytes:
    """The authority's list of the revoked, with `certificate` on it."""
    entry = x509.RevokedCertificateBuilder(certificate.serial_number, utc_now() - timedelta(hours=1)).build()
    builder = x509.CertificateRevocationListBuilder(AUTHORITY.subject, utc_now() - _DAY, utc_now() + _DAY, [], [entry])
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


class Site(NamedTuple):
    """The broker's port for hosts, a home that is revoked there, and what is published, by topic."""

    port: int
    revoked: str
    seen: queue.Queue[str]

    def address(self, home: Path, proof: str = "") -> BrokerAddress:
        """The broker as the agent of `home` knows it, which proves itself by `proof`."""
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "ca.pem").write_bytes(AUTHORITY.public_bytes(Encoding.PEM))
        if proof:
            write_secret(home / "client.pem", proof)
        return parse_broker(f"mqtts://localhost:{self.port}", "", "", home)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("broker"), free_port()
    text = (Path(__file__).parents[2] / "docs" / "tls.md").read_text()
    listener, rights = re.findall(r"```\n((?:per_listener_settings|pattern).*?)```", text, re.DOTALL)
    server, (revoked, certificate) = make("localhost")[0], make("web-09")
    for name, content in {"server.crt": server, "server.key": server, "hosts.acl": rights}.items():
        (folder / name).write_text(content)
    (folder / "hosts-ca.pem").write_bytes(AUTHORITY.public_bytes(Encoding.PEM))
    (folder / "hosts.crl").write_bytes(revoke(certificate))
    listener = listener.replace("/etc/mosquitto/heimdall", str(folder)).replace("listener 8884", f"listener {port}")
    broker = Broker(folder, listener)
    seen: queue.Queue[str] = queue.Queue()
    watcher = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    watcher.on_connect = lambda client, *_: client.subscribe("#")
    watcher.on_message = lambda _client, _data, message: seen.put(message.topic)
    try:
        broker.start()
        watcher.connect("127.0.0.1", broker.port)
        watcher.loop_start()
        yield Site(port, revoked, seen)
    finally:
        watcher.disconnect()
        watcher.loop_stop()
        broker.kill()


def publish(address: BrokerAddress, client_id: str, topic: str) -> int:
    """The broker's reason code for a message to `topic`, or for the connection when it takes none."""
    codes: queue.Queue[int] = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False)
    client.tls_set_context(make_context(address))
    client.on_connect = lambda *told: client.publish(topic, b"{}", 1) if told[3] == 0 else codes.put(told[3].value)
    client.on_publish = lambda *told: codes.put(told[3].value)
    client.connect(address.host, address.port)
    client.loop_start()
    try:
        return codes.get(timeout=10)
    finally:
        client.disconnect()
        client.loop_stop()


def test_an_agent_with_a_certificate_needs_no_secret(site: Site, tmp_path: Path) -> None:
    home = tmp_path / "home"
    address = site.address(home, make("web-01")[0])
    environment = {**outside(), "HEIMDALL_HOME": str(home), "HEIMDALL_BROKER_URL": str(address)}
    log = tmp_path / "log"
    words = ("agent", "--kind", "linux", "--host", "web-01")
    with (
        log.open("wb") as said,
        subprocess.Popen([sys.executable, "-m", "heimdall", *words], env=environment, stderr=said) as process,
    ):
        try:
            topics = {site.seen.get(timeout=60) for _ in range(3)}
        finally:
            process.terminate()
    assert topics == {f"{HOSTS}/web-01/{kind}" for kind in ("status", "info", "heartbeat")}
    assert not Home(home).credential_path("agent").exists()


def test_a_certificate_gives_the_rights_of_its_host_and_no_other(site: Site, tmp_path: Path) -> None:
    address = site.address(tmp_path / "home", make("web-02")[0])
    for kind in ("events", "heartbeat", "status", "info"):
        assert publish(address, "web-02", f"{HOSTS}/web-02/{kind}") < 0x80
        assert publish(address, "web-02", f"{HOSTS}/db-01/{kind}") == REFUSED
    for topic in (f"{HOSTS}/web-02/receipt", f"{HOSTS}/web-02/verdict", "heimdall/v1/dead", "$SYS/broker/x"):
        assert publish(address, "web-02", topic) == REFUSED


def test_nobody_takes_over_a_session_by_its_client_id(site: Site, tmp_path: Path) -> None:
    ends: queue.Queue[int] = queue.Queue()
    true = site.address(tmp_path / "true", make("web-03")[0])
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "web-03", protocol=paho.MQTTv5, reconnect_on_failure=False)
    client.tls_set_context(make_context(true))
    client.on_disconnect = lambda *told: ends.put(told[3].value)
    client.connect(true.host, true.port)
    client.loop_start()
    wait_until(client.is_connected, "the true host is connected")
    false = site.address(tmp_path / "false", make("web-04")[0])
    assert publish(false, "web-03", f"{HOSTS}/web-04/events") < 0x80
    assert (client.is_connected(), ends.empty()) == (True, True)
    assert publish(true, "web-03", f"{HOSTS}/web-03/events") < 0x80  # its own certificate does
    assert ends.get(timeout=10) >= 0x80
    client.loop_stop()


def test_who_has_no_certificate_of_this_authority_is_not_heard(site: Site, tmp_path: Path) -> None:
    stranger = make("web-05", ec.generate_private_key(ec.SECP256R1()))[0]
    for name, proof in (("none", ""), ("stranger", stranger), ("revoked", site.revoked)):
        address = site.address(tmp_path / name, proof)
        with pytest.raises((ssl.SSLError, OSError, queue.Empty)):
            publish(address, "web-05", f"{HOSTS}/web-05/events")


@pytest.mark.parametrize("damage", ["not PEM", "encrypted", "another's key", "readable"])
def test_a_certificate_that_cannot_be_used_is_said(damage: str, site: Site, tmp_path: Path) -> None:
    text, other = make("web-06")[0], make("web-06")[0]
    broken = {
        "not PEM": "nothing",
        "encrypted": make("web-06", encryption=BestAvailableEncryption(b"a passphrase"))[0],
        "another's key": other.split("-----BEGIN CERTIFICATE")[0] + text[text.index("-----BEGIN CERTIFICATE") :],
        "readable": text,
    }[damage]
    address = site.address(tmp_path / "home", broken)
    if damage == "readable":
        (tmp_path / "home" / "client.pem").chmod(0o644)
    with pytest.raises(Invalid, match=r"client\.pem"):
        make_context(address)
