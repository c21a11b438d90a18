"""A broker without Heimdall's limits and rights: what comes through there, the ingestor alone must withstand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from line import NOBODY_SUBSCRIBED, Line, encoded, event, running
from waiting import wait_until

from core.topics import DEAD, EVENTS, HEARTBEAT, HOSTS, INFO, RECEIPT, SERVICES, host_topic, is_probe
from store.dead_letters import PAYLOAD_BYTES

pytestmark = pytest.mark.mosquitto

MIB = 2**20


@pytest.fixture(scope="module")
def line(database: str) -> Iterator[Line]:
    with running(database, plain=True) as started:
        started.start_ingestor()
        yield started


@pytest.mark.parametrize(
    ("name", "kind"),
    [("brackets", EVENTS), ("events", EVENTS), ("spaces", EVENTS), ("beat", HEARTBEAT), ("info", INFO)],
)
def test_10_mb_and_more_are_a_dead_letter_of_64_kib_and_neighbours_are_stored(line: Line, name: str, kind: str) -> None:
    host = f"huge-{name}"
    payload = {
        "brackets": b"[" * 10 * MIB,
        "events": encoded([event(host)] * 100_000),
        "spaces": b" " * 10 * MIB + encoded(event(host)),
        "beat": b'{"os_type":"LINUX"' + b" " * 10 * MIB + b"}",
        "info": b'{"os_type":"LINUX","tags":["' + b"x" * 10 * MIB + b'"]}',
    }[name]
    before, after = event(host), event(host)
    line.publisher.send(host_topic(host, EVENTS), encoded(before))
    line.publisher.send(host_topic(host, kind), payload)
    line.publisher.send(host_topic(host, EVENTS), encoded([after]))
    [letter] = wait_until(lambda: line.letters(host_topic(host, kind)), "there is a dead letter")
    assert letter.reason.startswith(f"{len(payload)} bytes")
    assert (letter.size, letter.payload) == (len(payload), payload[:PAYLOAD_BYTES])
    wait_until(lambda: line.stored(host) == [before["event_id"], after["event_id"]], "the neighbours are stored")
    wait_until(lambda: line.notices(host_topic(host, kind)), "there is a notice")


@pytest.mark.parametrize(
    "topic", [f"{HOSTS}/odd/events/more", f"{HOSTS}/events", f"/{HOSTS}/odd/events", "/", f"{HOSTS}/odd/EVENTS"]
)
def test_a_topic_of_other_levels_reaches_nobody(line: Line, topic: str) -> None:
    assert line.publisher.publish(topic, encoded(event("odd"))) == NOBODY_SUBSCRIBED
    line.prove_it_goes_on("after-other-levels")
    assert (line.letters(topic), line.stored("odd")) == ([], [])


def test_a_receipt_goes_to_the_hosts_own_topic_and_nothing_is_published_elsewhere(line: Line) -> None:
    everybody = line.client("ops", "#")
    own = host_topic("honest", RECEIPT)
    wrong = [
        host_topic("victim", RECEIPT), host_topic("victim", EVENTS), host_topic("honest", EVENTS), f"{own}/",
        own.upper(), f"{HOSTS}/honest/../victim/receipt", DEAD, f"{SERVICES}/ingestor/1", "elsewhere", "heimdall", "/",
    ]  # fmt: skip
    sent = [event("honest") for _ in wrong]
    for number, (one, response) in enumerate(zip(sent, wrong, strict=True)):
        # an answer is owed to what is refused, too: it is stored, as a dead letter
        payload = encoded(one) if number % 2 else encoded([one, "refused"])
        line.publisher.send(host_topic("honest", EVENTS), payload, response=response)
    line.publisher.send(host_topic("honest", EVENTS), b"[]", response=own)
    wait_until(lambda: [m for m in everybody.received if m.topic == own], "the receipt that is owed comes")
    assert line.stored("honest") == [one["event_id"] for one in sent]
    signs = {f"{SERVICES}/ingestor/1", DEAD}
    ours = [m for m in everybody.received if is_probe(m.topic)]
    others = [m for m in everybody.received if m.topic not in {*signs, host_topic("honest", EVENTS)} and m not in ours]
    assert [(m.topic, m.payload) for m in others] == [(own, b"")]
    told = [*ours, *(m for m in everybody.received if m.topic in signs)]
    assert all(m.payload for m in told), "no receipt among the notices, signs and probes"
    mine = [m for m in everybody.received if m.topic == host_topic("honest", EVENTS)]
    assert len(mine) == len(sent) + 1, "and none among the events"
    everybody.close()
