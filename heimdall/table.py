"""What commands print for people: tables and times. What came from elsewhere is made printable."""

from __future__ import annotations

from collections.abc import Sequence

from core.text import printable


def second(moment: str | None) -> str:
    """A time for people, of one in RFC 3339: to the second, in UTC."""
    return f"{moment[:19]}Z" if moment else "never"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print `rows` below `head`, each column as wide as its widest text."""
    shown = [head, *([printable(text) for text in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
