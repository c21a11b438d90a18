"""Whether `requirements/server.txt` is what `pyproject.toml` asks for, and nothing in it is known to be vulnerable.

`make lock` renews the file, and the container's image is built with what it names and nothing else.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "server.txt"
AUDIT_SECONDS = 120

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(.*?)(?=^[A-Za-z0-9]|\Z)", re.MULTILINE | re.DOTALL)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def check_lock(project: dict[str, Any], lock: str) -> list[str]:
    """What is wrong with `lock` for the server that `project` (a parsed pyproject.toml) describes."""
    pinned = {canonicalize_name(name): (version, rest) for name, version, rest in _PINNED.findall(lock)}
    faults = [f"{name} has no hash" for name, (_, rest) in pinned.items() if not _HASH.search(rest)]
    if "://" in lock:
        faults.append("it names an index: whoever installs chooses where from")
    for text in [*project["dependencies"], *project["optional-dependencies"]["server"]]:
        wanted = Requirement(text)
        version, _ = pinned.get(canonicalize_name(wanted.name), ("", ""))
        if not version:
            faults.append(f"{wanted.name} is not in it")
        elif not wanted.specifier.contains(version, prereleases=True):
            faults.append(f"{wanted.name} is {version} there, and {wanted.specifier} is asked for")
    return faults


def audit(lock: Path) -> tuple[list[str], str]:
    """The known vulnerabilities of what is locked, and how far that could be asked, in words."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--format", "json", "--progress-spinner", "off"],
            capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False,
        )  # fmt: skip
        found = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError, KeyError):
        return [], "NOT AUDITED: the service that knows vulnerabilities cannot be reached"
    asked = [one for one in found if "skip_reason" not in one]
    faults = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no release'}"
        for one in asked
        for fault in one["vulns"]
    ]
    if len(asked) < len(found):
        return faults, f"NOT AUDITED: {len(found) - len(asked)} of {len(found)}, which the service asked does not know"
    return faults, f"{len(found)} packages audited"


def main() -> int:
    """Print what is found. Returns the exit code: 1 for a lock that does not fit or a vulnerability."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    faults = [f"{fault}: run make lock" for fault in check_lock(project, LOCK.read_text())]
    vulnerable, how_far = audit(LOCK)
    print(f"{LOCK.relative_to(ROOT)}: {how_far}")
    for fault in [*faults, *vulnerable]:
        print(f"{LOCK.relative_to(ROOT)}: {fault}", file=sys.stderr)
    return 1 if faults or vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
