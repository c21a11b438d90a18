"""What Docker, Podman and Kubernetes tell of containers that die: one table of rules, made into documentation.

They tell little, and differently:

- Podman writes each container's end to the journal, with its exit code in a field that no syslog file has. 130, 137 and
  143 are the ends of containers that somebody stops; who is killed for want of memory is told by the kernel.
- The kubelet writes each time that it waits before the next start of a container that keeps failing.
- dockerd tells an end and a restart at level debug alone. As shipped it says only that it cannot start one again.
- containerd writes the same lines for every end, wanted or not: it has no rule.

A service of systemd's that runs a container is told by systemd, as every unit that fails.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional, Tuple

from agents.rules import Rule, by_program

_KUBELETS = ("kubelet", "k3s", "k3s-agent", "rke2", "kubelite")
# what a lookahead has taken is not looked for again, which would be quadratic
_CRASH_LOOP = r"(?=(?P<head>.*?CrashLoopBackOff: \W{0,6}[Bb]ack-off \w{1,16} restarting failed container=))(?P=head)"

RULES: Tuple[Rule, ...] = (
    Rule(
        _KUBELETS, re.compile(_CRASH_LOOP + r"(?P<container>[\w.-]{1,253})(?: pod=(?P<pod>[\w.()-]{1,600}))?.*$"),
        "CRITICAL_ERROR", 3, "kubelet: a container fails again and again (CrashLoopBackOff)",
    ),
    Rule(
        ("podman",),
        re.compile(
            r".{0,100}?\bcontainer died [0-9a-f]{12,64} \(image=(?:[^,]{0,512}), name=(?P<container>[\w.-]{1,253})[,)]"
            r".*\[exit code (?!130\]|137\]|143\])\d{1,3}\]$"
        ),
        "CRITICAL_ERROR", 3, "podman: a container ended by itself with an error (in the journal)",
    ),
    Rule(
        ("dockerd", "docker"), re.compile(r"time=\S{1,64} level=error msg=\"restartmana?ge?r wait error: .*$"),
        "CRITICAL_ERROR", 3, "dockerd: a container could not be started again",
    ),
    Rule(
        ("dockerd", "docker"), re.compile(r"time=\S{1,64} level=warning msg=\"ShouldRestart failed, .*$"),
        "CRITICAL_ERROR", 3, "dockerd: a container ended and is not started again",
    ),
)  # fmt: skip
_BY_PROGRAM = by_program(RULES)
PROGRAMS = frozenset(_BY_PROGRAM)


class Finding(NamedTuple):
    """What a line tells, and of which container; the same again is counted, not told."""

    rule: Rule
    container: str


def recognise(program: str, message: str) -> Optional[Finding]:
    """What `message` of `program` tells, `None` when it tells nothing of a container's death."""
    for rule in _BY_PROGRAM.get(program, ()):
        found = rule.pattern.match(message)
        if found:
            groups = found.groupdict()
            return Finding(rule, f"{groups.get('pod') or ''}/{groups.get('container') or ''}")
    return None
