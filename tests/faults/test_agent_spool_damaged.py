"""The file of the agent's spool is damaged, while the agent is away and while it works."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from faults_site import Site
from observed import expect_beats, stored_numbers, take_alerts
from waiting import wait_until

pytestmark = pytest.mark.mosquitto
Often = Callable[[int], int]


def damage(file: Path, chance: random.Random, kind: str) -> None:
    """Write garbage over the spool: all of it, its head, or here and there, where SQLite may not even notice."""
    for path in (file, file.with_name(file.name + "-wal")):
        size = path.stat().st_size if path.exists() else 0
        with path.open("r+b") as opened:
            if kind == "all":
                opened.write(chance.randbytes(size))
            elif kind == "head":
                opened.write(chance.randbytes(min(100, size)))
            else:
                for _ in range(size // 50_000):
                    opened.seek(chance.randrange(size))
                    opened.write(chance.randbytes(chance.randrange(500, 8_000)))


def waiting_ids(here: Site, host: str) -> set[str]:
    with closing(sqlite3.connect(f"file:{here.agent_home(host).agent_spool}?mode=ro", uri=True)) as spool:
        return {text for (text,) in spool.execute("SELECT payload ->> 'event_id' FROM spool")}


def asides(here: Site, host: str) -> list[Path]:
    return [*here.agent_home(host).agent_spool.parent.glob("*.damaged-*Z")]


def let_wait(here: Site, host: str) -> None:
    """Stop the ingestor until some events wait in the spool of `host`."""
    before = here.stored()
    wait_until(lambda: here.stored() > before, "something is stored")
    here.ingestor.send(signal.SIGSTOP)
    wait_until(lambda: here.spooled(host)[1] > 1_000, "events wait")


@pytest.mark.parametrize("kind", ["all", "head", "here and there"])
def test_a_spool_damaged_while_the_agent_is_away_costs_only_what_lay_in_it(
    here: Site, chance: random.Random, kind: str
) -> None:
    host = here.hosts[0]
    here.start()
    for each in here.hosts:
        here.start_agent(each)
    agent = here.agents[host]
    let_wait(here, host)
    agent.kill()
    position = here.spooled(host)[0]
    here.forgiven = waiting_ids(here, host)
    damage(here.agent_home(host).agent_spool, chance, kind)
    here.ingestor.send(signal.SIGCONT)
    # a source without a position begins at its end, as the readers of logs do
    here.start_agent(host, TEST_BEGIN=str(position))
    wait_until(lambda: here.spooled(host)[0] > position, "new events flow")
    expect_beats(here, host, 1)
    here.enough()
    expect_told(here, host, must=kind != "here and there")
    here.expect_all_stored_once(dead=here.rows("SELECT count(*) FROM dead_letters")[0][0])
    assert kind == "here and there" or here.rows("SELECT count(*) FROM dead_letters") == [(0,)]


def test_a_spool_damaged_while_the_agent_works_costs_only_what_lay_in_it(
    here: Site, chance: random.Random, often: Often
) -> None:
    host = here.hosts[0]
    here.start()
    for each in here.hosts:
        here.start_agent(each)
    agent = here.agents[host]
    damaged_at: list[int] = []
    for _ in range(often(4)):
        let_wait(here, host)
        # more than SQLite holds in memory, so that it must look into the file again
        wait_until(lambda: here.spooled(host)[1] > 8_000, "much waits")
        agent.send(signal.SIGSTOP)
        damaged_at.append(here.spooled(host)[0])
        here.forgiven |= waiting_ids(here, host)
        damage(here.agent_home(host).agent_spool, chance, "all")
        agent.send(signal.SIGCONT)
        here.ingestor.send(signal.SIGCONT)
        wait_until(lambda: len(asides(here, host)) == len(damaged_at), "the damaged file is kept aside")
        wait_until(lambda: here.spooled(host)[0] > damaged_at[-1], "new events flow")
    here.enough()
    expect_told(here, host)
    wait_until(lambda: here.spooled(host)[1] == 0, "the spool is empty")
    stored, ids = stored_numbers(here, host), here.ids(host, here.spooled(host)[0])
    for position in damaged_at:
        # what was kept before SQLite looked lay in the damaged file too: an unbroken run
        here.forgiven |= set(ids[position : min(number for number in stored if number >= position)])
    here.expect_all_stored_once()


def expect_told(here: Site, host: str, must: bool = True) -> None:
    """Each damaged file is kept aside and told in an event of its own."""
    kept = asides(here, host)
    assert kept or not must
    wait_until(lambda: len(take_alerts(here, host, "spool was damaged")) >= len(kept), "an event says so")
    told = take_alerts(here, host, "spool was damaged")
    assert len(told) == len(kept)
    assert all(any(str(file) in text for text in told) for file in kept)
