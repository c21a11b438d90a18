"""`docs/asyncapi.yaml` is valid AsyncAPI, and what we send fits what it says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from machine import ASYNCAPI_SCHEMA

from core import messages, topics
from core.clock import utc_now
from core.ids import uuid7
from tools.asyncapi import CHANNELS, page, schemas


def validate(message: Any, name: str) -> None:
    document = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas()}}
    jsonschema.validate(json.loads(messages.encode(message)), document)


@pytest.mark.asyncapi
def test_the_document_is_valid() -> None:
    jsonschema.validate(yaml.safe_load(page()), json.loads(ASYNCAPI_SCHEMA.read_text()))


def test_every_message_that_we_encode_fits_its_schema() -> None:
    now = utc_now()
    validate(messages.Event(uuid7(), now, "web-01", "LINUX", "LOGIN_FAIL", 3, "x"), "Event")
    validate(messages.Heartbeat("LINUX", now, 0, "boot", 30, 5), "Heartbeat")
    validate(messages.Heartbeat("LINUX"), "Heartbeat")
    validate(messages.Status("away", "s", now, "reboot", now), "Status")
    validate(messages.ServiceStatus("online", "s", now, "start", parts={"commit": "ok"}), "ServiceStatus")
    validate(messages.Info("LINUX", "0.1.0"), "Info")
    validate(messages.DeadNotice("t", "r", 5), "DeadNotice")


def test_a_message_that_is_none_does_not_fit() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate(messages.Event(uuid7(), utc_now(), "web-01", "LINUX", "LOGIN_FAIL", 6, "x"), "Event")


def test_every_topic_of_a_host_is_a_channel() -> None:
    addresses = {channel.address for channel in CHANNELS}
    for kind in (*topics.AGENT_KINDS, topics.RECEIPT):
        assert topics.host_topic("web-01", kind).replace("web-01", "{host}") in addresses
