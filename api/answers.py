"""Answers: the shape of every answer, for OpenAPI. Routes write them directly; a test compares the two."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.problems import MEDIA_TYPE
from core.messages import EVENT_TYPES, OS_TYPES

Time = Annotated[
    str,
    Field(
        description="RFC 3339, UTC",
        examples=["2025-12-03T20:49:50.123456Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
Success = Annotated[bool, Field(description="Always true: failures are problems.", examples=[True])]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Recorded(Answer):
    """Something was recorded. `timestamp` is the server's clock."""

    success: Success
    message: Annotated[str, Field(examples=["Heartbeat recorded for web-01"])]
    timestamp: Time


class RejectedEntry(Answer):
    """An entry that does not fit: its place, from 0, and why."""

    index: Annotated[int, Field(examples=[1])]
    reason: Annotated[str, Field(examples=["severity 9 is not a whole number from 1 to 5"])]


class Ingested(Answer):
    """The events are safe on disk; what does not fit is in `rejected`."""

    success: Success
    message: Annotated[str, Field(examples=["Processed 3 events"])]
    events_processed: Annotated[int, Field(examples=[3])]
    rejected: Annotated[list[RejectedEntry], Field(examples=[[]])]


class EventAnswer(Answer):
    """An event as it is stored. `timestamp` says when it happened, `created_at` when it was stored."""

    event_id: Annotated[str, Field(examples=["018f2b6e-7c4a-7d2e-9b1c-3f5a6b7c8d9e"])]
    timestamp: Annotated[str, Field(examples=["2025-12-03T20:49:50.123456Z"])]
    source_host: Annotated[str, Field(examples=["web-01"])]
    os_type: Annotated[str, Field(examples=["LINUX"])]
    event_type: Annotated[str, Field(examples=["LOGIN_FAIL"])]
    severity: Annotated[int | None, Field(description="1 to 5", examples=[3])]
    source_ip: Annotated[str, Field(examples=["203.0.113.7"])]
    user: Annotated[str, Field(examples=["root"])]
    raw_message: Annotated[str, Field(examples=["Failed password for root from 203.0.113.7 port 50022 ssh2"])]
    created_at: Annotated[str, Field(examples=["2025-12-03T20:49:51.000000Z"])]


class EventsAnswer(Answer):
    """A page of events, last stored first. `next` is the `cursor` of the page behind it."""

    success: Success
    events: list[EventAnswer]
    next: str | None


class OneEventAnswer(EventAnswer):
    """One event."""

    success: Success


class AliveAnswer(Answer):
    """This process answers."""

    alive: bool


class ReadyAnswer(Answer):
    """Whether events and heartbeats go all the way; each part with `ok` or what is wrong."""

    ready: bool
    parts: Annotated[dict[str, str], Field(examples=[{"broker": "ok", "ingestor": "ok", "database": "ok"}])]


class SessionAnswer(Answer):
    """A session has begun or ended."""

    success: Success
    message: str


class CallerAnswer(Answer):
    """Whose key or session came."""

    success: Success
    name: Annotated[str, Field(examples=["eva"])]
    scopes: Annotated[list[str], Field(examples=[["operate", "read"]])]
    expires_at: Annotated[Time | None, Field(description="Null: never.")]


class KeyAnswer(Answer):
    """An API key, but for the key itself."""

    id: Annotated[str, Field(description="The beginning of its hash.", examples=["5f70bf18a086"])]
    name: Annotated[str, Field(examples=["grafana"])]
    scopes: Annotated[list[str], Field(examples=[["read"]])]
    created_at: Time
    expires_at: Annotated[Time | None, Field(description="Null: never.")]
    last_used: Annotated[Time | None, Field(description="To the minute; null: never.")]


class KeysAnswer(Answer):
    """Every key, by name."""

    success: Success
    keys: list[KeyAnswer]


class MadeKeyAnswer(Answer):
    """A new key. It is told once, here."""

    success: Success
    name: Annotated[str, Field(examples=["grafana"])]
    key: str


class RevokedKeyAnswer(Answer):
    """The key that is no more."""

    success: Success
    revoked: KeyAnswer


class AuditEntryAnswer(Answer):
    """Who did what to what, and when."""

    id: Annotated[str, Field(examples=["17"])]
    at: Time
    who: Annotated[str, Field(description="A key's or session's name; `local:` a command's.", examples=["local:eva"])]
    action: Annotated[str, Field(examples=["key.made"])]
    target: Annotated[str, Field(examples=["grafana"])]
    detail: Annotated[str, Field(examples=["read, for ever"])]


class AuditAnswer(Answer):
    """A page of the audit trail, newest first. `next` is the `cursor` of the page behind it."""

    success: Success
    entries: list[AuditEntryAnswer]
    next: str | None


class EnrolledAnswer(Answer):
    """The broker lets the host in with its secret."""

    success: Success
    host: Annotated[str, Field(examples=["web-01"])]
    broker: Annotated[str, Field(description="Where to speak.", examples=["mqtt://127.0.0.1:1883"])]


class RenewalAnswer(Answer):
    """What is new for a host."""

    success: Success
    host: Annotated[str, Field(examples=["web-01"])]
    renew: Annotated[bool, Field(description="Whether a `new_secret` is asked for.")]
    renewed: Annotated[bool, Field(description="Whether the `new_secret` that came is in force.")]
    ca: Annotated[str | None, Field(description="The certificates (PEM) to trust; null: those of every machine.")]


class ProblemAnswer(BaseModel):
    """A problem (RFC 9457)."""

    type: Annotated[str, Field(examples=["/docs/problems#no-key"])]
    title: Annotated[str, Field(examples=["No valid key"])]
    status: Annotated[int, Field(examples=[401])]
    detail: Annotated[str, Field(examples=["the header api-key is missing: send the header api-key with …"])]
    instance: Annotated[str, Field(examples=["/hosts"])]


PROBLEM: dict[str, Any] = {
    "description": "A problem (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": ProblemAnswer.model_json_schema()}},
}

_EVENT = {
    "event_id": "018f2b6e-7c4a-7d2e-9b1c-3f5a6b7c8d9e",
    "timestamp": "2025-12-03T20:49:50.123456Z",
    "source_host": "web-01",
    "os_type": "LINUX",
    "event_type": "LOGIN_FAIL",
    "severity": 3,
    "source_ip": "203.0.113.7",
    "user": "root",
    "raw_message": "Failed password for root from 203.0.113.7 port 50022 ssh2",
}
HOST_SCHEMA: dict[str, Any] = {"pattern": "^[A-Za-z0-9._-]{1,253}$"}
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["event_id", "timestamp", "event_type", "severity", "raw_message"],
    "properties": {
        "event_id": {
            "type": "string", "minLength": 1, "maxLength": 1024,
            "description": "A UUID, or text unique within the host.",
        },
        "timestamp": {"type": "string", "format": "date-time", "description": "RFC 3339, any offset"},
        "source_host": {"type": "string", **HOST_SCHEMA, "description": "Default: the header."},
        "os_type": {"type": "string", "enum": list(OS_TYPES), "description": "Default: the header."},
        "event_type": {"type": "string", "enum": list(EVENT_TYPES)},
        "severity": {"type": "integer", "minimum": 1, "maximum": 5},
        "source_ip": {"type": ["string", "null"], "description": "An address; anything else is kept as N/A."},
        "user": {"type": ["string", "null"]},
        "raw_message": {"type": "string"},
    },
}  # fmt: skip


def describe_body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    """The OpenAPI of a body in JSON that a route reads by itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


_EVENTS_SCHEMA: dict[str, Any] = {"type": "array", "items": _EVENT_SCHEMA}
_WRAPPED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": _EVENTS_SCHEMA},
}
INGEST_BODY = describe_body({"anyOf": [_WRAPPED_SCHEMA, _EVENTS_SCHEMA, _EVENT_SCHEMA]}, {"events": [_EVENT]})
SYSTEM_STATUS_BODY = describe_body(
    {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {
                "type": "object",
                "required": ["source_host", "os_type"],
                "properties": {
                    "source_host": {"type": "string", **HOST_SCHEMA},
                    "os_type": {"type": "string", "enum": list(OS_TYPES)},
                },
            }
        },
    },
    {"status": {"source_host": "web-01", "os_type": "LINUX", "cpu_percent": 12.5}},
)
SESSION_BODY = describe_body(
    {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}}, {"key": "the text of api-key"}
)
KEY_BODY = describe_body(
    {
        "type": "object",
        "required": ["name", "scopes"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 80},
            "scopes": {
                "type": "array", "minItems": 1,
                "items": {"type": "string", "pattern": "^(agent:[A-Za-z0-9._-]{1,253}|agent|read|operate|admin)$"},
            },
            "expires": {
                "type": ["string", "null"], "pattern": "^[1-9][0-9]{0,4}[dwy]$",
                "description": "Such as 90d, 4w or 1y; never when absent.",
            },
        },
    },
    {"name": "grafana", "scopes": ["read"], "expires": "1y"},
)  # fmt: skip
ENROLL_BODY = describe_body(
    {
        "type": "object",
        "required": ["token", "host", "secret"],
        "properties": {
            "token": {"type": "string", "description": "The secret in what `heimdall enroll` prints."},
            "host": {"type": "string", **HOST_SCHEMA},
            "secret": {"type": "string", "minLength": 32, "maxLength": 256, "description": "Of the host's own making."},
        },
    },
    {"token": "…", "host": "web-01", "secret": "32 or more random characters of A-Z a-z 0-9"},
)
RENEWAL_BODY = describe_body(
    {
        "type": "object",
        "required": ["host", "secret"],
        "properties": {
            "host": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,253}$"},
            "secret": {"type": "string", "minLength": 32, "maxLength": 256, "description": "The one in force."},
            "new_secret": {"type": ["string", "null"], "description": "The one to be in force, when it was asked for."},
        },
    },
    {"host": "web-01", "secret": "32 or more random characters of A-Z a-z 0-9"},
)
