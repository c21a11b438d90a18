"""What a notice says, in words: titles that tell it all on a telephone's screen, and bodies with times and names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.messages import FORGOTTEN, Alert
from core.text import name_some
from store.notices import Words

NAMED_IN_TITLE, NAMED_IN_BODY = 3, 100


def describe_opened(alerts: Sequence[Alert], more: bool, behind: Sequence[Alert] = ()) -> Words:
    """Title and body for hosts that are missed, and for what was found in events.

    `more`: of the same incident others were told before. Hosts that are `behind` those that are missed cannot be
    reached either.
    """
    missed, found = _part(alerts)
    parts = [_say_missed(missed, more)] if missed else []
    if behind:
        parts[-1:] = [f"{parts[-1]}, and {_count(behind)} behind {'it' if len(missed) == 1 else 'them'}"]
    if found:
        parts.append(_say_found(found))
    return Words("opened", "; ".join(parts), _list(alerts) + _list_behind(behind))


def _part(alerts: Sequence[Alert]) -> tuple[list[Alert], list[Alert]]:
    """Those of hosts that are missed, and those of what was found."""
    return [one for one in alerts if one.subject is None], [one for one in alerts if one.subject is not None]


def _say_missed(missed: Sequence[Alert], more: bool) -> str:
    if len(missed) > 1 or more:
        return f"{_count(missed)}{' more' if more else ''} missed: {_names(missed)}"
    [one] = missed
    return f"{one.source_host} was missed for {_lasted(one)}" if one.resolved_at is not None else one.text


def _say_found(found: Sequence[Alert]) -> str:
    gravest = max(found, key=lambda one: one.severity or 0)
    return gravest.text if len(found) == 1 else f"{len(found)} findings: {gravest.text}"


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
    missed, found = _part(back)
    parts = [_say_back(missed, _part(all_told)[0])] if missed else []
    if found:
        parts.append(f"over: {_say_found(found)}")
    return Words("resolved", "; ".join(parts), _list(back))


def describe_meanwhile(missed: Sequence[Alert], back: Sequence[Alert], behind: Sequence[Alert]) -> Words:
    """Title and body for all that a channel was not told of in its quiet hours and is to be told of now."""
    if not back:
        return describe_opened(missed, False, behind)
    if not missed:
        return describe_resolved(back, back)
    opened, resolved = describe_opened(missed, False, behind), describe_resolved(back, back)
    title = f"{opened.title}; {resolved.title}"
    return Words("opened", title, f"Missed:\n{opened.body}\nBack:\n{resolved.body}")


def _list_behind(behind: Sequence[Alert]) -> str:
    return f"\nBehind: {_names(behind, NAMED_IN_BODY)}" if behind else ""


def _say_back(back: Sequence[Alert], all_told: Sequence[Alert]) -> str:
    forgotten = [one for one in back if one.text.endswith(FORGOTTEN)]
    if len(back) == 1 and len(all_told) == 1:
        [one] = back
        if forgotten:
            return f"{one.source_host} was forgotten, after it was missed for {_lasted(one)}"
        return f"{one.source_host} is back, after {_lasted(one)}"
    rest = "" if len(back) == len(all_told) else f", and with {'it' if len(back) == 1 else 'them'} all"
    return f"{_count(back)} back{' or forgotten' if forgotten else ''}{rest}: {_names(back)}"


def _count(alerts: Sequence[Alert]) -> str:
    hosts = len({one.source_host for one in alerts})
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def _names(alerts: Sequence[Alert], most: int = NAMED_IN_TITLE) -> str:
    return name_some(sorted({one.source_host or one.kind for one in alerts}), most)


def _list(alerts: Sequence[Alert]) -> str:
    lines = [_line(one) for one in alerts[:NAMED_IN_BODY]]
    if len(alerts) > NAMED_IN_BODY:
        rest = f"… and {len(alerts) - NAMED_IN_BODY} more of {len(alerts)}"
        incidents = {one.incident for one in alerts}
        query = f"incident={alerts[0].incident}" if len(incidents) == 1 else f"state={alerts[0].state}"
        lines.append(f"{rest}: GET /alerts?{query}")
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
