"""The short form of `make fuzz`."""

from __future__ import annotations

import secrets

import fuzz
import pytest


def test_2000_mutated_payloads_are_stored_or_refused(database: str) -> None:
    seed = secrets.randbits(32)
    print(f"HEIMDALL_FUZZ_SEED={seed}")
    done = fuzz.run(seed, 2_000, database)
    assert done.accepted > 500
    assert done.letters > 500
    assert len(done.classes) > 20, "many ways to be refused were met"


def test_a_run_is_repeated_by_its_seed() -> None:
    first, second = fuzz.Mutations(7), fuzz.Mutations(7)
    assert [first.next() for _ in range(500)] == [second.next() for _ in range(500)]


def test_the_payload_that_breaks_the_store_is_told_in_hex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestor.decode.check_event", lambda *_: None)  # everything of the right types is let through
    with pytest.raises(fuzz.Failed) as failure:
        fuzz.run(1, 2_000, "sqlite")
    assert bytes.fromhex(str(failure.value).splitlines()[-1])
