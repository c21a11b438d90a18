"""Commands to Mosquitto's dynamic-security plugin, over MQTT: one message with many, and one answer."""

from __future__ import annotations

import json
import queue
import secrets
from contextlib import suppress
from typing import Any
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from broker import rights
from broker.rights import CONTROL
from core.clock import utc_now
from core.errors import Unavailable
from core.home import Credential
from core.messages import SIGN_OF_LIFE_SECONDS, Reason, ServiceStatus, State, encode
from core.settings import BrokerAddress
from core.tls import make_context
from core.topics import service_topic

ANSWER_SECONDS = 10.0  # a file of thousands of identities is written anew for each command
INSTANCE = "1"


def write_enrolment(host: str, secret: str) -> list[dict[str, Any]]:
    """The commands that let `host` in with `secret`.

    What there is under the name is deleted, then made anew: so the same again ends in the same.
    """
    role = rights.agent_role(host)
    acls = [{"acltype": kind, "topic": topic, "allow": True} for kind, topic in rights.agent_rights(host)]
    return [
        *write_removal(host),
        {"command": "createRole", "rolename": role, "acls": acls},
        {
            "command": "createClient", "username": host, "clientid": host, "password": secret,
            "roles": [{"rolename": role}],
        },
    ]  # fmt: skip


def write_removal(host: str) -> list[dict[str, Any]]:
    """The commands that take all from `host`, which cuts it off; also when there is nothing."""
    return [
        {"command": "deleteClient", "username": host, "may_fail": True},
        {"command": "deleteRole", "rolename": rights.agent_role(host), "may_fail": True},
    ]


class Control:
    """A connection as `@keeper`. Every method raises `Unavailable` when the broker is away or does not answer."""

    def __init__(self, address: BrokerAddress, login: Credential) -> None:
        self._address, self._login = address, login
        self._session = str(uuid4())
        self._next_sign = 0.0
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, f"{login.user}-{INSTANCE}", protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )  # fmt: skip
        client.username_pw_set(*login)
        client.will_set(service_topic("keeper", INSTANCE), self._status("offline", "lost"), 1, retain=True)
        client.on_message = self._take
        client.on_subscribe = lambda *_: self._answers.put({"responses": []})
        client.on_disconnect = lambda *_: self._answers.put(None)
        if address.tls:
            client.tls_set_context(make_context(address))

    def _status(self, state: State, reason: Reason) -> bytes:
        return encode(ServiceStatus(state, self._session, utc_now(), reason))

    def open(self) -> None:
        """Connect, and subscribe to the answers."""
        try:
            self._client.connect(self._address.host, self._address.port, keepalive=10, clean_start=True)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the broker {self._address} cannot be reached: {error}") from error
        self._client.on_connect = lambda client, *_: client.subscribe(f"{CONTROL}/response", qos=1)
        self._client.loop_start()
        self._await("the subscription to its answers")

    def command(self, commands: list[dict[str, Any]]) -> list[str]:
        """Have `commands` carried out; what was wrong with those that may not fail (`may_fail`)."""
        number = secrets.token_hex(8)
        sent = [
            {**{key: value for key, value in one.items() if key != "may_fail"}, "correlationData": f"{number}-{place}"}
            for place, one in enumerate(commands)
        ]
        self._client.publish(CONTROL, json.dumps({"commands": sent}).encode(), 1)
        answered: dict[str, str | None] = {}
        while len(answered) < len(sent):
            for answer in self._await("a command").get("responses", []):
                correlation = str(answer.get("correlationData"))
                # an answer to one who went before, or that another keeper got
                if correlation.startswith(number):
                    answered[correlation] = answer.get("error")
        return [
            f"{one['command']}: {error}"
            for place, one in enumerate(commands)
            if (error := answered[f"{number}-{place}"]) and not one.get("may_fail")
        ]

    def _await(self, what: str) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty as error:
            raise Unavailable(f"the broker {self._address} does not answer {what}") from error
        if answer is None:
            raise Unavailable(f"the connection to the broker {self._address} ended (does it know {self._login.user}?)")
        return answer

    def _take(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            answer = json.loads(message.payload)
        except ValueError:
            return
        if isinstance(answer, dict):
            self._answers.put(answer)

    def give_sign(self, now: float) -> None:
        """A sign of life each 2 s; `now` is a monotonic clock's. Raises `Unavailable` when the connection has ended."""
        if not self._client.is_connected():
            raise Unavailable(f"the connection to the broker {self._address} ended")
        if now >= self._next_sign:
            self._next_sign = now + SIGN_OF_LIFE_SECONDS
            self._client.publish(service_topic("keeper", INSTANCE), self._status("online", "start"), 1, retain=True)

    def close(self) -> None:
        """Say goodbye, when there is somebody to say it to."""
        if self._client.is_connected():
            said = self._client.publish(service_topic("keeper", INSTANCE), self._status("offline", "stop"), 1, True)
            with suppress(RuntimeError, ValueError):  # the connection has ended meanwhile
                said.wait_for_publish(1)
            self._client.disconnect()
        self._client.loop_stop()
