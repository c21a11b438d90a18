"""What a server answers over HTTP: from where it was asked and nowhere else, and read with suspicion."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any, Dict, Tuple

TIMEOUT_SECONDS = 20.0
LONGEST_ANSWER_BYTES = 65_536


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody: a redirect would carry a key or a secret to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def open_with(context: ssl.SSLContext, *handlers: Any) -> urllib.request.OpenerDirector:
    """What asks a server: over TLS it must prove itself by `context`."""
    return urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=context), *handlers)


def open_straight(context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """The same without a proxy: a secret goes to the server and nowhere else."""
    return open_with(context, urllib.request.ProxyHandler({}))


def ask(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, most_bytes: int = LONGEST_ANSWER_BYTES
) -> Tuple[int, bytes]:
    """Status and body of the answer to `request`, whatever the status. Raises `OSError` and `HTTPException`."""
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(most_bytes)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(LONGEST_ANSWER_BYTES)


def write_post(url: str, content: Dict[str, str]) -> urllib.request.Request:
    """`content` as the JSON of a POST to `url`."""
    headers = {"content-type": "application/json", "user-agent": "heimdall-agent"}
    return urllib.request.Request(url, json.dumps(content).encode(), headers, method="POST")  # noqa: S310 -- the caller's


def decode_answer(body: bytes) -> Dict[str, Any]:
    """The JSON object that `body` is, empty when it is none."""
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
