"""Text that came from elsewhere, made fit to be shown."""

from __future__ import annotations


def printable(text: object, limit: int = 300) -> str:
    """`text` on one line for a log or a terminal, cut at `limit` characters.

    Control, format (bidirectional) and surrogate characters are shown as escapes instead of sent.
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text)[:limit])
