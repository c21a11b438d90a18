"""The badge: how the fleet is in one small image, as label and value."""

from __future__ import annotations

from api.looks import Look

_COLOURS = {"well": "#1a7344", "trouble": "#b3261e", "unknown": "#5b6472"}  # white on each is legible
_LABEL = "Heimdall"
_HEIGHT, _PAD = 20, 7
_NARROW, _WIDE = frozenset("il.,:1 jft"), frozenset("mwMWH")


def write_badge(look: Look) -> str:
    """An SVG of that. Nothing in it comes from a host."""
    value = _say(look)
    left, right = (_width(text) + 2 * _PAD for text in (_LABEL, value))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img" '
        f'aria-label="{_LABEL}: {value}"><title>{_LABEL}: {value}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="{_HEIGHT}" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="{_HEIGHT}" fill="#3b4350"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{_COLOURS[look.word]}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{_write(_LABEL, _PAD)}{_write(value, left + _PAD)}</g></svg>"
    )


def _say(look: Look) -> str:
    if look.word == "unknown":
        return "not known"
    if not look.total:
        return "no machines yet"
    return f"{look.word}, {look.seen:,} of {look.total:,}"


def _write(text: str, x: int) -> str:
    # whatever font there is: the text is as long as the room for it
    return f'<text x="{x}" y="14" textLength="{_width(text)}" lengthAdjust="spacingAndGlyphs">{text}</text>'


def _width(text: str) -> int:
    return round(sum(4.2 if one in _NARROW else 9.5 if one in _WIDE else 6.9 for one in text))
