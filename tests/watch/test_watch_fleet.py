"""The fleet in memory: who is looked at, when, and what must be known before anything is said."""

from __future__ import annotations

from datetime import datetime

from core.messages import Status
from store import HeldVerdict, Signal
from watch.fleet import EVENTS_ALONE_SECONDS, HOSTS_A_LOOK, Fleet, moment
from watch.presence import GRACE_SECONDS

NOW = 1_800_000_000.0
INTERVAL = 30.0


def birth(session: str = "s") -> Status:
    return Status("online", session, moment(NOW), "start")


def will(session: str = "s") -> Status:
    return Status("offline", session, moment(NOW), "lost")


def held(name: str, state: str = "online", reason: str = "", since: float = NOW - 1_000) -> HeldVerdict:
    return HeldVerdict(name, state, reason, moment(since), None, 1)  # type: ignore[arg-type]


def said(fleet: Fleet, now: float, proven_at: float | None = None) -> list[tuple[str, str, str]]:
    found = fleet.look(now, now if proven_at is None else proven_at)
    fleet.hold(found.transitions)
    return [(one.source_host, one.state, one.reason) for one in found.transitions]


def test_who_is_heard_is_online_and_is_looked_at_again_when_it_would_be_late() -> None:
    fleet = Fleet(NOW - 1_000)
    fleet.hear_status("web-01", birth(), NOW)
    fleet.hear_beat("web-01", INTERVAL, "b", NOW)
    assert said(fleet, NOW) == [("web-01", "online", "")]
    assert said(fleet, NOW) == []
    assert fleet.next_at() == NOW + 2 * INTERVAL
    # a heartbeat of a host that is online is only noted
    fleet.hear_beat("web-01", INTERVAL, "b", NOW + INTERVAL)
    assert fleet.next_at() == NOW + 2 * INTERVAL
    assert said(fleet, NOW + 2 * INTERVAL) == []
    assert fleet.next_at() == NOW + 3 * INTERVAL


def test_silence_is_said_after_a_round_trip_that_began_when_the_time_was_up() -> None:
    fleet = Fleet(NOW - 1_000)
    fleet.hear_status("web-01", birth(), NOW)
    fleet.hear_status("web-01", will(), NOW + 1)
    due = NOW + 1 + GRACE_SECONDS
    assert fleet.look(due, proven_at=due - 0.1).unproven
    assert said(fleet, due + 1, proven_at=due) == [("web-01", "offline", "crashed")]


def test_where_events_would_be_a_sign_the_store_is_asked_first() -> None:
    fleet = Fleet(NOW - 10_000)
    fleet.hear_beat("web-01", INTERVAL, "", NOW)
    assert said(fleet, NOW) == [("web-01", "online", "")]
    silent = NOW + 3 * INTERVAL
    assert fleet.look(silent, silent).unchecked == ["web-01"]
    fleet.learn([Signal("web-01", moment(NOW + 60), moment(NOW), INTERVAL, None)], silent)
    assert said(fleet, silent) == [], "its events came a minute later"
    later = NOW + 60 + 3 * INTERVAL
    assert fleet.look(later, later).unchecked == ["web-01"]
    fleet.learn([Signal("web-01", moment(NOW + 60), moment(NOW), INTERVAL, None)], later)
    assert said(fleet, later) == [("web-01", "offline", "silent")]


def test_who_connected_and_was_gone_before_anything_of_it_was_stored_is_silent_too() -> None:
    fleet = Fleet(NOW - 1_000)
    fleet.hear_status("web-01", birth(), NOW)
    fleet.learn_interval("web-01", INTERVAL)
    assert said(fleet, NOW) == [("web-01", "online", "")]
    fleet.doubt_sessions()  # its broker was killed with it
    silent = NOW + 3 * INTERVAL
    [asked] = fleet.look(silent, silent).unchecked
    fleet.learn([], silent, [asked])
    assert said(fleet, silent) == [("web-01", "offline", "silent")]


def test_who_gives_no_heartbeats_has_a_quarter_of_an_hour() -> None:
    fleet = Fleet(NOW - 10_000)
    fleet.learn([Signal("old", moment(NOW), None, None, None)], NOW)
    assert said(fleet, NOW) == [("old", "online", "")]
    assert said(fleet, NOW) == []
    assert fleet.next_at() == NOW + 2 * EVENTS_ALONE_SECONDS


def test_a_ghost_is_proven_by_no_broker_that_was_started_after_its_birth() -> None:
    fleet = Fleet(NOW - 10_000)
    fleet.learn_broker_start(NOW - 100)
    fleet.restore_status("ghost", birth("g"), 500, NOW)
    fleet.restore_status("alive", birth("a"), 50, NOW)
    for name in ("ghost", "alive"):
        fleet.learn([Signal(name, moment(NOW - 95), moment(NOW - 95), INTERVAL, None)], NOW)
    assert set(said(fleet, NOW)) == {("ghost", "offline", "silent"), ("alive", "online", "")}


def test_a_broker_whose_start_is_told_later_vouches_for_its_births_then() -> None:
    fleet = Fleet(NOW - 10_000)
    fleet.restore_status("alive", birth("a"), 50, NOW)
    fleet.hear_beat("alive", INTERVAL, "b", NOW - 95)
    fleet.learn_broker_start(NOW - 100)
    assert said(fleet, NOW) == [("alive", "online", "")]
    fleet.doubt_sessions()
    fleet.learn_broker_start(NOW - 10)
    fleet.restore_status("alive", birth("a"), 50, NOW)
    assert said(fleet, NOW + 100) == []
    assert fleet.look(NOW + 100, NOW + 100).unchecked == [], "it has been asked for a moment ago"


def test_after_a_blackout_all_are_looked_at_in_turn() -> None:
    fleet = Fleet(NOW - 10_000)
    names = [f"host-{number}" for number in range(HOSTS_A_LOOK + 10)]
    fleet.hold([held(name) for name in names])
    for name in names:
        fleet.hear_beat(name, INTERVAL, "b", NOW)
    fleet.look(NOW, NOW)
    assert fleet.next_at() < NOW, "there are more"
    fleet.look(NOW, NOW)
    fleet.listen_again(NOW + 200)
    for _ in range(2):
        assert said(fleet, NOW + 200) == [], "nobody is late for what we could not hear"
    assert fleet.next_at() == NOW + 200 + INTERVAL + GRACE_SECONDS


def unseen(boot_before: str, boot_after: str, gap: float, state: str = "online") -> list[tuple[datetime, datetime]]:
    fleet = Fleet(NOW)
    fleet.learn([Signal("laptop", moment(NOW - gap), moment(NOW - gap), INTERVAL, boot_before)], NOW)
    fleet.hold([held("laptop", state, since=NOW - gap)])
    for after in (0, INTERVAL):
        fleet.hear_beat("laptop", INTERVAL, boot_after, NOW + after)
    return [(one.began_at, one.ended_at) for one in fleet.unseen if one.ended_at is not None]


def test_who_was_switched_off_while_nobody_watched_was_not_up() -> None:
    assert unseen("a", "b", 28_800) == [(moment(NOW - 28_800), moment(NOW))]
    assert unseen("a", "a", 28_800) == [], "it was not gone, only unheard"
    assert unseen("a", "b", 60) == [], "it restarted"
    assert unseen("a", "b", 28_800, "offline") == [], "that is known already"


def test_what_could_not_be_claimed_is_found_again() -> None:
    fleet = Fleet(NOW - 1_000)
    fleet.hear_status("web-01", will(), NOW)
    later = NOW + GRACE_SECONDS
    [found] = fleet.look(later, later).transitions
    fleet.look_again([found.source_host])
    assert fleet.look(later, later).transitions == [found]
    fleet.hold([found])
    fleet.look_again([found.source_host])
    assert fleet.look(later, later).transitions == []


def test_a_retained_status_that_does_not_tell_its_age_is_believed_to_be_of_now_and_is_not_proven() -> None:
    """As an agent of another make has it, or a broker that keeps no expiry."""
    fleet = Fleet(NOW - 10_000)
    fleet.learn_broker_start(NOW - 100)
    fleet.restore_status("gone", will(), None, NOW)
    fleet.restore_status("ghost", birth("g"), None, NOW)
    fleet.learn_broker_start(NOW - 200)
    later = NOW + 600
    assert fleet.look(later, later).unchecked == ["ghost"], "silent, and not a zombie"
    fleet.learn([], later, ["ghost"])
    fleet.look_again(["gone"])
    found = {one.source_host: one for one in fleet.look(later, later).transitions}
    assert (found["gone"].state, found["gone"].since) == ("offline", moment(NOW))
    assert (found["ghost"].reason, found["ghost"].since) == ("silent", moment(NOW))
