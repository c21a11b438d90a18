"""Scopes: what a key or a session may do. Each stands for itself and for the lesser ones."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import Invalid
from core.topics import check_host

# how each is written, and what it gives
GIVES: dict[str, tuple[str, ...]] = {
    "agent": ("agent",),
    "read": ("read",),
    "operate": ("operate", "read"),
    "admin": ("admin", "operate", "read"),
}


def parse_scopes(texts: Iterable[str]) -> tuple[frozenset[str], str | None]:
    """What scopes as a person writes them give, and the host that the key is bound to (`agent:web-01`).

    Raises `Invalid`, naming the one that does not fit.
    """
    given: set[str] = set()
    hosts: set[str | None] = set()
    for text in texts:
        scope, colon, host = text.partition(":")
        if scope not in GIVES or (colon and scope != "agent"):
            raise Invalid(f"scope {text!r:.80} is unknown: use agent:HOST, {', '.join(GIVES)}")
        given.update(GIVES[scope])
        if scope == "agent":
            hosts.add(check_host(host, f"the host of scope {text!r:.80}") if colon else None)
    if not given:
        raise Invalid(f"a key needs a scope: use agent:HOST, {', '.join(GIVES)}")
    if len(hosts) > 1:
        raise Invalid("a key speaks for one host, or for any: make one key a host")
    if None not in hosts and hosts and given != {"agent"}:
        raise Invalid("the key of one host's agent can have no scope beside it: make another key for that")
    return frozenset(given), next(iter(hosts), None)


def write_scopes(scopes: Iterable[str], host: str | None) -> list[str]:
    """The same as a person writes it: without what a greater scope gives anyway."""
    kept = set(scopes)
    lesser = {gift for scope in kept for gift in GIVES.get(scope, ()) if gift != scope}
    return [f"agent:{host}" if scope == "agent" and host else scope for scope in sorted(kept - lesser)]
