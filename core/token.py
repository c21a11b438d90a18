"""The enrolment token: where to go, and a secret that lets in. One word that can be pasted anywhere."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from core.errors import Invalid

PREFIX = "hmd_"  # so that scanners for leaked secrets can know it
LONGEST = 2_000


class Token(NamedTuple):
    """`url` is the API's address, without a slash at its end.

    `authority` is the SHA-256 (hexadecimal) of the certificate that the server proves itself by; empty: one that
    every machine trusts, or none over plain HTTP.
    """

    url: str
    secret: str
    authority: str = ""

    def __repr__(self) -> str:
        return f"Token({self.url!r}, …)"


def write_token(token: Token) -> str:
    """`token` as one word."""
    content = {"url": token.url, "secret": token.secret}
    if token.authority:
        content["ca"] = token.authority
    text = json.dumps(content, separators=(",", ":"))
    return PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(text: str) -> Token:
    """The token that `text` is. Raises `Invalid`, without repeating it."""
    word = text.strip()
    try:
        if not word.startswith(PREFIX) or len(word) > LONGEST:
            raise ValueError
        body = word[len(PREFIX) :]
        content = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
        url, secret, authority = content["url"], content["secret"], content.get("ca", "")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not isinstance(secret, str) or not secret:
            raise ValueError
        if authority and not re.fullmatch("[0-9a-f]{64}", authority):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise Invalid(
            f"the enrolment token is damaged: copy it whole, from {PREFIX} to its end, as `heimdall enroll` printed it"
        ) from error
    return Token(url.rstrip("/"), secret, authority)
