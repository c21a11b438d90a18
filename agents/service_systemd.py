"""The agent as a service of systemd, with no more rights than its kind of host needs."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

from agents.service import Call, Plan, call, expect_root
from core import agent_file
from core.errors import Invalid, Unavailable

NAME = "heimdall-agent"
STATE = Path("/var/lib")
# who may read what the agent of a kind reads; those that exist on the machine
GROUPS: Dict[str, Tuple[str, ...]] = {"linux": ("systemd-journal", "adm"), "pihole": ("pihole",)}
_PRIVILEGED_PORTS = 1024

# MemoryDenyWriteExecute is left out: libffi before 3.4, behind Python's ctypes, asks for what it forbids.
# PrivateUsers is left out: a port below 1024 could not be had from within.
_UNIT = """\
[Unit]
Description=Heimdall's agent
Wants=network-online.target
# the bus, so that it is still there to tell of a reboot when the agent is stopped
After=network-online.target dbus.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Environment="HEIMDALL_HOME={home}"
Restart=always
RestartSec=5
# the agent first, so that it says goodbye; what it has started only if that is left over
KillMode=mixed
TimeoutStopSec=30
DynamicUser=yes
StateDirectory={state}
StateDirectoryMode=0700
UMask=0077
{groups}CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


class SystemdService:
    """The `Service` of systemd 235 or newer. `units` is where administrators' units lie."""

    manager = "systemd"
    log = f"journalctl -u {NAME}"
    # ProtectHome and PrivateTmp hide these from it
    personal: Sequence[Path] = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108

    def __init__(
        self,
        units: Path = Path("/etc/systemd/system"),
        program: Path = Path("/usr/local/lib/heimdall") / agent_file.NAME,
        home: Path = STATE / NAME,
        call: Call = call,
    ) -> None:
        self.program, self.home = program, home
        self.unit = units / f"{NAME}.service"
        self._call = call

    def check(self) -> None:
        """See `Service.check`."""
        # sd_booted(3)
        if not Path("/run/systemd/system").is_dir():
            raise Invalid(
                "systemd does not manage this machine's services: have yours run the agent, which is the same command "
                "without `install`"
            )
        expect_root()

    @contextmanager
    def writing_home(self) -> Iterator[None]:
        """See `Service.writing_home`. A home that is root's is taken over by systemd at the start.

        For the block it is root's, lest somebody who has got hold of the agent leads root's writing elsewhere. Raises
        `Unavailable` when that was tried before.
        """
        owner = self.home.stat() if self.home.exists() else None
        try:
            if owner:
                self._give(0, 0)
                self._expect_no_links()
            yield
        finally:
            if owner:
                self._give(owner.st_uid, owner.st_gid)

    def _give(self, user: int, group: int) -> None:
        folder = self.home.resolve()
        for path in (folder, *folder.rglob("*")):
            if path.is_symlink() or not _has_other_names(path):
                os.chown(path, user, group, follow_symlinks=False)

    def _expect_no_links(self) -> None:
        for path in self.home.resolve().rglob("*"):
            if path.is_symlink() or _has_other_names(path):
                raise Unavailable(f"{path} is a link, and the agent makes none: look who did, and remove it")

    def installed(self) -> bool:
        """See `Service.installed`."""
        return self.unit.exists()

    def write(self, plan: Plan) -> None:
        """See `Service.write`."""
        partial = self.unit.with_name(f".{self.unit.name}.{os.getpid()}")
        partial.write_text(write_unit(plan, self.home, find_groups(plan.kind)), encoding="utf-8")
        partial.chmod(0o644)
        os.replace(partial, self.unit)
        self._call("systemctl", "daemon-reload")

    def start(self) -> None:
        """See `Service.start`."""
        self._call("systemctl", "enable", NAME)
        self._call("systemctl", "restart", NAME)

    def remove(self) -> None:
        """See `Service.remove`."""
        self._call("systemctl", "disable", "--now", NAME)
        self.unit.unlink()
        self._call("systemctl", "daemon-reload")


def _has_other_names(path: Path) -> bool:
    """Whether `path` is a file that may be somebody else's elsewhere."""
    return path.is_file() and path.lstat().st_nlink > 1


def write_unit(plan: Plan, home: Path, groups: List[str]) -> str:
    """The unit (systemd.service(5), systemd.exec(5)). `groups` are those of `GROUPS` that exist."""
    low = plan.port is not None and plan.port < _PRIVILEGED_PORTS
    return _UNIT.format(
        command=" ".join(_quote(word) for word in plan.command),
        home=str(home).replace("%", "%%"),
        state=home.name,
        groups=f"SupplementaryGroups={' '.join(groups)}\n" if groups else "",
        capabilities="CAP_NET_BIND_SERVICE" if low else "",
    )


def find_groups(kind: str) -> List[str]:
    """The groups that the agent of `kind` needs and this machine has."""
    import grp  # noqa: PLC0415 -- Windows has none

    known = {entry.gr_name for entry in grp.getgrall()}
    return [name for name in GROUPS.get(kind, ()) if name in known]


def _quote(word: str) -> str:
    """`word` as an argument of ExecStart (systemd.service(5), "Command lines")."""
    text = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
