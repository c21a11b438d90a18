"""`[dead_man]` of `rules.toml`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from core.errors import Invalid
from watch.calls import read_address


class DeadManRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[dead_man]`: `url` is called with GET every so many seconds, by HTTP or HTTPS."""

    url: str
    every_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    allow_private: bool = False

    def __post_init__(self) -> None:
        """Raises `Invalid`, naming the key."""
        try:
            read_address(self.url)
        except Invalid as error:
            raise Invalid(f"url: {error}") from None
