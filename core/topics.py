"""The topics, built and parsed: the only place where one is spelled.

| topic | published by | retained |
|---|---|---|
| `heimdall/v1/hosts/{host}/events` | agent | no |
| `heimdall/v1/hosts/{host}/heartbeat` | agent | no |
| `heimdall/v1/hosts/{host}/status` | agent, broker as its will | yes |
| `heimdall/v1/hosts/{host}/info` | agent | yes |
| `heimdall/v1/hosts/{host}/receipt` | ingestor | no |
| `heimdall/v1/hosts/{host}/verdict` | watch | yes |
| `heimdall/v1/hosts/{client id}/events`, `…/heartbeat` | ingestor, for its probes | no |
| `heimdall/v1/alerts/{id}` | watch | yes |
| `heimdall/v1/dead` | ingestor | no |
| `heimdall/v1/services/{name}/{instance}` | each service, broker as its will | yes |
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Iterable, NamedTuple

from core.errors import Invalid

ROOT = "heimdall/v1"
HOSTS = f"{ROOT}/hosts"
DEAD = f"{ROOT}/dead"
SERVICES = f"{ROOT}/services"
ALERTS = f"{ROOT}/alerts"
EVERYTHING = "heimdall/#"

EVENTS, HEARTBEAT, STATUS, INFO, RECEIPT, VERDICT = "events", "heartbeat", "status", "info", "receipt", "verdict"
# what an agent may publish about its own host
AGENT_KINDS = (EVENTS, HEARTBEAT, STATUS, INFO)

INGESTORS = "ingestors"  # name of the shared subscription's group (MQTT 5, section 4.8.2)

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_PATTERN = re.compile(r"[A-Za-z0-9._*?-]{1,253}")
_HOST_TOPIC = re.compile(rf"{HOSTS}/(?!\.{{1,2}}/)({_HOST.pattern})/([^/]*)")


_LONGEST = len(HOSTS) + 300  # in characters: a host's name has 253 at most, a kind some ten


class HostTopic(NamedTuple):
    """A topic of one host: `kind` is its last level."""

    host: str
    kind: str


def check_host(name: object, key: str = "source_host") -> str:
    """`name` when it can be a host's name in a topic, exactly as it came.

    Raises `Invalid`, naming `key`, when it does not fit `[A-Za-z0-9._-]{1,253}` or is `.` or `..`.
    """
    if isinstance(name, str) and _HOST.fullmatch(name) and name not in (".", ".."):
        return name
    raise Invalid(
        f"{key} {name!r:.80} cannot be a host name: use 1 to 253 of A-Z a-z 0-9 . _ - (and not . or ..), such as web-01"
    )


def check_pattern(pattern: object, key: str) -> str:
    """`pattern` when it can fit host names: a name, or one with `*` (any text) and `?` (one character).

    Raises `Invalid`, naming `key`.
    """
    if isinstance(pattern, str) and _PATTERN.fullmatch(pattern) and pattern not in (".", ".."):
        return pattern
    raise Invalid(
        f"{key} {pattern!r:.80} fits no host name: use 1 to 253 of A-Z a-z 0-9 . _ - and * or ?, such as web-*"
    )


def fits_pattern(host: str | None, pattern: str) -> bool:
    """Whether the name is one of those; what is about no single host is of `*` alone."""
    return pattern == "*" if host is None else fnmatchcase(host, pattern)


def fits_any(host: str | None, patterns: Iterable[str]) -> bool:
    """Whether the name is one of those of one of `patterns` (see `fits_pattern`)."""
    return any(fits_pattern(host, pattern) for pattern in patterns)


def host_topic(host: str, kind: str) -> str:
    """The topic of `host` for `kind`, one of the constants above. Raises `Invalid` for a bad name."""
    return f"{HOSTS}/{check_host(host)}/{kind}"


def every_host(kind: str) -> str:
    """The topic filter that matches `kind` of every host (MQTT 5, section 4.7)."""
    return f"{HOSTS}/+/{kind}"


def shared(topic_filter: str, group: str = INGESTORS) -> str:
    """`topic_filter` as a shared subscription of `group` (MQTT 5, section 4.8.2)."""
    return f"$share/{group}/{topic_filter}"


def service_topic(name: str, instance: str) -> str:
    """Where service `name` gives its sign of life; `instance` tells several of them apart."""
    return f"{SERVICES}/{name}/{instance}"


def alert_topic(alert_id: str) -> str:
    """Where the alert `alert_id` is retained while it is open."""
    return f"{ALERTS}/{alert_id}"


def probe_topic(client_id: str, kind: str) -> str:
    """Where an ingestor probes how long messages of `kind` wait: among them, under a name that no host can have."""
    return f"{HOSTS}/{client_id}/{kind}"


def is_probe(topic: str) -> bool:
    """Whether `topic` is some ingestor's for its probes."""
    return topic.startswith(f"{HOSTS}/@ingestor-")


def parse_host_topic(topic: str) -> HostTopic | None:
    """Host and kind of a topic below `hosts`; `None` for any other topic or a name that is none."""
    # what is longer is none of ours, and must not fill the memory of those that were seen
    return _parse_host_topic(topic) if len(topic) <= _LONGEST else None


@lru_cache(maxsize=65_536)
def _parse_host_topic(topic: str) -> HostTopic | None:
    found = _HOST_TOPIC.fullmatch(topic)
    return HostTopic(found[1], found[2]) if found else None


def parse_service_topic(topic: str) -> tuple[str, str] | None:
    """Name and instance of a service's topic; `None` for any other."""
    levels = topic.split("/")
    return (levels[3], levels[4]) if len(levels) == 5 and topic.startswith(SERVICES + "/") else None
