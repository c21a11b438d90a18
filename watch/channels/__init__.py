"""Channels of our own: a module each, which names its schemes and delivers; all others are apprise's."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

import msgspec


class Told(msgspec.Struct):
    """What a channel is to say. `id` is the same when it is said again; `made_at` is RFC 3339 in UTC.

    `kind` is opened, flapping, partly, resolved or test; `incident` is empty for what is about none.
    """

    url: str
    id: int
    channel: str
    kind: str
    title: str
    body: str
    incident: str
    made_at: str
    tone: str
    allow_private: bool = False


class Channel(Protocol):
    """A module of this package."""

    SCHEMES: tuple[str, ...]

    def deliver(self, told: Told) -> str:
        """Say it; what went wrong, or an empty text."""


def find_channel(url: str) -> Channel | None:
    """The channel of our own that `url` names by its scheme."""
    scheme = url.partition("://")[0].lower()
    for found in iter_modules(__path__):
        channel: Channel = import_module(f"{__name__}.{found.name}")
        if scheme in channel.SCHEMES:
            return channel
    return None
