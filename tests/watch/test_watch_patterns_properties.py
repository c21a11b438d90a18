"""What holds for any outages: their order is nothing to it, nor the week they are in, and one host is no group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from watch_fleet import DAYS, NOW, SINCE

from core.clock import parse_time, rfc3339
from store.rows import Outage
from watch.patterns import Known, Pattern, find_patterns

HOSTS = [f"host-{number}" for number in range(6)]
KNOWN = {host: Known(SINCE, ["web"], "10.1.0.0/24" if host < "host-3" else None) for host in HOSTS}
SECONDS = DAYS * 86_400


@st.composite
def histories(draw: st.DrawFn, hosts: Sequence[str] = HOSTS) -> list[Outage]:
    """Regular enough that there are patterns: each host falls every so often, at some of these times."""
    outages = []
    every = draw(st.sampled_from([600, 3 * 3600, 86_400, 7 * 86_400]))
    for host in draw(st.lists(st.sampled_from(hosts), min_size=1, unique=True)):
        begin = draw(st.integers(0, 90) | st.integers(0, SECONDS))
        jitter = draw(st.sampled_from([0, 30, 1200, 90_000]))
        for number in range(draw(st.integers(1, 40))):
            at = SINCE + timedelta(seconds=(begin + number * every + draw(st.integers(0, jitter))) % SECONDS)
            lasts = draw(st.sampled_from([None, 0, 300, 86_400]))
            cause = draw(st.sampled_from(["crashed", "silent", "away", "overdue", "missing"]))
            outages.append(Outage(host, at, None if lasts is None else at + timedelta(seconds=lasts), cause))
    return outages


def shift(pattern: Pattern, by: timedelta) -> tuple[object, ...]:
    """Without the dates in words, and with those of the data moved."""
    data = dict(pattern.data)
    for key in ("first", "last"):
        data[key] = rfc3339(parse_time(str(data[key])) + by)
    words = pattern.words.replace(str(pattern.data["last"])[:10], "")
    return pattern.kind, pattern.hosts, words, data


@settings(deadline=None)
@given(histories(), st.randoms())
def test_the_order_of_rows_hosts_and_tags_does_not_matter(outages: list[Outage], chance: object) -> None:
    mixed, hosts = list(outages), list(KNOWN)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    chance.shuffle(hosts)  # type: ignore[attr-defined]
    assert find_patterns(mixed, {host: KNOWN[host] for host in hosts}, NOW) == find_patterns(outages, KNOWN, NOW)


@settings(deadline=None)
@given(histories(), st.integers(-500, 500))
def test_whole_weeks_later_all_is_the_same_but_the_dates(outages: list[Outage], weeks: int) -> None:
    by = timedelta(weeks=weeks)

    def later(at: datetime) -> datetime:
        return at + by

    moved = [
        Outage(row.source_host, later(row.began_at), row.ended_at and later(row.ended_at), row.cause) for row in outages
    ]
    hosts = {host: Known(later(known.since), known.tags, known.network) for host, known in KNOWN.items()}
    before = [shift(pattern, by) for pattern in find_patterns(outages, KNOWN, NOW)]
    assert [shift(pattern, timedelta()) for pattern in find_patterns(moved, hosts, later(NOW))] == before


@settings(deadline=None)
@given(histories(HOSTS[:1]))
def test_one_hosts_outages_never_fall_together(outages: list[Outage]) -> None:
    assert "together" not in {pattern.kind for pattern in find_patterns(outages, KNOWN, NOW)}


@settings(deadline=None)
@given(histories())
def test_announced_absences_and_other_times_change_nothing(outages: list[Outage]) -> None:
    away = [Outage(row.source_host, row.began_at + timedelta(seconds=1), row.ended_at, "away") for row in outages]
    old = [Outage(row.source_host, row.began_at - timedelta(days=DAYS), row.ended_at, "crashed") for row in outages]
    ahead = [Outage(row.source_host, row.began_at + timedelta(days=DAYS + 1), None, "crashed") for row in outages]
    before = [row for row in old if row.began_at < SINCE]
    assert find_patterns([*outages, *away, *before, *ahead], KNOWN, NOW) == find_patterns(outages, KNOWN, NOW)


@settings(deadline=None)
@given(histories())
def test_every_pattern_names_its_hosts_and_counts_what_it_says(outages: list[Outage]) -> None:
    for pattern in find_patterns(outages, KNOWN, NOW):
        assert pattern.hosts == tuple(sorted(set(pattern.hosts)))
        assert set(pattern.hosts) <= set(HOSTS)
        assert rfc3339(SINCE) <= str(pattern.data["first"]) <= str(pattern.data["last"]) <= rfc3339(NOW)
        if "of" in pattern.data:
            assert 5 <= int(str(pattern.data["outages"])) <= int(str(pattern.data["of"])) <= len(outages)
