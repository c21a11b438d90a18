"""Answers about silences and maintenance, and the bodies that make them, for OpenAPI, as `answers` has the others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.answers import Answer, Success, Time, describe_body
from store.silences import LONGEST_REASON, MOST_PATTERNS


class SilenceAnswer(Answer):
    """From `from` until `until`, or before that `ended_at`, nothing new is told of hosts that fit `hosts`."""

    id: Annotated[str, Field(examples=["018f2b6e-7c4a-7d2e-9b1c-3f5a6b7c8d9e"])]
    hosts: Annotated[list[str], Field(description="Names, or patterns of them.", examples=[["web-*"]])]
    kinds: Annotated[list[str] | None, Field(description="Those of the alerts; null: all.", examples=[["crashed"]])]
    reason: Annotated[str, Field(examples=["a new switch"])]
    made_by: Annotated[str, Field(description="A key's or session's name; `local:` a command's.")]
    made_at: Time
    begins_at: Annotated[Time, Field(alias="from")]
    until: Time
    ended_at: Annotated[Time | None, Field(description="When somebody ended it before its time.")]


class SilencesAnswer(Answer):
    """The silences that are not over."""

    success: Success
    silences: list[SilenceAnswer]


class MadeSilenceAnswer(Answer):
    """A new silence."""

    success: Success
    silence: SilenceAnswer


class MaintenanceAnswer(Answer):
    """Maintenance that is not over."""

    success: Success
    maintenance: list[SilenceAnswer]


class MadeMaintenanceAnswer(Answer):
    """Maintenance that is announced now."""

    success: Success
    maintenance: SilenceAnswer


class EndedSilenceAnswer(Answer):
    """What is over now, or was before."""

    success: Success
    ended: SilenceAnswer


_HOSTS: dict[str, Any] = {
    "type": "array", "minItems": 1, "maxItems": MOST_PATTERNS,
    "items": {"type": "string", "pattern": "^[A-Za-z0-9._*?-]{1,253}$"},
    "description": "Names, or patterns with * and ?.",
}  # fmt: skip
_REASON: dict[str, Any] = {"type": ["string", "null"], "maxLength": LONGEST_REASON}
_AT: dict[str, Any] = {"type": "string", "format": "date-time", "description": "RFC 3339, any offset"}
SILENCE_BODY = describe_body(
    {
        "type": "object",
        "required": ["hosts", "for"],
        "additionalProperties": False,
        "properties": {
            "hosts": _HOSTS,
            "for": {
                "type": "string", "pattern": "^[1-9][0-9]{0,5}[mhd]$",
                "description": "Minutes, hours or days, such as 30m, 2h or 3d; 365d at most.",
            },
            "kinds": {
                "type": ["array", "null"], "minItems": 1, "maxItems": MOST_PATTERNS,
                "items": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"},
                "description": "Those of the alerts; all when absent.",
            },
            "reason": _REASON,
        },
    },
    {"hosts": ["web-*"], "for": "2h", "reason": "a new switch"},
)  # fmt: skip
MAINTENANCE_BODY = describe_body(
    {
        "type": "object",
        "required": ["hosts", "from", "until"],
        "additionalProperties": False,
        "properties": {"hosts": _HOSTS, "from": _AT, "until": _AT, "reason": _REASON},
    },
    {"hosts": ["db-1"], "from": "2030-06-01T22:00:00Z", "until": "2030-06-02T00:00:00Z", "reason": "a new disk"},
)
