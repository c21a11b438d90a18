"""A machine whose services systemd manages, on this one: a systemd of its own as the first process of its namespaces.

It sees this machine's files and network. What it and its services write goes to file systems of its own, which are gone
with it. What programs send to /dev/log they send to /run/systemd/journal/dev-log there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from waiting import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_UNITS = (
    "sysinit.target basic.target multi-user.target network-online.target shutdown.target systemd-journald.service "
    "systemd-journald.socket systemd-journald-dev-log.socket"
)
_BOOT = f"""
set -e
mount --make-rprivate /
cd /lib/systemd/system
mkdir {{folder}}/units
cp {_UNITS} {{folder}}/units/
for own in /run /lib/systemd/system /lib/systemd/system-generators /etc/systemd/system /var/lib /var/log /usr/local/lib
do
  mkdir -p $own
  mount -t tmpfs -o mode=755 tmpfs $own
done
cp {{folder}}/units/* /lib/systemd/system/
# it has this machine's /dev, where /dev/log is none of its affair
sed -i /^Symlinks=/d /lib/systemd/system/systemd-journald-dev-log.socket
mkdir /lib/systemd/system/multi-user.target.wants
ln -s ../systemd-journald.service /lib/systemd/system/multi-user.target.wants/
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t proc proc /proc
exec env -i PATH={PATH} container=other {SYSTEMD} --system --unit=multi-user.target --show-status=no
"""
_SPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")


def find_cgroups() -> Path | None:
    """Where this machine's control groups of the second version are; `None` when it has none."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    return None


def is_possible() -> bool:
    """Whether such a machine can be made here."""
    if not SYSTEMD.exists() or os.geteuid() != 0 or find_cgroups() is None or not Path("/usr/bin/python3").exists():
        return False
    try:
        return subprocess.run(["unshare", *_SPACES, "--fork", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class SystemdMachine:
    """`run` is a shell of root's on it."""

    def __init__(self, first: int) -> None:
        self._first = first

    def run(self, command: str, given: str = "", folder: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """The machine's own programs alone are found."""
        return subprocess.run(
            ["nsenter", "--target", str(self._first), *_SPACES, "env", "-i", f"--chdir={folder}", f"PATH={PATH}", "sh",
             "-c", command], input=given, capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip

    def show(self, unit: str, setting: str) -> str:
        """What systemd says of a unit."""
        return self.run(f"systemctl show --property {setting} --value {unit}").stdout.strip()


@contextlib.contextmanager
def booted() -> Iterator[SystemdMachine]:
    """A machine that has started, and is gone at the end with all its processes."""
    groups = find_cgroups()
    assert groups is not None
    group = groups / f"heimdall-test-{os.getpid()}"
    group.mkdir()
    with tempfile.TemporaryDirectory(prefix="heimdall-test-") as folder:
        # it must be in a group of its own before that becomes the root of what it sees
        enter = f'echo $$ > {group}/cgroup.procs && exec unshare {" ".join(_SPACES)} --fork sh -c "$0"'
        outer = subprocess.Popen(
            ["sh", "-c", enter, _BOOT.format(folder=folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
            first = int(wait_until(children.read_text, "the machine has a first process").split()[0])
            machine = SystemdMachine(first)
            wait_until(
                lambda: machine.run("systemctl is-system-running").stdout.strip() == "running",
                "the machine has started",
            )
            machine.run("systemd-tmpfiles --create --prefix=/run/log")  # who may read the journal
            yield machine
        finally:
            with contextlib.suppress(ProcessLookupError, ValueError, IndexError):
                os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
            outer.communicate(timeout=30)
            for path, _, _ in os.walk(group, topdown=False):
                os.rmdir(path)
