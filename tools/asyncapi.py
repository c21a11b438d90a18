"""`docs/asyncapi.yaml`: topics and messages as an AsyncAPI 3 document, made of `core/`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec
import yaml

from core import messages, topics

HOST = "{host}"


class Channel(NamedTuple):
    """One topic: who publishes what there, in words."""

    name: str
    address: str
    message: str
    publisher: str
    meaning: str


CHANNELS = (
    Channel("events", f"{topics.HOSTS}/{HOST}/events", "Events", "agent", "One event, or an array of 1 to 1,000."),
    Channel(
        "heartbeat", f"{topics.HOSTS}/{HOST}/heartbeat", "Heartbeat", "agent",
        "Every interval, events or not; expires after two intervals.",
    ),
    Channel(
        "status", f"{topics.HOSTS}/{HOST}/status", "Status", "agent",
        "Retained: the birth at connect, the goodbye at the end; else the broker publishes the will. It expires after "
        "ten years, so that what is left of that tells when it was published.",
    ),
    Channel("info", f"{topics.HOSTS}/{HOST}/info", "Info", "agent", "Retained, at connect."),
    Channel(
        "receipt", f"{topics.HOSTS}/{HOST}/receipt", "Receipt", "ingestor",
        "QoS 0, after the commit: the correlation data of the batch that is stored, as it came.",
    ),
    Channel(
        "verdict", f"{topics.HOSTS}/{HOST}/verdict", "Verdict", "watch",
        "Retained: what the host is held to be, since when, and why.",
    ),
    Channel(
        "alerts", topics.alert_topic("{id}"), "Alert", "watch",
        "Retained while it is open, then cleared by an empty message.",
    ),
    Channel("dead", topics.DEAD, "DeadNotice", "ingestor", "What was refused, without its payload."),
    Channel(
        "services", topics.service_topic("{name}", "{instance}"), "ServiceStatus", "each service",
        "Retained, every 2 s; the broker publishes its will.",
    ),
)  # fmt: skip

PARAMETERS = {
    "host": {"description": "Name of the host: [A-Za-z0-9._-]{1,253}, but not . or .., compared exactly."},
    "name": {"description": "Name of the service, such as ingestor."},
    "id": {"description": "The alert's id, a UUID."},
    "instance": {"description": "Tells several instances of a service apart."},
}


def schemas() -> dict[str, Any]:
    """The JSON Schemas of all messages, by name."""
    types = [
        messages.Event, messages.Heartbeat, messages.Status, messages.Info, messages.Verdict, messages.Alert,
        messages.DeadNotice, messages.ServiceStatus,
    ]  # fmt: skip
    _, found = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in found.values():
        for name, field in schema["properties"].items():
            if name in ("timestamp", "at", "sent_at", "back_by", "since", "opened_at", "resolved_at"):
                for part in field.get("anyOf", [field]):
                    if part["type"] == "string":
                        part["format"] = "date-time"
    # what `check_event` says beyond the types
    found["Event"]["properties"]["severity"] |= {"minimum": 1, "maximum": 5}
    event = {"$ref": "#/components/schemas/Event"}
    several = {"type": "array", "items": event, "minItems": 1, "maxItems": messages.MAX_EVENTS_PER_MESSAGE}
    return {**found, "Events": {"oneOf": [event, several]}}


def _message(name: str) -> dict[str, Any]:
    if name == "Receipt":
        return {"name": name, "payload": {"type": "string", "maxLength": 0}}
    payload = {"$ref": f"#/components/schemas/{name}"}
    return {"name": name, "contentType": messages.CONTENT_TYPE, "payload": payload}


def page() -> str:
    """The whole document."""
    channels = {}
    operations = {}
    for channel in CHANNELS:
        named = [name for name in PARAMETERS if f"{{{name}}}" in channel.address]
        channels[channel.name] = {
            "address": channel.address,
            "description": f"Published by: {channel.publisher}. {channel.meaning}",
            "messages": {channel.message: {"$ref": f"#/components/messages/{channel.message}"}},
        } | ({"parameters": {name: PARAMETERS[name] for name in named}} if named else {})
        operations[f"publish-{channel.name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel.name}"},
            "bindings": {"mqtt": {"qos": 0 if channel.name == "receipt" else 1}},
        }
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Heimdall",
            "version": version("heimdall-siem"),
            "description": "What passes on the broker. MQTT 5; UTF-8 JSON; unknown fields are ignored.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": messages.CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {channel.message: _message(channel.message) for channel in CHANNELS},
            "schemas": schemas(),
        },
    }
    return "# Made from core/ by python -m tools.document: changes here are lost.\n" + yaml.safe_dump(
        document, sort_keys=False, width=110, allow_unicode=True
    )
