"""What is held: silences, maintenance, acknowledgements, escalation and what is behind a router, by the complaints of
other systems' users, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from watch_listener import NOON, OPS, Listener, at

from core.errors import Invalid
from core.ids import stable_id
from store.silences import Silence
from watch.behind import Behind, find_circle, reach
from watch.hold_sources import GRACE, hold_silence
from watch.holds import Hold, Window, free_at, once
from watch.maintenance import Recurring
from watch.rules import Channel

BOSS = Channel("json://h", group_wait_seconds=10, after_minutes=15)
BERLIN = ZoneInfo("Europe/Berlin")


def silence(hosts: str, begins: float, ends: float, kinds: tuple[str, ...] | None = None) -> Hold:
    return hold_silence(Silence((hosts,), at(begins), at(ends), kinds=kinds))


def missed(host: str) -> str:
    return f"{host} is offline: nothing is heard of it"


# --- silences


def test_a_silenced_host_is_watched_and_not_told_of() -> None:
    person = Listener(holds=[silence("web-*", 0, 60)])
    person.lose("web-1", 5)
    person.lose("db-1", 5)
    person.listen(59)
    assert person.titles == [missed("db-1")]


def test_after_the_silence_what_is_still_broken_is_told_once_and_together() -> None:
    person = Listener(holds=[silence("web-*", 0, 60)])
    for number, minutes in enumerate((1, 20, 40)):
        person.lose(f"web-{number}", minutes)
    person.listen(500)
    assert person.said == [(at(60) + timedelta(seconds=10), "3 hosts missed: web-0, web-1, web-2")]
    assert "web-0 is offline: nothing is heard of it, since 2026-11-20 12:01:00Z" in person.bodies[0]


def test_what_came_and_went_in_a_silence_is_not_told_at_all() -> None:
    person = Listener(holds=[silence("web-*", 0, 60)])
    person.find(person.lose("web-1", 5), 50)
    person.listen(500)
    assert person.said == []
    assert person.heard == person.ended != set(), "nor looked at again"


def test_what_comes_back_right_after_the_silence_is_not_told_either() -> None:
    person = Listener(holds=[silence("web-*", 0, 60)])
    person.find(person.lose("web-1", 5), 60.1)
    person.listen(500)
    assert person.said == []


def test_a_silence_loses_no_end_of_what_was_told_before() -> None:
    person = Listener(holds=[silence("web-*", 10, 60)])
    alert = person.lose("web-1", 5)
    person.find(alert, 30)
    person.listen(500)
    assert person.said[1] == (at(30) + timedelta(seconds=10), "web-1 is back, after 25 minutes")


def test_what_was_told_after_a_silence_has_its_end_told_together() -> None:
    person = Listener(holds=[silence("web-*", 0, 60)])
    alerts = [person.lose(f"web-{number}", number * 10) for number in range(3)]
    person.listen(100)
    for alert in alerts:
        person.find(alert, 110)
    person.listen(500)
    assert person.titles[1:] == ["3 hosts back: web-0, web-1, web-2"]


def test_a_silence_that_is_said_within_the_wait_still_holds() -> None:
    person = Listener(holds=[silence("web-*", 0.1, 60)])
    person.lose("web-1", 0)
    person.listen(61)
    assert person.said == [(at(60) + timedelta(seconds=10), missed("web-1"))]


def test_a_silence_that_is_ended_early_tells_what_is_broken_then() -> None:
    ended = Silence(("web-*",), at(0), at(60), ended_at=at(20))
    person = Listener(holds=[hold_silence(ended)])
    person.lose("web-1", 5)
    person.listen(30)
    assert person.said == [(at(20) + timedelta(seconds=10), missed("web-1"))]


def test_maintenance_that_was_called_off_before_it_began_holds_nothing() -> None:
    person = Listener(holds=[hold_silence(Silence(("*",), at(30), at(60), maintenance=True, ended_at=at(10)))])
    person.lose("web-1", 40)
    person.listen(41)
    assert person.titles == [missed("web-1")]


def test_two_silences_hold_until_both_are_over() -> None:
    person = Listener(holds=[silence("web-*", 0, 30), silence("*-1", 20, 60)])
    person.lose("web-1", 5)
    person.listen(500)
    assert person.said == [(at(60) + timedelta(seconds=10), missed("web-1"))]


def test_a_silence_of_one_kind_lets_the_others_through() -> None:
    person = Listener(holds=[silence("*", 0, 60, kinds=("clone",))])
    person.lose("web-1", 5, kind="clone")
    person.lose("web-2", 5)
    person.listen(59)
    assert person.titles == [missed("web-2")]


def test_what_is_of_no_single_host_is_silenced_by_all_of_them_alone() -> None:
    for pattern, said in (("web-*", 1), ("?*", 1), ("*", 0)):
        person = Listener(holds=[silence(pattern, 0, 60)])
        person.lose(None, 5, kind="brute_force")
        person.listen(59)
        assert len(person.said) == said, pattern


def test_what_was_over_before_a_silence_began_is_still_told_after_it() -> None:
    alert = Listener().lose("web-1", 0)
    over = Listener()
    over.alerts[alert.id] = alert
    over.find(alert, 5)
    assert free_at(over.alerts[alert.id], [silence("*", 10, 60)], at(20)) == at(0)


def test_a_flapping_host_that_is_silenced_is_told_of_once_when_it_is_still_gone() -> None:
    person, flapping = Listener(holds=[silence("web-*", 0, 60)]), str(stable_id("flapping", "web-1"))
    for turn in range(10):
        person.find(person.lose("web-1", turn * 2, flapping), turn * 2 + 1)
    person.lose("web-1", 50, flapping)
    person.listen(500)
    assert person.titles == [missed("web-1")]


# --- acknowledgements and escalation


def test_what_somebody_has_seen_to_before_it_was_told_is_told_to_nobody() -> None:
    person = Listener(holds=[silence("web-*", 0, 60)])
    alert = person.lose("web-1", 5)
    person.ack(alert, 30)
    person.find(alert, 100)
    person.listen(500)
    assert person.said == []


def test_an_acknowledged_alert_is_not_escalated_and_does_not_nag() -> None:
    boss, ops = Listener(BOSS), Listener()
    for person in (boss, ops):
        alert = person.lose("web-1", 0)
        person.listen(1)
        person.ack(alert, 2)
        person.listen(1_000)
        person.find(alert, 2_000)
        person.listen(3_000)
    assert boss.said == []
    assert ops.titles == [missed("web-1"), "web-1 is back, after 33 hours"], "its end is still told"


def test_the_boss_is_told_of_what_nobody_has_seen_to_and_of_its_end() -> None:
    boss = Listener(BOSS)
    alert = boss.lose("web-1", 0)
    boss.find(boss.lose("web-2", 0), 14)
    boss.find(alert, 60)
    boss.listen(500)
    assert boss.said == [
        (at(15) + timedelta(seconds=10), missed("web-1")),
        (at(60) + timedelta(seconds=10), "web-1 is back, after 60 minutes"),
    ]


def test_the_end_of_what_was_escalated_and_acknowledged_then_is_told() -> None:
    boss = Listener(BOSS)
    alert = boss.lose("web-1", 0)
    boss.listen(20)
    boss.ack(alert, 20)
    boss.find(alert, 60)
    boss.listen(100)
    assert len(boss.said) == 2


def test_what_is_lost_together_is_escalated_together() -> None:
    boss = Listener(BOSS)
    incident = boss.lose("web-0", 0).incident
    for number in range(1, 50):
        boss.lose(f"web-{number}", number / 100, incident)
    boss.listen(100)
    assert boss.titles == ["50 hosts missed: web-0, web-1, web-10 and 47 more"]


def test_the_minutes_of_escalation_do_not_run_in_a_silence() -> None:
    boss = Listener(BOSS, [silence("*", 5, 60)])
    boss.lose("web-1", 0)
    boss.listen(500)
    assert boss.said == [(at(75) + timedelta(seconds=10), missed("web-1"))]


# --- what is behind a router


ROUTER = {"router-1": Behind(("web-*", "db-*"))}


def test_two_hundred_hosts_behind_a_router_that_is_down_are_one_message() -> None:
    person = Listener(behind=ROUTER)
    incident = person.lose("router-1", 0.05).incident
    for number in range(200):
        person.lose(f"web-{number}", number / 2_000, incident)
    person.listen(500)
    assert person.titles == [f"{missed('router-1')}, and 200 hosts behind it"]
    assert person.bodies[0].splitlines()[1].startswith("Behind: web-0, web-1, web-10, ")
    assert person.bodies[0].endswith(" and 100 more")


def test_a_host_behind_it_that_stays_away_is_told_when_the_router_has_been_back_for_a_minute() -> None:
    person = Listener(behind=ROUTER)
    router, web, db = person.lose("router-1", 0), person.lose("web-1", 0), person.lose("db-1", 0)
    person.find(router, 30)
    person.find(web, 30.5)
    person.listen(29)
    assert person.titles == [f"{missed('router-1')}, and 2 hosts behind it"]
    person.listen(100)
    assert person.titles[1:] == ["router-1 is back, after 30 minutes", missed("db-1")]
    assert person.said[2][0] == at(30) + GRACE + timedelta(seconds=10)
    person.find(db, 200)
    person.listen(300)
    assert person.titles[3:] == ["db-1 is back, after 3 hours"]


def test_a_host_that_was_told_before_the_router_fell_has_its_end_told() -> None:
    person = Listener(behind=ROUTER)
    web = person.lose("web-1", 0)
    person.lose("router-1", 10)
    person.find(web, 20)
    person.listen(100)
    assert person.titles == [missed("web-1"), missed("router-1"), "web-1 is back, after 20 minutes"]


def test_hosts_that_are_not_behind_it_are_told_as_ever_and_so_is_what_is_no_absence() -> None:
    person = Listener(behind=ROUTER)
    incident = person.lose("router-1", 0).incident
    person.lose("mail-1", 0, incident)
    person.lose("web-1", 0, incident)
    person.lose("web-2", 0, kind="brute_force")
    person.listen(1)
    assert sorted(person.titles) == ["2 hosts missed: mail-1, router-1, and 1 host behind them", missed("web-2")]


def test_routers_behind_routers_are_one_message_too() -> None:
    person = Listener(behind={"core-1": Behind(("router-*",)), **ROUTER})
    person.lose("web-1", 0)
    router = person.lose("router-1", 0)
    core = person.lose("core-1", 0.1)
    person.listen(5)
    assert person.titles == [f"{missed('core-1')}, and 2 hosts behind it"]
    person.find(core, 10)
    person.listen(20)
    assert person.titles[1:] == ["core-1 is back, after 9 minutes", f"{missed('router-1')}, and 1 host behind it"]
    person.find(router, 30)
    person.listen(40)
    assert person.titles[3:] == ["router-1 is back, after 30 minutes", missed("web-1")]


def test_hosts_are_behind_a_router_also_when_the_one_between_them_is_not_missed() -> None:
    assert reach({"core-1": Behind(("router-*",)), **ROUTER}) == {
        "core-1": ("router-*", "web-*", "db-*"),
        "router-1": ("web-*", "db-*"),
    }


def test_a_router_of_which_nobody_shall_be_told_still_stands_before_its_hosts() -> None:
    person = Listener(holds=[silence("router-1", 0, 60)], behind=ROUTER)
    router = person.lose("router-1", 1)
    person.lose("web-1", 1)
    person.find(router, 10)
    person.listen(500)
    assert person.said == [(at(11) + timedelta(seconds=10), missed("web-1"))]


def test_nobody_is_behind_itself_and_everybody_may_be_behind_one() -> None:
    person = Listener(behind={"gateway": Behind(("*",)), "switch": Behind(("web-*", "switch*"))})
    person.lose("gateway", 0)
    person.lose("web-1", 0)
    person.listen(1)
    assert person.titles == [f"{missed('gateway')}, and 1 host behind it"]


@pytest.mark.parametrize(
    ("tables", "circle"),
    [
        ({"a": ("b",), "b": ("c",)}, []),
        ({"a": ("*",), "b": ("web-*",)}, []),
        ({"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ("x",)}, []),
        ({"a": ("a",)}, ["a"]),
        ({"a": ("*",), "b": ("*",)}, ["a", "b"]),
        ({"x": ("a",), "a": ("b-*",), "b-1": ("c",), "c": ("a",)}, ["a", "b-1", "c"]),
    ],
)  # fmt: skip
def test_a_circle_of_hosts_behind_each_other_is_found(tables: dict[str, tuple[str, ...]], circle: list[str]) -> None:
    assert find_circle({name: Behind(hosts) for name, hosts in tables.items()}) == circle


# --- maintenance that comes again


def recurring(**changes: object) -> Recurring:
    told = {"hosts": ["web-*"], "days": ["sun"], "from": "02:00", "minutes": 120, "time_zone": "Europe/Berlin"}
    return msgspec.convert({**told, **changes}, Recurring)


def test_recurring_maintenance_is_not_ignored_and_its_end_tells_what_is_broken() -> None:
    rule = recurring(days=["fri"], **{"from": "14:00"})  # 13:00 to 15:00 UTC
    person = Listener(holds=[Hold(rule.last_begun, rule.hosts)])
    person.lose("web-1", 65)
    person.find(person.lose("web-2", 65), 170)
    person.listen(500)
    assert person.said == [(at(180) + timedelta(seconds=10), missed("web-1"))]


@pytest.mark.parametrize(
    ("begins", "moment", "window"),
    [
        # an ordinary Sunday
        ("02:00", "2026-11-22T01:00", ("2026-11-22T01:00", "2026-11-22T03:00")),
        ("02:00", "2026-11-22T00:59", ("2026-11-15T01:00", "2026-11-15T03:00")),
        ("02:00", "2026-11-28T12:00", ("2026-11-22T01:00", "2026-11-22T03:00")),
        # clocks jump from 02:00 to 03:00: 01:00 UTC
        ("02:00", "2026-03-29T12:00", ("2026-03-29T01:00", "2026-03-29T03:00")),
        ("02:30", "2026-03-29T12:00", ("2026-03-29T01:00", "2026-03-29T03:00")),
        ("03:00", "2026-03-29T12:00", ("2026-03-29T01:00", "2026-03-29T03:00")),
        ("01:30", "2026-03-29T12:00", ("2026-03-29T00:30", "2026-03-29T02:30")),
        # clocks show 02:00 to 03:00 twice, from 00:00 and from 01:00 UTC
        ("02:30", "2026-10-25T12:00", ("2026-10-25T00:30", "2026-10-25T02:30")),
        ("03:00", "2026-10-25T12:00", ("2026-10-25T02:00", "2026-10-25T04:00")),
    ],
)
def test_maintenance_begins_by_the_clocks_and_lasts_by_what_goes_by(
    begins: str, moment: str, window: tuple[str, str]
) -> None:
    found = recurring(**{"from": begins}).last_begun(utc(moment))
    assert found == Window(utc(window[0]), utc(window[1]))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_maintenance_of_days_that_touch_is_one() -> None:
    rule = recurring(days=["sat", "sun"], minutes=1440, **{"from": "00:00"})
    saturday = datetime(2026, 11, 21, 1, tzinfo=BERLIN).astimezone(UTC)
    person = Listener(holds=[Hold(rule.last_begun, rule.hosts)])
    person.lose("web-1", saturday)
    person.listen(saturday + timedelta(hours=46))
    assert person.said == []
    person.listen(saturday + timedelta(hours=48))
    assert person.titles == [missed("web-1")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hosts": ["web 1"]}, "^hosts 'web 1' fits no host name"),
        ({"from": "2:00"}, "^from '2:00' is no time of day"),
        ({"from": "24:00"}, "^from '24:00' is no time of day"),
        ({"time_zone": "Mars"}, "^time_zone 'Mars' is unknown"),
    ],
)
def test_recurring_maintenance_that_can_never_be_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        recurring(**change)


def test_a_window_holds_from_its_beginning_until_before_its_end() -> None:
    hold = Hold(once(at(10), at(20)), ("*",))
    for minutes, free in ((9, 9), (10, 20), (19.9, 20), (20, 20)):
        assert free_at(Listener().lose("web-1", minutes), [hold], at(minutes)) == at(free)
    assert OPS.last_quiet(NOON) is None


def test_a_channel_is_told_of_what_it_asks_for_alone() -> None:
    night = Channel("json://h", group_wait_seconds=10, kinds=("silent", "log_tampering"), hosts=("web-*",))
    grave = Channel("json://h", group_wait_seconds=10, severity_at_least=5)
    told = []
    for channel in (night, grave):
        person = Listener(channel)
        for host, kind, severity in (
            ("web-1", "silent", None), ("db-1", "silent", None), ("web-2", "crashed", None),
            ("web-3", "log_tampering", 5), ("web-4", "port_scan", 3),
        ):  # fmt: skip
            alert = person.lose(host, 0, kind=kind)
            if severity is not None:
                found = replace(alert, subject=host, severity=severity, text=f"{kind} on {host}")
                person.alerts[alert.id] = found
            person.find(alert, 30)
        person.listen(60)
        told.append(person.titles)
    assert told == [
        [missed("web-1"), "log_tampering on web-3", "web-1 is back, after 30 minutes", "over: log_tampering on web-3"],
        ["log_tampering on web-3", "over: log_tampering on web-3"],
    ]
