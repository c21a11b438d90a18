"""What a notice says, in words: titles that tell it all on a telephone's screen, and bodies with times and names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.messages import Alert
from store.notices import Words

NAMED_IN_TITLE, NAMED_IN_BODY = 3, 100


def describe_opened(alerts: Sequence[Alert], more: bool) -> Words:
    """Title and body for hosts that are missed, or for what was found; `more`: of the same incident others were told
    before."""
    if len(alerts) == 1 and not more:
        [one] = alerts
        gone = one.resolved_at is not None and one.subject is None
        title = f"{one.source_host} was missed for {_lasted(one)}" if gone else one.text
    elif alerts[0].subject is not None:
        title = f"{len(alerts)} times{' more' if more else ''}: {alerts[0].text}"
    else:
        title = f"{_count(alerts)}{' more' if more else ''} missed: {_names(alerts)}"
    return Words("opened", title, _list(alerts))


def describe_flapping(alerts: Sequence[Alert]) -> Words:
    """Title and body for a host that goes up and down."""
    title = f"{alerts[0].source_host} is flapping: it comes and goes"
    return Words("flapping", title, f"{_list(alerts)}\nNothing more is told of it until it has stayed for ten minutes.")


def describe_partly(back: Sequence[Alert], still: Sequence[Alert]) -> Words:
    """Title and body when some are back and others of the incident are not."""
    title = f"{_count(back)} back, {len(still)} still missed: {_names(still)}"
    return Words("partly", title, f"Still missed:\n{_list(still)}\nBack:\n{_list(back)}")


def describe_resolved(back: Sequence[Alert], all_told: Sequence[Alert]) -> Words:
    """Title and body when all of the incident are back; `all_told` includes those that were told to be back before."""
    if back[0].subject is not None:
        [one, *others] = back
        return Words("resolved", f"over{f', {len(back)} times' if others else ''}: {one.text}", _list(back))
    if len(back) == 1 and len(all_told) == 1:
        [one] = back
        return Words("resolved", f"{one.source_host} is back, after {_lasted(one)}", _list(back))
    rest = "" if len(back) == len(all_told) else f", and with {'it' if len(back) == 1 else 'them'} all"
    return Words("resolved", f"{_count(back)} back{rest}: {_names(back)}", _list(back))


def _count(alerts: Sequence[Alert]) -> str:
    hosts = len({one.source_host for one in alerts})
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def _names(alerts: Sequence[Alert]) -> str:
    names = sorted({one.source_host or one.kind for one in alerts})
    rest = len(names) - NAMED_IN_TITLE
    return ", ".join(names[:NAMED_IN_TITLE]) + (f" and {rest} more" if rest > 0 else "")


def _list(alerts: Sequence[Alert]) -> str:
    lines = [_line(one) for one in alerts[:NAMED_IN_BODY]]
    if len(alerts) > NAMED_IN_BODY:
        rest = f"… and {len(alerts) - NAMED_IN_BODY} more of {len(alerts)}"
        lines.append(f"{rest}: GET /alerts?incident={alerts[0].incident}")
    return "\n".join(lines)


def _line(one: Alert) -> str:
    if one.resolved_at is None or one.resolved_at == one.opened_at:
        return f"{one.text}, {'since' if one.resolved_at is None else 'at'} {_time(one.since)}"
    if one.subject is not None:
        return f"{one.text}, from {_time(one.since)} to {_time(one.resolved_at)}"
    return (
        f"{one.source_host or one.kind}: {one.kind} from {_time(one.since)} to {_time(one.resolved_at)}, {_lasted(one)}"
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _lasted(one: Alert) -> str:
    seconds = round(((one.resolved_at or one.opened_at) - one.since).total_seconds())
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
