"""`heimdall enroll` and `heimdall revoke`: who may speak at the broker, said on the home's own machine."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from contextlib import closing
from datetime import timedelta

from api.agent_file import build_agent_file
from api.auth import hash_secret, local_name, make_secret
from broker import launcher
from core import agent_file
from core.clock import rfc3339, utc_now
from core.errors import Invalid, Unavailable
from core.home import Home
from core.settings import Settings
from core.tls import signer_fingerprint
from core.token import Token, write_token
from core.topics import check_host, check_pattern
from store import Store, open_store

TOKEN_HOURS = 1
MOST_USES = 100_000
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05


def run_enroll(settings: Settings, options: argparse.Namespace) -> int:
    """Make a token, and print the command for the host. Raises `Invalid`, `Conflict` and `Unavailable`."""
    pattern, uses = options.host, options.uses if options.auto else 1
    if options.auto:
        check_pattern(pattern, "the pattern of names")
        if not 1 <= (uses or 0) <= MOST_USES:
            raise Invalid(f"--auto needs --uses N, 1 to {MOST_USES:,}: how many hosts the token is for")
    else:
        check_host(pattern, "host")
        if options.uses is not None:
            raise Invalid("--uses belongs to --auto: a token for one host is used once")
    _expect_keeper(settings)
    secret, now = make_secret(), utc_now()
    expires_at = now + timedelta(hours=TOKEN_HOURS)
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        store.add_token(hash_secret(secret), pattern, uses, expires_at, local_name(), now, replaces=options.replace)
    url = _check_url(options.url) if options.url else settings.api_address
    authority = signer_fingerprint(Home(settings.home).read_authorities()) if settings.tls_name else ""
    token = write_token(Token(url, secret, authority))
    _print_token(options, pattern, url, token, rfc3339(expires_at))
    return 0


def _check_url(url: str) -> str:
    """`url` without a slash at its end. Raises `Invalid` unless it is one that a shell takes as it stands."""
    if not re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?", url):
        raise Invalid(f"--url {url!r:.200}: use https://HOST:PORT")
    return url.rstrip("/")


def _print_token(options: argparse.Namespace, pattern: str, url: str, token: str, until: str) -> None:
    write = _write_powershell if options.kind == "windows" else _write_posix
    run = write(_write_fetch(url), options, token)
    if options.json:
        name = "pattern" if options.auto else "host"
        print(json.dumps({name: pattern, "token": token, "command": run, "expires_at": until}))
        return
    if options.auto:
        print(token)
    where = f"on {pattern}, in an administrator's PowerShell" if write is _write_powershell else f"on {pattern}"
    print(f"# {where}, before {until[:16]}Z, with nothing but Python 3.9 or newer:", file=sys.stderr)
    print(run, file=sys.stderr if options.auto else sys.stdout)


def _write_posix(fetch: str, options: argparse.Namespace, token: str) -> str:
    """The command for a POSIX shell."""
    run = f'python3 -c "{fetch}" && '
    words = f"--kind {options.kind}" if options.auto else f"--kind {options.kind} --host {options.host}"
    agent = f"python3 {agent_file.NAME} {words}" if options.run else f"sudo python3 {agent_file.NAME} install {words}"
    if options.auto:
        # many may use it: it goes into a file of the fleet's own, not into a command that a shell remembers
        return run + f"{agent} --enroll - < TOKEN-FILE"
    if options.run:
        return run + f"HEIMDALL_ENROLL_TOKEN={token} {agent}"
    # sudo takes no variables along, and `echo` is the shell's own: no process list shows what it is given
    return run + f"echo {token} | {agent} --enroll -"


def _write_powershell(fetch: str, options: argparse.Namespace, token: str) -> str:
    """The same for PowerShell, also that of Windows 10 (5.1), which knows no `&&`."""
    run = f'py -c "{fetch}"; if ($?) {{ '
    agent = f"py {agent_file.NAME} {'' if options.run else 'install '}--kind {options.kind}"
    if options.auto:
        return run + f"Get-Content TOKEN-FILE | {agent} --enroll - }}"
    agent += f" --host {options.host}"
    return run + f"$env:HEIMDALL_ENROLL_TOKEN='{token}'; {agent} }}"


def _write_fetch(url: str) -> str:
    """Python that fetches the agent's file, and keeps it only when it is the one of here.

    Whoever answers: its hash decides, so that the host need not know an authority of our own yet.
    """
    file = agent_file.digest(build_agent_file())
    trusting = ",context=s._create_unverified_context()" if url.startswith("https:") else ""
    return (
        f"import hashlib as h,ssl as s,urllib.request as u;b=u.urlopen('{url}/agent.pyz'{trusting}).read();"
        f"h.sha256(b).hexdigest()=='{file}' or exit('not the agent of this server');"
        f"open('{agent_file.NAME}','wb').write(b)"
    )


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
