"""The meter, as a queue of the broker's feeds it: who makes others wait is told of, and nobody else."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import pytest

from ingestor.meter import OPEN_MESSAGES, PATIENT_SECONDS, WAIT_SECONDS, Excess, Meter

PROBES = "heimdall/v1/hosts/@ingestor-1/events"


class Sent(NamedTuple):
    topic: str
    payload: bytes


class Line:
    """A broker's queue and an ingestor that takes in `rate` messages a second of it, with a clock of their own."""

    def __init__(self, rate: int = 100) -> None:
        self.meter, self.rate, self.now = Meter(PROBES), rate, 0.0
        self.queue: deque[Sent] = deque()
        self.stored: dict[str, int] = {}
        self.told: dict[str, float] = {}  # by topic, the second in which it was told of first
        self.excesses: list[Excess] = []
        self.keep_probe: Callable[[], bool] = lambda: True

    def publish(self, topic: str, count: int, size: int = 1_000) -> None:
        self.queue.extend([Sent(topic, b"x" * size)] * count)

    def run(self, seconds: float, publish: Callable[[], None] = lambda: None) -> None:
        """Let `publish` publish ten times a second, and take in what the rate allows."""
        end = self.now + seconds
        while self.now < end:
            publish()
            if (payload := self.meter.make_probe(self.now)) is not None and self.keep_probe():
                self.queue.append(Sent(PROBES, payload))
            self.now += 0.1
            taken = [self.queue.popleft() for _ in range(min(self.rate // 10, len(self.queue)))]
            for excess in self.meter.count(taken, self.now):
                self.told.setdefault(excess.topic, self.now)
                self.excesses.append(excess)
            for topic, _ in taken:
                self.stored[topic] = self.stored.get(topic, 0) + 1


def heeding(line: Line, topic: str, window: int = 8, size: int = 100_000) -> Callable[[], None]:
    """An agent with an endless backlog: as many batches out as its window holds, a new one for each stored."""
    published = 0

    def publish() -> None:
        nonlocal published
        missing = window - (published - line.stored.get(topic, 0))
        line.publish(topic, missing, size)
        published += missing

    return publish


def every(*publishers: Callable[[], None]) -> Callable[[], None]:
    def publish() -> None:
        for one in publishers:
            one()

    return publish


def test_who_publishes_twice_what_can_be_stored_is_told_of_and_nobody_else() -> None:
    line = Line()
    line.run(60, every(heeding(line, "quiet"), lambda: line.publish("mad", 20, 100_000)))
    assert list(line.told) == ["mad"]
    assert PATIENT_SECONDS < line.told["mad"] < PATIENT_SECONDS + 10
    assert line.excesses[0].messages > OPEN_MESSAGES
    assert line.excesses[0].waited_seconds > WAIT_SECONDS


@pytest.mark.parametrize("times", [1.2, 4, 20])
def test_however_much_it_publishes_it_is_told_of_soon(times: float) -> None:
    line = Line(1_000)
    quiet = heeding(line, "quiet")
    line.run(5, quiet)
    begun = line.now
    line.run(40, every(quiet, lambda: line.publish("mad", int(100 * times))))
    assert list(line.told) == ["mad"]
    assert line.told["mad"] - begun < PATIENT_SECONDS + 10


def test_agents_that_heed_their_receipts_are_never_told_of_however_long_they_wait() -> None:
    for agents, rate in ((1, 10), (1, 100), (5, 10), (100, 50), (300, 10)):
        line = Line(rate)
        line.run(300, every(*(heeding(line, f"agent-{number}") for number in range(agents))))
        assert line.told == {}


def test_a_gateway_that_speaks_for_one_host_alone_is_never_told_of() -> None:
    line = Line(10)
    line.run(300, every(heeding(line, "by-http", 64), heeding(line, "by-http-too", 64)))
    assert line.told == {}


def test_what_waited_when_the_ingestor_came_back_is_nobodys_fault() -> None:
    line = Line()
    line.publish("was-waiting", 10_000)
    line.run(150, heeding(line, "quiet"))
    assert line.stored["was-waiting"] == 10_000
    assert line.told == {}


def test_repetitions_of_a_long_outage_are_nobodys_fault() -> None:
    """For ten minutes nothing is stored, while three agents publish their eight batches again every ten seconds."""
    line, agents, due = Line(10), [f"agent-{number}" for number in range(3)], 0.0

    def repeat() -> None:
        nonlocal due
        while line.now >= due:
            due += 10
            for agent in agents:
                line.publish(agent, 8, 100_000)

    line.run(30, repeat)
    line.now += 600
    line.run(300, repeat)
    assert len(line.queue) < 3 * 8, "all of it is worked off"
    assert line.told == {}


def test_a_fleet_that_is_too_many_is_not_disabled() -> None:
    line = Line()
    line.run(120, every(*(lambda host=number: line.publish(f"host-{host}", 2) for number in range(20))))
    assert line.told == {}


def test_small_messages_beside_large_ones_make_nobody_wait() -> None:
    line = Line()
    line.run(60, every(lambda: line.publish("small", 10, 10), lambda: line.publish("large", 10, 100_000)))
    assert list(line.told) == ["large"]


def test_who_keeps_nobody_waiting_for_a_second_may_send_as_much_as_there_is() -> None:
    line = Line(1_000)
    line.run(5)
    line.publish("fast", 600)
    line.run(60, lambda: line.publish("fast", 100))
    assert line.told == {}


def test_a_burst_that_ends_is_forgiven() -> None:
    line = Line()
    line.run(5)
    line.publish("burst", int(100 * (PATIENT_SECONDS - 1)), 100_000)
    line.run(60)
    assert line.told == {}


@pytest.mark.parametrize("seed", range(5))
def test_lost_probes_condemn_nobody(seed: int) -> None:
    chance, line = random.Random(seed), Line(1_000)
    agent = heeding(line, "backlog")
    line.run(5, agent)
    line.keep_probe = lambda: chance.random() < 0.3
    line.run(100, agent)
    line.rate = 10
    line.run(100, every(agent, *(heeding(line, f"other-{number}") for number in range(4))))
    assert line.told == {}


@pytest.mark.parametrize("ingestors", [2, 5])
def test_of_several_ingestors_each_gets_a_part_of_its_probes_and_still_tells(ingestors: int) -> None:
    line, made = Line(), 0

    def every_nth() -> bool:
        nonlocal made
        made += 1
        return made % ingestors == 0

    line.keep_probe = every_nth
    line.run(90, every(heeding(line, "quiet"), lambda: line.publish("mad", 20, 100_000)))
    assert list(line.told) == ["mad"]


def test_a_line_that_was_quiet_owes_its_queue_to_nothing_older() -> None:
    line = Line()
    line.meter.note_empty(line.now)
    line.run(PATIENT_SECONDS + 5, lambda: line.publish("mad", 20, 100_000))
    assert list(line.told) == ["mad"]


def test_another_connection_begins_anew() -> None:
    line = Line()
    line.run(PATIENT_SECONDS, lambda: line.publish("mad", 20, 100_000))
    line.meter.restart()
    line.queue.clear()
    line.run(PATIENT_SECONDS, lambda: line.publish("mad", 20, 100_000))
    assert line.told == {}
    line.run(PATIENT_SECONDS, lambda: line.publish("mad", 20, 100_000))
    assert list(line.told) == ["mad"]
