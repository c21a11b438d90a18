"""Identities: what an enrolment costs the broker, which does nothing else meanwhile, with so many hosts enrolled."""

from __future__ import annotations

import statistics
import time
from contextlib import closing

from bench.figure import Figure, Options
from bench.stack import Stack, stack, wait_until
from broker import rights
from broker.control import Control, write_enrolment
from broker.identities import Identity, write_identities
from core.home import Credential
from core.settings import BrokerAddress

FLEETS = (1_000, 5_000, 20_000)
SAMPLES = 20


def measure_identities(options: Options) -> list[Figure]:
    """Of Mosquitto's plugin, which writes its whole file for each enrolment. The database has no part in it."""
    if options.database != "sqlite":
        return []
    return [_measure(options, options.scaled(hosts)) for hosts in FLEETS]


def _measure(options: Options, hosts: int) -> Figure:
    options.say(f"{hosts:,} hosts enrolled")
    with stack(options.database) as made:
        _enrol(made, hosts)
        begun = time.perf_counter()
        made.restart_broker()
        wait_until(made.listens, "the broker listens")
        start = time.perf_counter() - begun
        with closing(Control(BrokerAddress("mqtt", "127.0.0.1", made.port), made.home.credential("keeper"))) as control:
            control.open()
            seconds = [_time(control, number) for number in range(SAMPLES)]
        size = (made.home.broker / "dynsec.json").stat().st_size / 1e6
        memory = made.broker.peak_megabytes()
    return Figure(
        f"one more host enrolled, of {hosts:,}", f"{statistics.median(seconds) * 1e3:.0f} ms", "", None,
        f"file of {size:.1f} MB, broker starts in {start:.1f} s and takes {memory:.0f} MB",
    )  # fmt: skip


def _enrol(made: Stack, hosts: int) -> None:
    """Write the identities of a fleet while the broker is stopped."""
    made.broker.end()
    names = [f"host-{number:06d}" for number in range(hosts)]
    write_identities(
        made.home.broker / "dynsec.json",
        (Identity(Credential(name, name * 3), rights.agent_role(name), rights.agent_rights(name), name)
         for name in names),
    )  # fmt: skip


def _time(control: Control, number: int) -> float:
    begun = time.perf_counter()
    if errors := control.command(write_enrolment(f"late-{number}", "a secret of the bench, long enough")):
        raise RuntimeError("; ".join(errors))
    return time.perf_counter() - begun
