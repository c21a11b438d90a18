"""`heimdall enroll` and `heimdall revoke`: who may speak at the broker, said on the home's own machine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing

from api.auth import local_name
from api.tokens import MadeToken, Wish, issue_token
from broker import launcher
from core.clock import rfc3339, utc_now
from core.errors import Invalid, Unavailable
from core.settings import Settings
from core.topics import check_host
from store import Store, open_store

WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05


def run_enroll(settings: Settings, options: argparse.Namespace) -> int:
    """Make a token, and print the command for the host. Raises `Invalid`, `Conflict` and `Unavailable`."""
    if options.auto and options.uses is None:
        raise Invalid("--auto needs --uses N: how many hosts the token is for")
    if not options.auto and options.uses is not None:
        raise Invalid("--uses belongs to --auto: a token for one host is used once")
    wish = Wish(
        options.host, options.uses, options.kind, replaces=options.replace, url=options.url or "", run=options.run
    )  # fmt: skip
    wish.check()
    _expect_keeper(settings)
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        made = issue_token(settings, store, wish, local_name())
    _print_token(options, made)
    return 0


def _print_token(options: argparse.Namespace, made: MadeToken) -> None:
    until = rfc3339(made.expires_at)
    if options.json:
        name = "pattern" if options.auto else "host"
        print(json.dumps({name: options.host, "token": made.token, "command": made.line, "expires_at": until}))
        return
    if options.auto:
        print(made.token)
    where = (
        f"on {options.host}, in an administrator's PowerShell" if options.kind == "windows" else f"on {options.host}"
    )
    print(f"# {where}, before {until[:16]}Z, with nothing but Python 3.9 or newer:", file=sys.stderr)
    print(made.line, file=sys.stderr if options.auto else sys.stdout)


def run_revoke(settings: Settings, options: argparse.Namespace) -> int:
    """Cut a host off, and wait until that is done. Raises `Invalid` and `Unavailable`."""
    host = check_host(options.host, "host")
    _expect_keeper(settings)
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        error = _await_keeper(store, store.revoke_host(host, local_name(), utc_now()))
    if error is not None:
        raise Unavailable(f"{host} was not revoked: {error}")
    if options.json:
        print(json.dumps({"host": host, "revoked": True}))
    else:
        print(f"{host} is revoked: it is cut off, and may not come back", file=sys.stderr)
    return 0


def run_rotate(settings: Settings, options: argparse.Namespace) -> int:
    """Ask hosts for new secrets, or list who has still to take one. Raises `Invalid` and `Unavailable`."""
    if options.all and options.hosts:
        raise Invalid("--all is every host: name none beside it")
    hosts = None if options.all else [check_host(host, "host") for host in options.hosts]
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        if hosts is None or hosts:
            store.ask_to_renew(hosts, local_name(), utc_now())
        awaited = store.read_awaited()
    if options.json:
        print(json.dumps({"awaited": awaited}))
        return 0
    for host in awaited:
        print(host)
    print(
        f"{len(awaited)} hosts have still to take a new secret: each does so once a day and after its start",
        file=sys.stderr,
    )
    return 0


def _await_keeper(store: Store, number: int) -> str | None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (order := store.read_order(number)).done:
        if time.monotonic() > deadline:
            raise Unavailable("the keeper has not done it yet, and will when it runs: is `heimdall up` running?")
        time.sleep(POLL_SECONDS)
    return order.error


def _expect_keeper(settings: Settings) -> None:
    """Raise `Invalid` where the broker can have no identities of its own."""
    if not settings.broker_set and launcher.choose(settings).embedded:
        raise Invalid(
            "the embedded broker knows no rights, so hosts cannot be enrolled: install Mosquitto (Debian, Ubuntu: "
            "apt install mosquitto) and start `heimdall up` again"
        )
