"""Who may do what at the broker, as data: one role a service, one role an agent, all else denied.

The names are those of Mosquitto's dynamic-security plugin: `publishClientSend` lets a client publish,
`publishClientReceive` lets the broker deliver to it, `subscribeLiteral` grants one topic filter as it is
written and `subscribePattern` every filter that lies within it.
"""

from __future__ import annotations

from typing import NamedTuple

from core import topics
from core.errors import Invalid

SEND, RECEIVE = "publishClientSend", "publishClientReceive"
LITERAL, PATTERN = "subscribeLiteral", "subscribePattern"

CONTROL = "$CONTROL/dynamic-security/v1"

# what nobody is given by a role. Unsubscribing harms nobody but the one who does it.
DEFAULT_ACCESS = {
    "publishClientSend": False,
    "publishClientReceive": False,
    "subscribe": False,
    "unsubscribe": True,
}


class Right(NamedTuple):
    """One thing that a role allows; `kind` is one of the four above."""

    kind: str
    topic: str


def service_user(name: str) -> str:
    """The broker's user of service `name`: `@` cannot begin a host's name."""
    return f"@{name}"


def service_role(name: str) -> str:
    """The name of the role of service `name`."""
    return f"service:{name}"


def agent_role(host: str) -> str:
    """The name of the role of `host`'s agent."""
    return f"agent:{host}"


def agent_rights(host: str) -> list[Right]:
    """What the agent of `host` may do. Raises `Invalid` for a name that cannot be a host's."""
    receipt = topics.host_topic(host, topics.RECEIPT)
    return [
        *(Right(SEND, topics.host_topic(host, kind)) for kind in topics.AGENT_KINDS),
        Right(LITERAL, receipt),
        Right(RECEIVE, receipt),
    ]


def service_rights(name: str) -> list[Right]:
    """What service `name`, one of `core.home.SERVICES`, may do. Raises `Invalid` for another name."""
    makers = {"ingestor": _ingestor, "watch": _watch, "api": _api, "ops": _ops, "keeper": _keeper}
    if name not in makers:
        raise Invalid(f"service {name!r:.80} has no rights at the broker: use one of {', '.join(makers)}")
    return makers[name]()


def _ingestor() -> list[Right]:
    taken = [topics.every_host(kind) for kind in topics.AGENT_KINDS]
    return [
        # the plain filters are for a broker without shared subscriptions
        *(Right(LITERAL, topics.shared(topic)) for topic in taken),
        *(Right(LITERAL, topic) for topic in taken),
        *(Right(RECEIVE, topic) for topic in taken),
        Right(SEND, topics.every_host(topics.RECEIPT)),
        Right(SEND, topics.DEAD),
        Right(SEND, topics.service_topic("ingestor", "+")),
        # a retained message there can only be cleared by an empty one on the same topic
        Right(SEND, topics.every_host(topics.EVENTS)),
        Right(SEND, topics.every_host(topics.HEARTBEAT)),
    ]


def _watch() -> list[Right]:
    kinds = (topics.STATUS, topics.HEARTBEAT, topics.INFO, topics.VERDICT)
    read = [*map(topics.every_host, kinds), f"{topics.ALERTS}/+", f"{topics.SERVICES}/#", "$SYS/broker/#"]
    return [
        *_reading(*read),
        Right(SEND, topics.every_host(topics.VERDICT)),
        Right(SEND, topics.every_host(topics.EVENTS)),  # that a host is two is an event of the host's
        Right(SEND, f"{topics.ALERTS}/+"),
        Right(SEND, topics.service_topic("watch", "+")),
    ]


def _api() -> list[Right]:
    # it speaks for the agents that know HTTP alone, and clears what is retained of a host that is forgotten
    sent = (*topics.AGENT_KINDS, topics.VERDICT)
    return [
        *_reading(
            topics.every_host(topics.RECEIPT),
            topics.every_host(topics.VERDICT),
            f"{topics.ALERTS}/+",
            f"{topics.SERVICES}/#",
        ),
        *(Right(SEND, topics.every_host(kind)) for kind in sent),
        Right(SEND, topics.service_topic("api", "+")),
    ]


def _ops() -> list[Right]:
    return _reading(topics.EVERYTHING, "$SYS/#")


def _keeper() -> list[Right]:
    return [
        *_reading(f"{CONTROL}/response"),
        Right(SEND, CONTROL),
        Right(SEND, topics.service_topic("keeper", "+")),
    ]


def _reading(*filters: str) -> list[Right]:
    return [Right(kind, topic) for topic in filters for kind in (PATTERN, RECEIVE)]
