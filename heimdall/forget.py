"""`heimdall forget`: hosts that there are no more, said on the home's own machine.

The API does it, for it alone may clear what the broker retains of a host. It is asked over HTTP, in a session that is
made here for that.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from contextlib import closing
from datetime import timedelta
from urllib.parse import quote, urlsplit

from api.auth import hash_secret, local_name, make_secret
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.home import Home
from core.settings import Settings
from core.text import printable
from core.tls import trust
from heimdall.asking import agrees
from store import open_store

PATIENCE_SECONDS = 600.0  # for one host: its events may be millions


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Forget the hosts, one after the other. Raises `Invalid` and `Unavailable`; those before are forgotten then."""
    if not options.yes and not agrees(_question(options.hosts, events=options.events)):
        print("nothing was forgotten", file=sys.stderr)
        return 1
    token = make_secret()
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        until = utc_now() + timedelta(seconds=PATIENCE_SECONDS * len(options.hosts))
        store.add_session(hash_secret(token), local_name(), ["operate"], until)
        try:
            answers = [_forget(settings, token, host, events=options.events) for host in options.hosts]
        finally:
            store.end_session(hash_secret(token))
    if options.json:
        done = zip(options.hosts, answers, strict=True)
        print(json.dumps([{"host": host, "events_deleted": one["events_deleted"]} for host, one in done]))
        return 0
    for host, one in zip(options.hosts, answers, strict=True):
        with_events = f", and {one['events_deleted']:,} events with it" if options.events else "; its events stay"
        print(f"{printable(host)} is forgotten{with_events}", file=sys.stderr)
    return 0


def _question(hosts: list[str], *, events: bool) -> str:
    what = "with all their events" if events else "but for their events"
    return f"Forget {', '.join(map(printable, hosts))}, {what}?"


def _forget(settings: Settings, token: str, host: str, *, events: bool) -> dict[str, int]:
    """What the API answers. Raises `Invalid` when it knows of no such host, and `Unavailable`."""
    headers = {"Cookie": f"heimdall-{settings.http_port}={token}", "Sec-Fetch-Site": "same-origin"}
    path = f"/hosts/{quote(host, safe='')}{'?events=true' if events else ''}"
    url = urlsplit(settings.near_address)
    try:
        with closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_SECONDS)) as line:
            line.connect()
            if url.scheme == "https":
                context = trust(Home(settings.home).tls / "ca.pem")
                # this machine finds itself under an address that need not be in the certificate
                line.sock = context.wrap_socket(line.sock, server_hostname=settings.tls_name or url.hostname)
            line.request("DELETE", path, headers=headers)
            answer = line.getresponse()
            told = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        where = settings.near_address
        raise Unavailable(f"the API at {where} does not answer ({error}): is `heimdall up` running?") from error
    if answer.status == 200:
        return {"events_deleted": int(told["events_deleted"])}
    detail = printable(str(told.get("detail")))
    raise (Invalid if answer.status in (404, 422) else Unavailable)(f"{printable(host)} was not forgotten: {detail}")
