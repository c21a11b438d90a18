"""What a server answers over HTTP: from where it was asked and nowhere else, and read with suspicion."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import Any, Dict


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody: a redirect would carry a key or a secret to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def open_with(context: ssl.SSLContext, *handlers: Any) -> urllib.request.OpenerDirector:
    """What asks a server: over TLS it must prove itself by `context`."""
    return urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=context), *handlers)


def decode_answer(body: bytes) -> Dict[str, Any]:
    """The JSON object that `body` is, empty when it is none."""
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
