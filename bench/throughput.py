"""Throughput: events one and a hundred a message, heartbeats, a backlog; beside the bare pipeline and the ceiling."""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import NamedTuple

from bench import ceiling
from bench.figure import Figure, Options, rate, ratio
from bench.load import LAST_HOST, Load
from bench.stack import Process, Sender, Stack, stack, wait_until
from core import topics


class Run(NamedTuple):
    """One run: events a second from the first byte sent to the last row committed, CPU seconds an event."""

    rate: float
    cpu: float


def measure_events(options: Options, name: str, per_message: int, count: int) -> list[Figure]:
    """Ours and the bare pipeline in turn, three times each, on a fresh database each time; the best of each counts."""
    target, least = {1: (0.8, 25_000), 100: (0.7, 45_000)}[per_message]
    load = Load(options.scaled(count), per_message)
    ours: list[Run] = []
    bare: list[Run] = []
    for turn in range(options.turns):
        for runs, start in ((ours, Stack.start_ingestor), (bare, Stack.start_bare)):
            with stack(options.database) as made:
                runs.append(run_events(made, start(made), load))
            options.say(f"{name} {turn + 1}: {'ours' if runs is ours else 'bare'} {runs[-1].rate:,.0f}/s")
    best, bare_best = max(ours).rate, max(bare).rate
    highest, batch = ceiling.measure(options.database, load.count)
    cpu, bare_cpu = min(run.cpu for run in ours), min(run.cpu for run in bare)
    return [
        Figure(f"{name}: events/s ÷ bare pipeline", ratio(best, bare_best), f"≥ {target}", best >= target * bare_best,
               f"ours {rate(best)}, bare {rate(bare_best)}"),
        Figure(f"{name}: events/s", rate(best), f"≥ {rate(least)}", best >= least),
        Figure(f"{name}: events/s ÷ raw insert", ratio(best, highest), "printed", None,
               f"raw insert without a broker {rate(highest)}, {batch:,} a transaction"),
        Figure(f"{name}: CPU an event ÷ bare pipeline", ratio(cpu, bare_cpu), "≤ 1.3", cpu <= 1.3 * bare_cpu,
               f"ours {cpu * 1e6:.1f} µs, bare {bare_cpu * 1e6:.1f} µs"),
    ]  # fmt: skip


def run_events(made: Stack, process: Process, load: Load) -> Run:
    """Send `load` and wait until all is committed; afterwards see that every event is there once."""
    sender = Sender(made, load)
    cpu = process.cpu_seconds()
    seen = sender.send()
    wait_until(lambda: made.newest_id() >= load.count, "every event is committed")
    seconds = time.monotonic() - seen["first_byte"]
    used = process.cpu_seconds() - cpu
    made.prove_stored(load.count)
    return Run(load.count / seconds, used / load.count)


def measure_heartbeats(options: Options) -> list[Figure]:
    """Ours until the last beat's row is committed; beside it a subscriber that stores nothing, until it has it."""
    load = Load(options.scaled(200_000), hosts=10_000, kind=topics.HEARTBEAT)
    ours, bare = [], []
    for turn in range(options.turns):
        with stack(options.database) as made:
            made.start_ingestor()
            seen = Sender(made, load).send()
            wait_until(partial(made.store.get_host, LAST_HOST), "the last heartbeat is committed")
            ours.append(load.count / (time.monotonic() - seen["first_byte"]))
            made.prove_stored(0, min(load.hosts, load.count - 1) + 1)
        with stack(options.database) as made:
            process = made.start_bare(topics.HEARTBEAT)
            seen = Sender(made, load).send()
            process.wait_for("last")
            last = float(process.log.read_text().split("last")[1].split()[0])
            bare.append(load.count / (last - seen["first_byte"]))
        options.say(f"heartbeats {turn + 1}: ours {ours[-1]:,.0f}/s, bare subscriber {bare[-1]:,.0f}/s")
    best, bare_best = max(ours), max(bare)
    return [
        Figure("heartbeats of 10,000 hosts/s ÷ bare subscriber", ratio(best, bare_best), "≥ 0.8",
               best >= 0.8 * bare_best, f"ours {rate(best)}, bare {rate(bare_best)}"),
    ]  # fmt: skip


def measure_backlog(options: Options) -> list[Figure]:
    """A million messages wait on the broker; how fast they are worked off, and how much memory that takes."""
    load = Load(options.scaled(1_000_000), window=4_000)
    with stack(options.database) as made:
        made.start_ingestor().end()
        options.say(f"backlog: filling the broker with {load.count:,} messages")
        Sender(made, load).send()
        process = made.start("ingestor", "-m", "heimdall", "ingest")
        process.wait_for("is subscribed at", 3)
        begun = time.monotonic()
        wait_until(lambda: made.newest_id() >= load.count, "the backlog is worked off", 900)
        worked_off = load.count / (time.monotonic() - begun)
        memory = process.peak_megabytes()
        process.end(signal.SIGTERM)
        made.prove_stored(load.count)
    with stack(options.database) as made:
        fresh = run_events(made, made.start_ingestor(), Load(options.scaled(100_000))).rate
    return [
        Figure("1,000,000 waiting: events/s ÷ events as they come", ratio(worked_off, fresh), "≥ 1.0",
               worked_off >= fresh, f"waiting {rate(worked_off)}, as they come {rate(fresh)}"),
        Figure("1,000,000 waiting: ingestor's memory", f"{memory:.0f} MB", "< 200 MB", memory < 200),
    ]  # fmt: skip
