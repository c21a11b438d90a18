"""Asking somebody at a terminal before what cannot be undone."""

from __future__ import annotations

import sys


def agrees(question: str) -> bool:
    """Whether who sits at the terminal says yes to `question`; without a terminal it counts as said."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
