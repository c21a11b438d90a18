"""The line that a host types to enrol: it fetches the agent, keeps it when it is the one of here, and runs it.

`heimdall enroll` prints it, and `POST /tokens` answers with it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from api.agent_file import build_agent_file
from core import agent_file
from core.errors import Invalid
from core.messages import OS_TYPES

KINDS = tuple(one.lower() for one in OS_TYPES)  # of hosts, as agents name them


class Line(NamedTuple):
    """What the line is for: `host` is None when many may use its token. `run`: the agent is not installed, only run."""

    url: str
    kind: str
    token: str
    host: str | None
    run: bool = False


def check_kind(kind: object, key: str) -> str:
    """`kind` when it is one of hosts. Raises `Invalid`, naming `key`."""
    if isinstance(kind, str) and kind in KINDS:
        return kind
    raise Invalid(f"{key} {kind!r:.40} is unknown: use one of {', '.join(KINDS)}")


def check_url(url: object, key: str) -> str:
    """`url` without a slash at its end. Raises `Invalid`, naming `key`, unless a shell takes it as it stands."""
    fits = r"https?://[A-Za-z0-9._:\[\]-]{1,260}(/[A-Za-z0-9._~/-]{0,200})?"
    if not isinstance(url, str) or not re.fullmatch(fits, url):
        raise Invalid(f"{key} {url!r:.200}: use https://HOST:PORT")
    return url.rstrip("/")


def write_line(line: Line) -> str:
    """The line, for the shell of its kind of host. Raises `Unavailable` when there is no agent to fetch here."""
    return (_write_powershell if line.kind == "windows" else _write_posix)(line, _write_fetch(line.url))


def _write_posix(line: Line, fetch: str) -> str:
    """For a POSIX shell."""
    run = f'python3 -c "{fetch}" && '
    words = f"--kind {line.kind}" if line.host is None else f"--kind {line.kind} --host {line.host}"
    agent = f"python3 {agent_file.NAME} {words}" if line.run else f"sudo python3 {agent_file.NAME} install {words}"
    if line.host is None:
        # many may use it: it goes into a file of the fleet's own, not into a command that a shell remembers
        return run + f"{agent} --enroll - < TOKEN-FILE"
    if line.run:
        return run + f"HEIMDALL_ENROLL_TOKEN={line.token} {agent}"
    # sudo takes no variables along, and `echo` is the shell's own: no process list shows what it is given
    return run + f"echo {line.token} | {agent} --enroll -"


def _write_powershell(line: Line, fetch: str) -> str:
    """For PowerShell, also that of Windows 10 (5.1), which knows no `&&`."""
    run = f'py -c "{fetch}"; if ($?) {{ '
    agent = f"py {agent_file.NAME} {'' if line.run else 'install '}--kind {line.kind}"
    if line.host is None:
        return run + f"Get-Content TOKEN-FILE | {agent} --enroll - }}"
    agent += f" --host {line.host}"
    return run + f"$env:HEIMDALL_ENROLL_TOKEN='{line.token}'; {agent} }}"


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
