"""The agent over WebSockets, plain and with TLS, where a network lets nothing but HTTP's ports through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, Receiver, failed_logins
from plain_mosquitto import Broker
from waiting import free_port, wait_until

from broker import certificates
from core.home import Home

pytestmark = pytest.mark.mosquitto


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_an_agent_speaks_through_web_sockets(
    scheme: str, make_broker: Callable[[str], Broker], start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    port, home = free_port(), Home(tmp_path / "home")
    home.prepare()
    lines = ["per_listener_settings true", f"listener {port} 127.0.0.1", "protocol websockets", "allow_anonymous true"]
    if scheme == "wss":
        certificates.init(home, ["localhost"])
        server = home.tls / "server.pem"
        lines += [f"certfile {server}", f"keyfile {server}"]
        home.trusted.write_bytes((home.tls / "ca.pem").read_bytes())
    broker = make_broker("\n".join(lines))
    broker.start()
    receiver = Receiver(broker.port)
    log = tmp_path / "auth.log"
    log.touch()
    agent = start_agent(None, HEIMDALL_BROKER_URL=f"{scheme}://web-01:secret@localhost:{port}/mqtt")
    wait_until(lambda: receiver.of("heartbeat"), "a heartbeat comes through")
    wait_until(lambda: "first start" in agent.said(), "the agent reads the log")
    log.write_text(failed_logins(2_500))
    wait_until(lambda: len(receiver.ids()) == 2_500, "every event comes through")
    assert agent.end() == 0
    wait_until(lambda: receiver.bodies("status")[-1]["state"] == "offline", "it says goodbye")
    assert [status["reason"] for status in receiver.bodies("status")] == ["start", "stop"]
    receiver.close()
