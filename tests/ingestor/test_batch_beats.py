"""What a batch keeps of heartbeats: every one, in order, with what can be counted and nothing that cannot be stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from core.clock import rfc3339
from core.messages import Heartbeat, encode
from core.topics import HEARTBEAT, host_topic
from ingestor.batch import Batch
from store import Beat, WriteBatch, open_store

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def taken(*payloads: bytes, expiry_left: int | None = None) -> Batch:
    batch = Batch()
    for payload in payloads:
        packet = mqtt5.PublishPacket(host_topic("web-01", HEARTBEAT), payload, message_expiry_interval=expiry_left)
        batch.take(None, packet, NOW)
    return batch


def test_every_heartbeat_is_kept_in_order_with_what_its_journey_took() -> None:
    sent = [encode(Heartbeat("LINUX", NOW - timedelta(seconds=2), seq, "a", 10.0, 7)) for seq in (1, 0, 2)]
    assert taken(*sent).beats == [Beat("web-01", "LINUX", NOW, seq, "a", 10.0, 7, 2.0) for seq in (1, 0, 2)]


def test_what_waited_is_dated_back_and_its_journey_is_not_shortened() -> None:
    [beat] = taken(encode(Heartbeat("LINUX", NOW - timedelta(seconds=5), 1, "a", 10.0)), expiry_left=16).beats
    assert (beat.at, beat.delay_seconds) == (NOW - timedelta(seconds=4), 5.0)


def test_a_heartbeat_over_http_tells_neither_seq_nor_boot_and_is_counted(tmp_path: Path) -> None:
    batch = taken(*[encode(Heartbeat("LINUX"))] * 2)
    assert batch.beats == [Beat("web-01", "LINUX", NOW)] * 2
    store = open_store(f"sqlite:///{tmp_path / 'mini_siem.db'}")
    store.write(WriteBatch([], NOW, [], batch.beats))
    figures = store.read_beats("web-01", NOW)
    assert figures is not None
    assert (figures.total, figures.lost, figures.loss, figures.interval_s) == (2, 0, None, 60.0)
    store.close()


@pytest.mark.parametrize(
    "told",
    [
        {"seq": -1}, {"seq": 2**53}, {"seq": 2**63}, {"seq": 2**64 - 1}, {"boot": ""}, {"boot": "a\0b"},
        {"boot": "x" * 65}, {"boot": "\u202e"}, {"boot": None}, {"seq": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_seq_or_boot_that_no_agent_tells_is_none_and_the_heartbeat_counts(told: dict[str, Any]) -> None:
    payload = json.dumps({"os_type": "LINUX", "seq": 5, "boot": "a", "sent_at": rfc3339(NOW)} | told).encode()
    [beat] = taken(payload).beats
    assert (beat.seq, beat.boot, beat.delay_seconds) == (None, None, 0.0)


@pytest.mark.parametrize("host_says", [-1, 2**53, 2**64 - 1])
def test_a_spool_that_no_agent_has_is_none(host_says: int) -> None:
    [beat] = taken(json.dumps({"os_type": "LINUX", "seq": 5, "boot": "a", "spool": host_says}).encode()).beats
    assert (beat.spool, beat.seq) == (None, 5)


def test_intervals_as_short_and_clocks_as_wrong_as_can_be_told_are_counted(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'mini_siem.db'}")
    for seq, (interval, sent_at) in enumerate(
        [(5e-324, "0001-01-01T00:00:00Z"), (604_800, "9999-12-31T23:59:59Z"), (1e-9, "9999-12-31T23:59:59Z")]
    ):
        told = {"os_type": "LINUX", "seq": seq, "boot": "a", "interval_s": interval, "sent_at": sent_at}
        batch = taken(json.dumps(told).encode())
        assert batch.dead == []
        store.write(WriteBatch([], NOW, [], batch.beats))
    figures = store.read_beats("web-01", NOW)
    assert figures is not None
    assert figures.total == 3
    store.close()
