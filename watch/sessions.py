"""Sessions of a host, from the statuses that are heard of it, in whatever order they come. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.messages import Status
from watch.presence import Session

LONGEST_AWAY_SECONDS = 86_400.0  # that an agent may announce
REMEMBERED = 4  # sessions: more are never on their way at once


@dataclass(frozen=True, slots=True)
class Sessions:
    """The last session and what is needed to know a late word of an earlier one: ids, those that ended with `ended`."""

    last: Session | None = None
    former: tuple[str, ...] = ()
    ended: tuple[Session, ...] = ()

    def hear(self, status: Status, at: float) -> Sessions:
        """A status that came live at `at`.

        1. A word of the last session replaces what it was.
        2. A birth that is new is the last session from now on, unless its will has come before it.
        3. A late will of an earlier session changes nothing: it bears the id of its own birth.
        """
        last = self.last
        if last is not None and status.session == last.id:
            if status.state == "online" and last.state != "online":
                return self
            return replace(self, last=_follow(last, status, at))
        early = next((one for one in self.ended if one.id == status.session), None)
        if early is None and status.session in self.former:
            return self
        if status.state == "online":
            return self._succeed(early or Session(status.session, "online", status.reason, at, born_at=at))
        ended = _end(status, at)
        # its birth is still to come, or it lived before we listened
        kept = replace(self, ended=(*self.ended, ended)[-REMEMBERED:])
        return kept if last is not None and last.state == "online" else kept._succeed(ended)

    def restore(self, status: Status, at: float, dated: bool = True) -> Sessions:
        """What the broker had retained, published at `at`: it is what the host's last session came to."""
        last = self.last
        if last is not None and status.session == last.id and status.state == last.state:
            return self
        heard = Session(status.session, "online", status.reason, at) if status.state == "online" else _end(status, at)
        return self._succeed(replace(heard, dated=dated))

    def _succeed(self, heard: Session) -> Sessions:
        former = (*self.former, *([self.last.id] if self.last is not None else []))
        return Sessions(heard, former[-REMEMBERED:], self.ended)


def _follow(last: Session, status: Status, at: float) -> Session:
    return last if status.state == "online" else replace(_end(status, at), born_at=last.born_at)


def _end(status: Status, at: float) -> Session:
    due_at = None
    if status.state == "away" and status.back_by is not None:
        # both by the agent's clock, whose offset so cancels out
        due_at = at + max(0.0, min((status.back_by - status.at).total_seconds(), LONGEST_AWAY_SECONDS))
    return Session(status.session, status.state, status.reason, at, due_at=due_at)
