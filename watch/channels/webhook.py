"""`webhook+https://:SECRET@host/path`: signed JSON for programs, with an id by which a repetition is known."""

from __future__ import annotations

import hmac
from urllib.parse import unquote

import msgspec

from core.errors import Invalid
from watch.calls import call, read_address
from watch.channels import Told

SCHEMES = ("webhook+https", "webhook+http")
SIGNATURE = "Heimdall-Signature"


def deliver(told: Told) -> str:
    """POST it; with a secret the header has the HMAC-SHA256 of the body (RFC 2104), as `sha256=` and hex digits."""
    url = told.url.partition("+")[2]
    try:
        secret = unquote(read_address(url).password or "")
    except Invalid as error:
        return str(error)
    fields = ("id", "channel", "kind", "title", "body", "incident", "made_at")
    body = msgspec.json.encode({name: getattr(told, name) for name in fields})
    headers = {"Content-Type": "application/json"}
    if secret:
        headers[SIGNATURE] = f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"
    return call(url, allow_private=told.allow_private, body=body, headers=headers)
