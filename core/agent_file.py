"""The agent as one file: what it is called, and the line that tells its SHA-256, as `sha256sum` writes and reads it."""

from __future__ import annotations

import hashlib
import re

from core.errors import Invalid

NAME = "heimdall-agent.pyz"


def digest(content: bytes) -> str:
    """The SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_sum(content: bytes) -> str:
    """The line for the file with this `content`."""
    return f"{digest(content)}  {NAME}\n"


def read_sum(line: bytes) -> str:
    """The SHA-256 that `line` tells. Raises `Invalid` when it is no such line."""
    found = re.fullmatch(rb"([0-9a-f]{64})  [^\n]+\n?", line)
    if found is None:
        raise Invalid("the answer tells no SHA-256 of the agent's file")
    return found[1].decode()
