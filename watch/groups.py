"""Groups: hosts that fall together, at least three times, and what they share.

An incident of a group is half of its hosts, three at least, that fall within `TOGETHER_SECONDS`. By chance it comes as
often as when each outage could as well have begun at another moment of the hour around it.

1. Each network, each tag and the fleet is a group. Of those found, what fits best those that fell goes first, and takes
   its incidents: when all hosts fall, it is not said of each network.
2. Hosts that share nothing are found in pairs, among the outages that are left: pairs that fall together more often
   than when each outage could have begun at another moment of the half day, and then what such pairs hold together.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import ceil, exp, log
from statistics import fmean
from typing import NamedTuple

from watch.chance import bound_binomial, bound_poisson
from watch.falls import HOUR

TOGETHER_SECONDS = 120
LEAST_INCIDENTS = 3
LEAST_HOSTS = 3
LEAST_FIT = 1 / 3
LEAST_SHARE = 0.1  # of the outages of its hosts
PAIR_SECONDS = 6 * HOUR  # before and after
LEAST_PAIR_SHARE = 0.2  # of the outages of the host that has fewer
MOST_PAIRED = 100  # outages within the time: more make no pairs, for their number is the square
MOST_PAIRS = 3_000_000  # 10,000 hosts with 40 outages each; with more by chance, nothing would stand out

Onset = tuple[int, str]  # when an outage began, and whose it is


class Group(NamedTuple):
    """Hosts that share `name`: a `kind` is "network", "tag", "all" or, for those that share nothing, "hosts"."""

    kind: str
    name: str
    hosts: frozenset[str]


class Incident(NamedTuple):
    """Hosts of one group that fell together."""

    at: int
    hosts: frozenset[str]


class Together(NamedTuple):
    """`hosts` took part in half of the incidents at least; `chance` is the logarithm, for all groups."""

    group: Group
    hosts: tuple[str, ...]
    incidents: tuple[Incident, ...]
    expected: float  # incidents, by chance
    chance: float


def find_named(begun: Mapping[str, Sequence[int]], groups: Collection[Group], limit: float) -> list[Together]:
    """The groups that fall together, when chance gives at most `limit` to any of them."""
    fleet = sorted(at for times in begun.values() for at in times)
    tests = log(max(len(groups), 1))
    found = []
    for group in groups:
        if (together := _judge(begun, group, tests, limit)) is not None:
            fit = fmean(_fit(incident, group, fleet) for incident in together.incidents)
            if fit >= LEAST_FIT:
                found.append((-fit, ("all", "network", "tag").index(group.kind), group.name, together))
    taken: list[Incident] = []
    kept = []
    for *_, together in sorted(found):
        own = tuple(incident for incident in together.incidents if not _is_explained(incident, taken))
        chance = tests + bound_poisson(together.expected, len(own))
        if len(own) >= LEAST_INCIDENTS and chance <= limit:
            taken += own
            kept.append(together._replace(hosts=_name_hosts(own), incidents=own, chance=chance))
    return kept


def find_unnamed(begun: Mapping[str, Sequence[int]], limit: float) -> list[Together]:
    """Hosts that fall together and share nothing, when chance gives at most `limit` to any pair."""
    pairs = log(max(len(begun) * (len(begun) - 1) / 2, 1))
    chances: dict[tuple[str, str], float] = {}
    for (one, other), times in _pair(begun).items():
        count = len(_space(times))
        if count < max(LEAST_INCIDENTS, LEAST_PAIR_SHARE * min(len(begun[one]), len(begun[other]))):
            continue
        near = sum(
            bisect.bisect_right(begun[other], at + PAIR_SECONDS) - bisect.bisect_left(begun[other], at - PAIR_SECONDS)
            for at in begun[one]
        )
        chance = pairs + bound_poisson(near * TOGETHER_SECONDS / PAIR_SECONDS, count)
        if chance <= limit:
            chances[one, other] = chance
    found = []
    for hosts in _join(chances):
        incidents, expected = find_incidents(_merge(begun, hosts), max(2, ceil(len(hosts) / 2)))
        if len(incidents) >= LEAST_INCIDENTS:
            chance = min(value for pair, value in chances.items() if pair[0] in hosts)
            group = Group("hosts", "", hosts)
            found.append(Together(group, _name_hosts(incidents), tuple(incidents), expected, chance))
    return found


def leave_out(begun: Mapping[str, Sequence[int]], found: Iterable[Together]) -> dict[str, list[int]]:
    """The outages that are not of these incidents."""
    taken = defaultdict(list)
    for together in found:
        for incident in together.incidents:
            for host in incident.hosts:
                taken[host].append(incident.at)
    return {
        host: [at for at in times if not any(0 <= at - began <= 2 * TOGETHER_SECONDS for began in taken[host])]
        for host, times in begun.items()
    }


def find_incidents(onsets: Sequence[Onset], least: int) -> tuple[list[Incident], float]:
    """When at least so many hosts fell together, an hour apart at least; and how many chance would make at most."""
    incidents: list[Incident] = []
    expected = 0.0
    if not any(last[0] - first[0] <= HOUR for first, last in zip(onsets, onsets[least - 1 :], strict=False)):
        return incidents, expected  # as nearly always
    near: Counter[str] = Counter()  # outages by host, within half an hour
    oldest = newest = end = 0
    for index, (at, host) in enumerate(onsets):
        while newest < len(onsets) and onsets[newest][0] <= at + HOUR // 2:
            near[onsets[newest][1]] += 1
            newest += 1
        while onsets[oldest][0] < at - HOUR // 2:
            near[onsets[oldest][1]] -= 1
            if not near[onsets[oldest][1]]:
                del near[onsets[oldest][1]]
            oldest += 1
        others = len(near) - 1
        if others + 1 < least:
            continue
        probability = (newest - oldest - near[host]) / others * TOGETHER_SECONDS / HOUR
        expected += exp(bound_binomial(others, probability, least - 1))
        if incidents and at - incidents[-1].at < HOUR:
            continue
        end = max(end, index)
        while end < len(onsets) and onsets[end][0] <= at + TOGETHER_SECONDS:
            end += 1
        if end - index >= least and len({who for _, who in onsets[index:end]}) >= least:
            # the first may be a stranger to the others, who would then be cut in two
            late = bisect.bisect_right(onsets, at + 2 * TOGETHER_SECONDS, lo=index, key=lambda onset: onset[0])
            incidents.append(Incident(at, frozenset(who for _, who in onsets[index:late])))
    return incidents, expected


def _judge(begun: Mapping[str, Sequence[int]], group: Group, tests: float, limit: float) -> Together | None:
    least = max(LEAST_HOSTS, ceil(len(group.hosts) / 2))
    incidents, expected = find_incidents(_merge(begun, group.hosts), least)
    if len(incidents) < LEAST_INCIDENTS:
        return None
    falls = sum(len(begun.get(host, ())) for host in group.hosts)
    chance = tests + bound_poisson(expected, len(incidents))
    if chance > limit or sum(len(incident.hosts) for incident in incidents) < LEAST_SHARE * falls:
        return None
    return Together(group, _name_hosts(incidents), tuple(incidents), expected, chance)


def _merge(begun: Mapping[str, Sequence[int]], hosts: Iterable[str]) -> list[Onset]:
    return sorted((at, host) for host in hosts for at in begun.get(host, ()))


def _fit(incident: Incident, group: Group, fleet: Sequence[int]) -> float:
    """How near the group is to all that fell then: of either, the part that is both. What falls at all times is not
    counted."""
    first, last = incident.at, incident.at + 2 * TOGETHER_SECONDS
    fell = bisect.bisect_right(fleet, last) - bisect.bisect_left(fleet, first)
    around = bisect.bisect_right(fleet, last + HOUR // 2) - bisect.bisect_left(fleet, first - HOUR // 2) - fell
    others = max(0.0, fell - around * 2 * TOGETHER_SECONDS / HOUR - len(incident.hosts))
    return len(incident.hosts) / (len(group.hosts) + others)


def _is_explained(incident: Incident, taken: Iterable[Incident]) -> bool:
    return any(
        abs(other.at - incident.at) <= 2 * TOGETHER_SECONDS
        and 2 * len(other.hosts & incident.hosts) >= len(incident.hosts)
        for other in taken
    )


def _name_hosts(incidents: Sequence[Incident]) -> tuple[str, ...]:
    parts = Counter(host for incident in incidents for host in incident.hosts)
    return tuple(sorted(host for host, part in parts.items() if 2 * part >= len(incidents)))


def _pair(begun: Mapping[str, Sequence[int]]) -> dict[tuple[str, str], list[int]]:
    """When two hosts fell together; nothing when that would be too many."""
    pairs: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    onsets = _merge(begun, begun)
    end = number = 0
    for index, (at, host) in enumerate(onsets):
        while end < len(onsets) and onsets[end][0] <= at + TOGETHER_SECONDS:
            end += 1
        if end - index > MOST_PAIRED:
            continue
        number += end - index - 1
        if number > MOST_PAIRS:
            return {}
        for _, other in onsets[index + 1 : end]:
            if other != host:
                pairs[min(host, other), max(host, other)].append(at)
    return pairs


def _space(times: Iterable[int]) -> list[int]:
    """Those an hour apart, from the first on: what comes within the hour is one incident."""
    spaced: list[int] = []
    for at in times:
        if not spaced or at - spaced[-1] >= HOUR:
            spaced.append(at)
    return spaced


def _join(pairs: Iterable[tuple[str, str]]) -> Iterator[frozenset[str]]:
    """What hangs together by pairs."""
    joined: dict[str, set[str]] = {}
    for one, other in sorted(pairs):
        both = joined.get(one, {one}) | joined.get(other, {other})
        joined |= dict.fromkeys(both, both)
    yield from sorted({frozenset(hosts) for hosts in joined.values()}, key=sorted)
