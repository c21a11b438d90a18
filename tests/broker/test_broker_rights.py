"""Who may do what, asked of a real Mosquitto: the table of rights, and the attacks that it must stop."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from broker_process import HOST, Broker, Session, running

from broker import rights
from core.home import Credential
from core.messages import MAX_MESSAGE_BYTES

pytestmark = pytest.mark.mosquitto

REFUSED = 0x87  # not authorized (MQTT 5, section 2.4)
OTHER = Credential("db-01", "a-password-of-db-01")
H = "heimdall/v1/hosts"
S = "heimdall/v1/services"


def enroll(broker: Broker, agent: Credential) -> None:
    """What keeper does: a role of its own and a client bound to its name, while the broker runs."""
    keeper = broker.session("keeper")
    assert keeper.subscribe(f"{rights.CONTROL}/response") == 1
    role = rights.agent_role(agent.user)
    acls = [{"acltype": kind, "topic": topic, "allow": True} for kind, topic in rights.agent_rights(agent.user)]
    client = {"username": agent.user, "password": agent.password, "clientid": agent.user}
    commands = [
        {"command": "createRole", "rolename": role, "acls": acls},
        {"command": "createClient", **client, "roles": [{"rolename": role}]},
    ]
    assert keeper.publish(rights.CONTROL, json.dumps({"commands": commands}).encode()) < 0x80
    answers = json.loads(keeper.next().payload)["responses"]
    assert [answer.get("error") for answer in answers] == [None, None]
    keeper.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("rights"), "mosquitto") as started:
        enroll(started, OTHER)
        yield started


@pytest.fixture(scope="module")
def sessions(broker: Broker) -> Iterator[dict[str, Session]]:
    opened = {name: broker.session(name) for name in ("agent", "ingestor", "watch", "api", "ops", "keeper")}
    yield opened
    for session in opened.values():
        session.close()


PUBLISH = {
    "agent": (
        [f"{H}/{HOST}/{kind}" for kind in ("events", "heartbeat", "status", "info")],
        [f"{H}/{HOST}/receipt", f"{H}/{HOST}/verdict", f"{H}/{HOST}/events/x", f"{H}/WEB-01/events"]
        + [f"{H}/db-01/{kind}" for kind in ("events", "heartbeat", "status", "info", "receipt")]
        + ["heimdall/v1/dead", "heimdall/v1/alerts/1", f"{S}/ingestor/0", "x", "$SYS/x", rights.CONTROL],
    ),
    "ingestor": (
        [f"{H}/db-01/receipt", "heimdall/v1/dead", f"{S}/ingestor/0", f"{H}/db-01/events", f"{H}/db-01/heartbeat"],
        [f"{H}/db-01/{kind}" for kind in ("status", "info", "verdict")]
        + ["heimdall/v1/alerts/1", f"{S}/watch/0", rights.CONTROL, "x"],
    ),
    "watch": (
        # that a host is two is an event of the host's (decision 23)
        [f"{H}/db-01/verdict", f"{H}/db-01/events", "heimdall/v1/alerts/1", f"{S}/watch/0"],
        [f"{H}/db-01/{kind}" for kind in ("heartbeat", "status", "info", "receipt")]
        + ["heimdall/v1/dead", f"{S}/ingestor/0", rights.CONTROL],
    ),
    "api": (
        [f"{H}/db-01/{kind}" for kind in ("events", "heartbeat", "status", "info", "verdict")] + [f"{S}/api/0"],
        [f"{H}/db-01/receipt", "heimdall/v1/dead", "heimdall/v1/alerts/1", f"{S}/ingestor/0", rights.CONTROL],
    ),
    "ops": (
        [],
        [f"{H}/db-01/{kind}" for kind in ("events", "heartbeat", "status", "info", "receipt", "verdict")]
        + ["heimdall/v1/dead", "heimdall/v1/alerts/1", f"{S}/ops/0", rights.CONTROL, "x"],
    ),
    "keeper": ([f"{S}/keeper/0"], [f"{H}/db-01/events", f"{H}/db-01/receipt", "heimdall/v1/dead", f"{S}/api/0"]),
}

SUBSCRIBE = {
    "agent": (
        [f"{H}/{HOST}/receipt"],
        ["#", "+", "+/#", "heimdall/#", f"{H}/#", f"{H}/+/receipt", f"{H}/db-01/receipt", f"{H}/db-01/events"]
        + [f"{H}/{HOST}/{kind}" for kind in ("#", "+", "events")]
        + ["$SYS/#", "$SYS/broker/log/#", "$CONTROL/#"]
        + [f"$share/ingestors/{H}/+/events", f"$share/ingestors/{H}/{HOST}/events", f"$share/x/{H}/db-01/receipt"],
    ),
    "ingestor": (
        [f"$share/ingestors/{H}/+/{kind}" for kind in ("events", "heartbeat", "status", "info")]
        + [f"{H}/+/{kind}" for kind in ("events", "heartbeat", "status", "info")],
        ["#", "heimdall/#", f"{H}/+/receipt", f"{H}/#", "$SYS/#", "$CONTROL/#", "heimdall/v1/dead"],
    ),
    "watch": (
        [f"{H}/+/{kind}" for kind in ("status", "heartbeat", "info", "verdict")]
        + ["heimdall/v1/alerts/+", f"{S}/#", f"{S}/ingestor/+", "$SYS/broker/log/#"],
        ["#", "heimdall/#", f"{H}/+/events", f"{H}/+/receipt", f"$share/ingestors/{H}/+/heartbeat", "$CONTROL/#"],
    ),
    "api": (
        [f"{H}/+/receipt", f"{H}/+/verdict", f"{H}/db-01/receipt", "heimdall/v1/alerts/+", f"{S}/#"],
        ["#", "heimdall/#", f"{H}/+/events", f"{H}/#", f"$share/ingestors/{H}/+/events", "$SYS/#", "$CONTROL/#"],
    ),
    "ops": (
        ["heimdall/#", f"{H}/+/events", f"{H}/db-01/#", "heimdall/v1/dead", "$SYS/#", "$SYS/broker/uptime"],
        ["#", "$CONTROL/#", f"{rights.CONTROL}/response", f"$share/ingestors/{H}/+/events", "$share/x/heimdall/#"],
    ),
    "keeper": ([f"{rights.CONTROL}/response"], ["#", "heimdall/#", f"{H}/+/events", "$SYS/#"]),
}


def rows(table: dict[str, tuple[list[str], list[str]]]) -> list[tuple[str, str, bool]]:
    return [
        (who, topic, bool(1 - denied)) for who, lists in table.items() for denied in (0, 1) for topic in lists[denied]
    ]


@pytest.mark.parametrize(("who", "topic", "allowed"), rows(PUBLISH))
def test_a_publish_is_answered_by_the_table(sessions: dict[str, Session], who: str, topic: str, allowed: bool) -> None:
    code = sessions[who].publish(topic)
    assert code in (0x00, 0x10) if allowed else code == REFUSED


@pytest.mark.parametrize(("who", "topic", "allowed"), rows(SUBSCRIBE))
def test_a_subscription_is_answered_by_the_table(
    sessions: dict[str, Session], who: str, topic: str, allowed: bool
) -> None:
    code = sessions[who].subscribe(topic)
    assert code == 1 if allowed else code == REFUSED
    if allowed and topic.startswith("$share"):  # else it would take its part of what other tests publish
        assert sessions[who].unsubscribe(topic) == 0


def test_a_receipt_reaches_its_host_alone(broker: Broker) -> None:
    mine, other = broker.session("agent"), Session(broker.address, OTHER, OTHER.user)
    ingestor = broker.session("ingestor", client_id="@ingestor-receipts")
    mine.subscribe(f"{H}/{HOST}/receipt")
    other.subscribe(f"{H}/db-01/receipt")
    assert ingestor.publish(f"{H}/{HOST}/receipt", b"1") == 0
    assert ingestor.publish(f"{H}/db-01/receipt", b"2") == 0
    assert (mine.next().payload, other.next().payload) == (b"1", b"2")
    assert mine.received.empty() and other.received.empty()  # noqa: PT018
    for session in (mine, other, ingestor):
        session.close()


@pytest.mark.parametrize("client_id", ["@ingestor-0", "db-01", "WEB-01", "other", ""])
def test_an_agent_has_no_client_id_but_its_name(broker: Broker, client_id: str) -> None:
    ingestor = broker.session("ingestor", client_id="@ingestor-0", expiry_seconds=600)
    ingestor.subscribe(f"$share/ingestors/{H}/+/events")
    ingestor.drop()  # its queue goes on living
    api = broker.session("api", client_id="@api-queue")
    assert api.publish(f"{H}/db-01/events", b"kept") == 0

    thief = broker.session("agent", client_id=client_id)
    assert thief.code in (0x84, 0x85, REFUSED)

    again = broker.session("ingestor", client_id="@ingestor-0", clean=False)
    assert again.next().payload == b"kept"
    for session in (again, api):
        session.close()


@pytest.mark.parametrize(
    "credential",
    [
        None,
        Credential("web-01", "wrong"),
        Credential("@api", "wrong"),
        Credential("stranger", "x"),
        Credential("@api", ""),
    ],
)
def test_a_stranger_is_refused(broker: Broker, credential: Credential | None) -> None:
    assert Session(broker.address, credential, "web-01").code in (0x86, REFUSED)


def test_several_instances_of_a_service_are_there_at_once(broker: Broker) -> None:
    first, second = (broker.session("ingestor", client_id=f"@ingestor-{slot}") for slot in (1, 2))
    assert first.publish(f"{S}/ingestor/1") in (0x00, 0x10)
    assert second.publish(f"{S}/ingestor/2") in (0x00, 0x10)
    assert first.connected
    first.close()
    second.close()


def test_a_will_speaks_for_its_own_host_alone(broker: Broker) -> None:
    ops = broker.session("ops", client_id="@ops-wills")
    ops.subscribe("heimdall/#")
    own = f"{H}/{HOST}/status"
    for topic in (f"{H}/db-01/status", "heimdall/v1/dead", own):  # its own last: the others had time to come
        dying = broker.session("agent", will=(topic, b"gone"))
        if dying.code == 0:
            dying.drop()
    topics = []
    while own not in topics:
        message = ops.next()
        topics += [message.topic] if message.payload == b"gone" else []
    assert topics == [own]
    api = broker.session("api", client_id="@api-wills")
    assert api.publish(own, b"", retain=True) == 0
    for session in (ops, api):
        session.close()


def test_a_message_over_the_limit_is_refused_and_the_next_one_goes(broker: Broker) -> None:
    agent = broker.session("agent")
    assert agent.publish(f"{H}/{HOST}/events", b"x" * MAX_MESSAGE_BYTES) in (0x00, 0x10)
    refused = agent.publish(f"{H}/{HOST}/events", b"x" * agent.maximum_packet_size)
    # packet too large; the broker closes with the rest unread, and the reset may overtake its DISCONNECT
    assert refused in (0x100 + 0x95, 0x100 + 0x80)
    again = broker.session("agent")
    assert again.publish(f"{H}/{HOST}/events") in (0x00, 0x10)
    again.close()


def test_a_revoked_agent_is_cut_off(broker: Broker) -> None:
    revoked = Credential("gone-01", "a-password-of-gone-01")
    enroll(broker, revoked)
    agent = Session(broker.address, revoked, revoked.user)
    assert agent.code == 0
    keeper = broker.session("keeper", client_id="@keeper-revoke")
    command = {"commands": [{"command": "disableClient", "username": revoked.user}]}
    assert keeper.publish(rights.CONTROL, json.dumps(command).encode()) < 0x80
    assert agent.answer() >= 0x100  # disconnected
    assert Session(broker.address, revoked, revoked.user).code in (0x86, REFUSED)
    keeper.close()
