"""The ledger's rules: what must be said of a fault, from when on and until when, and what must not."""

from __future__ import annotations

import math

import pytest

from heimdall.sim.ledger import Blackout, Expected, Fact, Rules, expect

INTERVAL = 10.0
RULES = Rules(INTERVAL, 10.0)
END = 10_000.0
SLACK = 0.11  # that is forgiven


def fact(kind: str, at: float, **more: object) -> Fact:
    values: dict[str, object] = {"beat_at": at, "sent_at": at, "fault": kind, **more}
    return Fact("web-01", kind, at, **values)  # type: ignore[arg-type]


def verdicts(*facts: Fact, blackouts: tuple[Blackout, ...] = (), end: float = END) -> list[Expected]:
    return expect(facts, blackouts, RULES, end).verdicts["web-01"]


def alerts(*facts: Fact, blackouts: tuple[Blackout, ...] = ()) -> list[Expected]:
    return expect(facts, blackouts, RULES, END).alerts["web-01"]


def required(found: list[Expected]) -> list[str]:
    return ["/".join(sorted(one.words)) for one in found if one.required]


CONNECT = fact("connect", 10.0)


@pytest.mark.parametrize(
    ("kind", "state", "reason", "earliest", "latest"),
    [
        ("kill", "offline", "crashed", 3.0, 4.0),
        ("stop", "offline", "stopped", 3.0, 4.0),
        ("shutdown", "offline", "shutdown", 3.0, 4.0),
        ("hang", "offline", "crashed", 17.0, 24.0),  # 1.5 keep alives, up to 5 s, the grace, a second
        ("mute", "zombie", "", 29.0, 33.0),  # three intervals after the last beat, and the proof
        ("away", "away", "", 0.0, 4.0),
    ],
)
def test_each_fault_has_its_verdict_within_its_time(
    kind: str, state: str, reason: str, earliest: float, latest: float
) -> None:
    last = verdicts(CONNECT, fact(kind, 100.0))[-1]
    assert (last.words, last.reasons) == ({state}, {reason} if reason else set())
    assert last.required
    assert last.earliest == pytest.approx(100 + earliest, abs=SLACK)
    assert last.latest == pytest.approx(100 + latest)


def test_one_alert_for_what_is_missed_and_none_for_who_says_goodbye() -> None:
    kinds = {kind: alerts(CONNECT, fact(kind, 100.0)) for kind in ("kill", "hang", "mute", "stop", "shutdown", "away")}
    assert {kind: required(found) for kind, found in kinds.items()} == {
        "kill": ["crashed"], "hang": ["crashed/zombie"], "mute": ["zombie"], "stop": [], "shutdown": [], "away": [],
    }  # fmt: skip


def test_a_return_is_said_within_an_interval_and_resolves_the_alert() -> None:
    kill, back = fact("kill", 100.0), fact("return", 160.0, fault="kill")
    *_, said = verdicts(CONNECT, kill, back)
    assert (said.words, said.fault, said.required, said.latest) == ({"online"}, "kill, back", True, 170.0)
    (alert,) = alerts(CONNECT, kill, back)
    assert alert.resolved is not None
    assert alert.resolved[0] == 160.0
    assert alert.resolved[1] >= 170.0
    (lasting,) = alerts(CONNECT, kill)
    assert lasting.resolved == (math.inf, math.inf)


@pytest.mark.parametrize("kind", ["kill", "restart", "roam", "stop", "lost"])
def test_of_who_is_back_within_the_grace_nothing_may_be_said(kind: str) -> None:
    facts = (CONNECT, fact(kind, 100.0), fact("return", 102.5, fault=kind))
    assert required(verdicts(*facts)) == ["online"]
    assert len([one for one in verdicts(*facts) if one.words != {"new"}]) == 1
    assert alerts(*facts) == []


def test_what_was_over_before_it_had_to_be_said_may_be_said_and_need_not() -> None:
    facts = (CONNECT, fact("kill", 100.0), fact("return", 103.5, fault="kill"))
    offline, online = verdicts(*facts)[-2:]
    assert (offline.words, offline.required, online.words, online.required) == ({"offline"}, False, {"online"}, False)
    assert offline.closes < 105


def test_a_mute_host_is_late_first_and_a_short_silence_is_not_told_of() -> None:
    late, zombie = verdicts(CONNECT, fact("mute", 100.0, beat_at=95.0))[-2:]
    assert (late.words, late.required, zombie.words) == ({"late"}, True, {"zombie"})
    assert late.earliest == pytest.approx(95 + 20 - 1, abs=SLACK)
    assert required(verdicts(CONNECT, fact("mute", 100.0), fact("return", 115.0))) == ["online"]


def test_an_absence_is_overdue_at_its_deadline_unless_it_is_over() -> None:
    away = fact("away", 100.0, due_at=150.0)
    assert required(verdicts(CONNECT, away, fact("return", 140.0, fault="away")))[1:] == ["away", "online"]
    assert alerts(CONNECT, away, fact("return", 140.0)) == []
    assert verdicts(CONNECT, away, fact("return", 140.0))[-2].closes == 141.0
    late = (CONNECT, away, fact("return", 180.0, fault="away"))
    assert required(verdicts(*late))[1:] == ["away", "overdue", "online"]
    overdue = verdicts(*late)[-2]
    assert (overdue.began, overdue.latest) == (150.0, 153.0)
    assert required(alerts(*late)) == ["overdue"]


def test_a_clone_is_an_alert_and_no_verdict() -> None:
    facts = (CONNECT, fact("clone", 100.0), fact("return", 200.0, fault="clone"))
    assert required(verdicts(*facts)) == ["online"]
    assert required(alerts(*facts)) == ["clone"]


def test_a_flapping_host_must_be_told_of_once_and_end_well() -> None:
    facts = [CONNECT]
    for number in range(3):
        at = 100.0 + number * 30
        facts.append(fact("flap", at, required=number == 0))
        facts.append(fact("return", at + 10, fault="flap", required=number == 2))
    assert required(verdicts(*facts))[1:] == ["offline", "online"]
    assert required(alerts(*facts)) == ["crashed"]


def test_a_blackout_moves_what_must_be_said_behind_it_and_hides_why() -> None:
    blackout = Blackout(102.0, 150.0)
    facts = (CONNECT, fact("kill", 100.0))
    found = verdicts(*facts, blackouts=(blackout,))[-1]
    assert (found.words, found.reasons, found.required) == ({"offline"}, set(), True)
    assert found.latest == 150 + 3 * INTERVAL + 3
    assert verdicts(CONNECT, fact("mute", 100.0), blackouts=(blackout,))[-1].words == {"offline", "zombie"}
    assert "silent" in alerts(*facts, blackouts=(blackout,))[0].words
    gone = verdicts(*facts, fact("return", 140.0, fault="kill"), blackouts=(blackout,))
    assert required(gone) == ["online"]
    healthy = verdicts(CONNECT, blackouts=(blackout,))
    assert [one.words for one in healthy if one.words != {"new"}] == [{"online"}]


def test_what_need_not_be_said_before_the_end_is_not_missed() -> None:
    assert required(verdicts(CONNECT, fact("kill", 100.0), end=103.9)) == ["online"]
    assert required(verdicts(CONNECT, fact("kill", 100.0), end=104.1)) == ["online", "offline"]
