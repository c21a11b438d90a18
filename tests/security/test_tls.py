"""TLS with real processes: who proves himself is spoken to, and nobody else; and a renewal disturbs nobody."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from heimdall_home import HOST, Running, login_link, outside, running, running_with_tls
from waiting import free_port, wait_until

from broker import certificates
from broker.handshake import ask, prove_closed
from core.home import Home
from core.settings import BrokerAddress
from core.tls import fingerprint, trust, trust_nobody_in_particular
from core.token import Token, read_token, write_token

pytestmark = pytest.mark.mosquitto
BIND = "0.0.0.0"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    """Listening everywhere, with an authority of its own."""
    with running_with_tls() as started:
        yield started


@contextlib.contextmanager
def agent(folder: Path, *words: str, **more: str) -> Iterator[Path]:
    """An agent at work; what it says goes to the file that this gives."""
    folder.mkdir(exist_ok=True)
    said = folder / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "heimdall", "agent", "--interval", "1", *words],
            env={**outside(), "HEIMDALL_HOME": str(folder / "home"), **more}, stdin=subprocess.DEVNULL, stderr=output,
        )  # fmt: skip
    try:
        yield said
    finally:
        process.kill()
        process.wait()


def only_enrol(folder: Path, host: str, token: str) -> tuple[int, str]:
    """Exit code and words of an agent that enrols and ends."""
    ended = subprocess.run(
        [sys.executable, "-m", "heimdall", "agent", "--host", host, "--enroll", "-", "--only-enroll"],
        env={**outside(), "HEIMDALL_HOME": str(folder)}, input=token, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return ended.returncode, ended.stderr


def check(folder: Path, *words: str) -> tuple[int, dict[str, str]]:
    """Exit code of `heimdall agent --check` as a firewall's agent, which reads no log, and its levels."""
    ended = subprocess.run(
        [sys.executable, "-m", "heimdall", "agent", "--check", "--json", "--kind", "firewall", *words],
        env={**outside(), "HEIMDALL_HOME": str(folder)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ended.returncode, {found["about"]: found["level"] for found in json.loads(ended.stdout)["findings"]}


def serial(port: int) -> int:
    """The number of the certificate that the server on `port` shows."""
    plain = socket.create_connection(("127.0.0.1", port), 10)
    with trust_nobody_in_particular().wrap_socket(plain) as connection:
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_a_host_that_checks_itself_is_told_whether_it_is_let_in(up: Running, tmp_path: Path) -> None:
    listen = ("--listen", f"127.0.0.1:{free_port()}")
    assert only_enrol(tmp_path, "tls-08", up.make_token("tls-08"))[0] == 0
    code, levels = check(tmp_path, *listen)
    assert (code, levels.pop("agent")) == (0, "warn")
    assert set(levels.values()) == {"ok"}
    assert {"enrolment", "secrets", "broker", "login", "clock", "disk"} <= set(levels)

    assert up.run("revoke", "tls-08").returncode == 0
    code, levels = check(tmp_path, *listen)
    assert (code, levels["broker"], levels["login"]) == (1, "ok", "fail")
    code, levels = check(up.home.path, *listen)
    assert (code, set(levels.values())) == (0, {"ok"}), "the agent of the server's own machine"


def test_a_host_enrols_and_speaks_over_tls(up: Running, tmp_path: Path) -> None:
    token = up.make_token("tls-01")
    assert read_token(token).url == f"https://127.0.0.1:{up.http_port}"
    with agent(tmp_path, "--host", "tls-01", HEIMDALL_ENROLL_TOKEN=token):
        wait_until(lambda: up.host("tls-01"), "the enrolled host is alive")
    home = Home(tmp_path / "home")
    assert home.read_server()["broker"] == f"mqtts://127.0.0.1:{up.mqtts_port}"
    assert home.trusted.read_text() == (up.home.tls / "ca.pem").read_text()


def test_the_printed_command_takes_no_other_file_than_ours(up: Running, tmp_path: Path) -> None:
    printed = up.run("enroll", "tls-03").stdout.strip()
    fetch = printed.partition(" && ")[0]
    assert subprocess.run(["sh", "-c", fetch], cwd=tmp_path, timeout=60, check=False).returncode == 0
    assert (tmp_path / "heimdall-agent.pyz").read_bytes() == httpx.get(f"{up.url}/agent.pyz", verify=up.trust).content
    (tmp_path / "heimdall-agent.pyz").unlink()
    false = Home(tmp_path / "false")
    certificates.init(false, ["127.0.0.1"])
    with tls_server(false) as (port, _):  # whatever it is asked for, its answer is something else
        moved = fetch.replace(f":{up.http_port}", f":{port}")
        ended = subprocess.run(["sh", "-c", moved], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, b"not the agent of this server" in ended.stderr) == (1, True)
    assert not (tmp_path / "heimdall-agent.pyz").exists()


def test_an_agent_over_http_verifies_the_server_too(up: Running, tmp_path: Path) -> None:
    environment = {"SIEM_API_URL": up.url, "SIEM_API_KEY": up.key}
    with agent(tmp_path, "--host", "tls-02", **environment) as said:
        wait_until(lambda: "certificate verify failed" in said.read_text(), "it says that the server proves nothing")
        assert up.host("tls-02") is None
        Home(tmp_path / "home").trusted.write_text((up.home.tls / "ca.pem").read_text())
        wait_until(lambda: up.host("tls-02"), "it speaks to the server that it trusts")


@pytest.mark.parametrize("what", ["another authority", "another name", "an ended certificate"])
def test_an_agent_does_not_speak_to_a_broker_that_proves_itself_by(what: str, up: Running, tmp_path: Path) -> None:
    host = what.replace(" ", "-")
    assert only_enrol(tmp_path / "home", host, up.make_token(host))[0] == 0
    home, false = Home(tmp_path / "home"), Home(tmp_path / "false")
    certificates.init(false, ["db.example" if what == "another name" else "127.0.0.1"])
    if what != "another authority":
        home.trusted.write_text((false.tls / "ca.pem").read_text())
    end_certificate(false, ended=what == "an ended certificate", loopback=what != "another name")
    with tls_server(false) as (port, heard):
        home.write_server({**home.read_server(), "broker": f"mqtts://127.0.0.1:{port}"})
        with agent(tmp_path) as said:
            wait_until(lambda: "certificate verify failed" in said.read_text(), "the agent says what is wrong")
        assert heard == []


def end_certificate(home: Home, ended: bool, loopback: bool) -> None:
    """Write the server's certificate again, ended or without the names that every one has."""
    with pytest.MonkeyPatch.context() as patch:
        if ended:
            patch.setattr(certificates, "SERVER_DAYS", -0.5)
        if not loopback:
            patch.setattr(certificates, "LOOPBACK", ())
        certificates.renew(home, [(home.tls / "name").read_text().strip()])


@contextlib.contextmanager
def tls_server(home: Home) -> Iterator[tuple[int, list[bytes]]]:
    """A server with the certificate of `home`: its port, and what anybody said to it behind the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.tls / "server.pem")
    heard: list[bytes] = []
    ready = (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s", home.tls / "ca.pem")

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
                said = connection.recv(65_536)
                if said and not said.startswith(b"GET /ca.pem "):
                    heard.append(said)
                authority = ready[1].read_bytes()
                connection.sendall(ready[0] % (len(authority), authority))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield int(listener.getsockname()[1]), heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_whoever_stands_in_between_hears_neither_token_nor_secret(up: Running, tmp_path: Path) -> None:
    false = Home(tmp_path / "false")
    certificates.init(false, ["127.0.0.1"])
    token = read_token(up.make_token("tls-04"))
    with tls_server(false) as (port, heard):
        moved = write_token(token._replace(url=f"https://127.0.0.1:{port}"))
        code, said = only_enrol(tmp_path / "home", "tls-04", moved)
    assert (code, "not the server that the token means" in said) == (2, True)
    assert heard == []
    # the true authority shown by somebody who has not its key
    (false.tls / "ca.pem").write_text((up.home.tls / "ca.pem").read_text())
    with tls_server(false) as (port, heard):
        moved = write_token(token._replace(url=f"https://127.0.0.1:{port}"))
        code, said = only_enrol(tmp_path / "home", "tls-04", moved)
    assert (code, "cannot prove that it is the server" in said) == (2, True)
    assert heard == []


def test_a_token_without_an_authority_needs_a_server_that_every_machine_trusts(up: Running, tmp_path: Path) -> None:
    token = read_token(up.make_token("tls-05"))
    code, said = only_enrol(tmp_path, "tls-05", write_token(Token(token.url, token.secret)))
    assert (code, "cannot prove that it is the server" in said) == (2, True)


def test_strangers_are_refused_over_tls_as_well(up: Running) -> None:
    prove_closed(BrokerAddress("mqtts", "127.0.0.1", up.mqtts_port))


@pytest.mark.parametrize("name", ["http_port", "mqtts_port"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_of_tls_are_refused(up: Running, name: str, version: ssl.TLSVersion) -> None:
    context = trust_nobody_in_particular()
    context.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the server who refuses
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", getattr(up, name)), 10) as plain, pytest.raises(OSError, match="SSL"):
        context.wrap_socket(plain)


def test_plain_text_is_not_answered_on_a_port_with_tls(up: Running) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{up.http_port}/livez")
    assert ask(BrokerAddress("mqtt", "127.0.0.1", up.mqtts_port), "x", up.credential("ops"), 5) is None
    assert up.answers()


def test_without_tls_the_broker_is_there_for_this_machine_alone(up: Running) -> None:
    def listens(address: str, port: int) -> bool:
        with socket.socket() as probe:
            probe.settimeout(5)
            return probe.connect_ex((address, port)) == 0

    # 127.0.0.2 stands for another address of this machine: who listens everywhere answers there
    assert listens("127.0.0.2", up.mqtts_port)
    assert not listens("127.0.0.2", up.mqtt_port)


def test_beyond_loopback_without_tls_nothing_starts_unless_it_is_said(tmp_path: Path) -> None:
    with running("mosquitto", start=False) as open_one:
        refused = open_one.run("up", "--bind", BIND)
        assert (refused.returncode, "heimdall tls init" in refused.stderr) == (2, True)
        assert "--insecure" in refused.stderr
        process = subprocess.Popen(
            open_one.command("up", "--bind", BIND, "--insecure"),
            env=open_one.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(open_one.answers, "it has started all the same")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_a_renewal_is_taken_by_all_and_disturbs_nobody(up: Running, tmp_path: Path) -> None:
    with agent(tmp_path, "--host", "tls-06", HEIMDALL_ENROLL_TOKEN=up.make_token("tls-06")) as said:
        wait_until(lambda: up.host("tls-06"), "the enrolled host is alive")
        before = serial(up.mqtts_port)
        children = up.children()
        assert up.run("tls", "renew").returncode == 0
        wait_until(lambda: serial(up.mqtts_port) != before, "the broker shows the new certificate")
        wait_until(lambda: serial(up.http_port) == serial(up.mqtts_port), "the API shows it as well")
        seen = up.host("tls-06")["last_seen"]
        wait_until(lambda: up.host("tls-06")["last_seen"] > seen, "the host goes on")
        assert said.read_text().count("connected to") == 1
    assert up.children() == children
    prove_closed(BrokerAddress("mqtts", "127.0.0.1", up.mqtts_port))
    # who was enrolled since the broker's start is still known to it
    with agent(tmp_path):
        seen = up.host("tls-06")["last_seen"]
        wait_until(lambda: up.host("tls-06")["last_seen"] > seen, "the host comes back")


def test_a_certificate_that_ends_soon_is_renewed_at_the_start(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "SERVER_DAYS", certificates.RENEW_DAYS - 1)
        certificates.init(home, ["127.0.0.1"])
    before = certificates.read(home)
    made = certificates.renew_when_due(home)
    assert made is not None
    assert made.ends_at - before.ends_at > timedelta(days=50)
    assert certificates.renew_when_due(home) is None


def test_people_come_in_over_https_with_a_cookie_that_goes_nowhere_else(up: Running) -> None:
    link = login_link(up.printed())
    assert link.startswith(f"https://127.0.0.1:{up.http_port}/login?")
    answer = httpx.get(link, verify=trust(up.home.tls / "ca.pem"))
    cookie = answer.headers.get("set-cookie", "").lower()
    if not cookie:  # a link asks for a click before it is used up
        body = {"token": link.rpartition("=")[2]}
        answer = httpx.post(f"{up.url}/sessions", json=body, verify=up.trust)
        cookie = answer.headers["set-cookie"].lower()
    assert "; secure" in cookie
    assert "httponly" in cookie


def test_anybody_may_have_the_authority_and_it_is_the_one_of_the_token(up: Running) -> None:
    answer = httpx.get(f"{up.url}/ca.pem", verify=up.trust)
    assert (answer.status_code, "PRIVATE" in answer.text) == (200, False)
    assert fingerprint(answer.text) == read_token(up.make_token("tls-07")).authority


def test_no_key_is_readable_by_others(up: Running) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in up.home.tls.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o600, "name": 0o600, "server.pem": 0o600}
    (up.home.tls / "server.pem").chmod(0o644)
    try:
        told = up.run("tls", "show")
    finally:
        (up.home.tls / "server.pem").chmod(0o600)
    assert (told.returncode, "chmod 600" in told.stderr) == (2, True)


def test_this_machines_own_agent_goes_on_without_tls_on_loopback(up: Running) -> None:
    assert up.host(HOST)["os_type"] == "LINUX"
