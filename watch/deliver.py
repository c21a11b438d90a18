"""`python -m watch.deliver`: says what it is given through apprise, a line of JSON each, and answers what came of it.

It is a process of its own: what it loads is large, what it calls is anybody's, and a call that hangs ends with it.
"""

from __future__ import annotations

import json
import os
import sys

import msgspec

from watch.channels import Told, find_channel
from watch.reachable import refuse_private

CALL_SECONDS = 30
_decode = msgspec.json.Decoder(Told).decode


def main() -> None:
    """Deliver until standard input ends: all that comes is of one channel."""
    # whatever prints, prints elsewhere
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    refused: list[str] = []
    checked = False
    for line in sys.stdin:
        refused.clear()
        try:
            told = _decode(line)
            if not told.allow_private and not checked:
                refuse_private(refused)
                checked = True
            channel = find_channel(told.url)
            error = _deliver(told) if channel is None else channel.deliver(told)
        except Exception as failure:  # noqa: BLE001 -- whatever a service's plugin raises, the next one is tried
            error = f"{type(failure).__name__}: {failure}"
        if error and refused:
            error = refused[0]
        answers.write(json.dumps({"error": error}) + "\n")
        answers.flush()


def _deliver(told: Told) -> str:
    """Say it; an empty text when the service took it."""
    import requests.sessions  # noqa: PLC0415 -- here and below: after the sockets are checked
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415

    if not told.allow_private:
        vars(requests.sessions)["DEFAULT_REDIRECT_LIMIT"] = 0  # what a new session follows at most
    asset = AppriseAsset(app_id="Heimdall", app_desc="Heimdall", app_url="", interpret_emojis=False, async_mode=False)
    service = Apprise(asset=asset)
    if not service.add(told.url):
        return "this is no address that apprise knows"
    # what comes from hosts is text: nothing in it is read as markup
    result = service.notify(told.body, told.title, notify_type=told.tone, body_format="text", timeout=CALL_SECONDS)
    if result:
        return ""
    return "; ".join(entry.message for entry in result.logs())[-1000:] or "the service did not take it"


if __name__ == "__main__":
    main()
