"""Two agents with one identity are told by their boots; one that restarts or roams is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watch.clones import QUIET_SECONDS, Clones


def heard(*boots: str) -> Clones:
    clones = Clones()
    for at, boot in enumerate(boots):
        clones.hear("web-01", boot, float(at))
    return clones


def test_a_boot_that_comes_back_tells_of_two_agents() -> None:
    [found] = heard("a", "b", "a").found
    assert (found.host, found.boots, found.at) == ("web-01", ("b", "a"), 2.0)


def test_two_that_go_on_taking_turns_are_told_once() -> None:
    clones = heard("a", "b", "a", "b", "a", "b")
    assert len(clones.found) == 1
    clones.found.popleft()
    clones.hear("web-01", "a", 5.0)
    assert not clones.found
    assert clones.find_quiet(5.0 + QUIET_SECONDS - 1) == []
    assert clones.find_quiet(5.0 + QUIET_SECONDS) == ["web-01"]
    clones.forget("web-01")
    assert clones.find_quiet(1e9) == []


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_restarts_however_many_are_no_clones(beats: list[int]) -> None:
    boots = [str(number) for number, times in enumerate(beats) for _ in range(times)]
    assert not heard(*boots).found


def test_an_agent_that_roams_keeps_its_boot() -> None:
    assert not heard("a", "a", "a").found


def test_what_is_no_boot_tells_nothing() -> None:
    assert not heard("a", "", "a", "\x1b[31m", "a", "x" * 65, "a").found


def test_other_hosts_boots_are_their_own() -> None:
    clones = Clones()
    for at, host in enumerate(("web-01", "web-02", "web-01", "web-02")):
        clones.hear(host, host, float(at))
    assert not clones.found
