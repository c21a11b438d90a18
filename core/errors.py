"""Heimdall's errors: what the caller must change, what may work later, what is taken."""

from __future__ import annotations


class HeimdallError(Exception):
    """What every error of ours is: `code` is for machines, the text is for the person who reads it."""

    code = "error"


class Invalid(HeimdallError):
    """The caller's input does not fit; the same again fails again. The text names value and key."""

    code = "invalid"


class Unavailable(HeimdallError):
    """Something that is needed is away or refuses for now; the same may work later."""

    code = "unavailable"


class Conflict(HeimdallError):
    """What was asked for exists already or belongs to somebody else: a port, a home, a host name."""

    code = "conflict"
