"""`python -m bench [NAME...]`: measure, and print one table. Exit codes: 0 all met, 1 some missed, 2 wrong use, 130."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench import agent, detection, growth, heartbeat, identities, listeners, quiet, reading, sigma, silence, throughput
from bench.figure import Figure, Options

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the PostgreSQL server of the tests

MEASURES: dict[str, Callable[[Options], list[Figure]]] = {
    "single": lambda options: throughput.measure_events(options, "one event a message", 1, 100_000),
    "hundred": lambda options: throughput.measure_events(options, "100 events a message", 100, 400_000),
    "heartbeats": throughput.measure_heartbeats,
    "backlog": throughput.measure_backlog,
    "quiet": quiet.measure_latency,
    "growth": growth.measure_growth,
    "bytes": growth.measure_bytes,
    "idle": quiet.measure_idle,
    "identities": identities.measure_identities,
    "agent": agent.measure_agent,
    "silence": silence.measure_silence,
    "reading": reading.measure_reading,
    "http": heartbeat.measure_heartbeat,
    "listeners": listeners.measure_listeners,
    "detection": detection.measure_detection,
    "sigma": sigma.measure_sigma,
}
DATABASES = ("sqlite", "postgresql")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASURES)} (default: all)"
    )
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="small counts: to see that it works, not how fast it is")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of `logs` for `growth` and `reading`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in MEASURES]:
        parser.error(f"unknown: {', '.join(unknown)}; use {', '.join(MEASURES)}")
    # told to end, it ends like Ctrl-C: what it started is ended too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    figures = []
    print(describe_machine())
    try:
        for name in asked.names or MEASURES:
            for database in DATABASES if asked.database == "both" else (asked.database,):
                found = MEASURES[name](Options(database, asked.quick, asked.rows))
                figures += [(database, figure) for figure in found]
    except KeyboardInterrupt:
        return 130
    finally:
        print_table(figures)
    if asked.json:
        told = [{"database": database, **figure._asdict()} for database, figure in figures]
        asked.json.write_text(
            json.dumps({"machine": describe_machine(), "figures": told}, indent=1, ensure_ascii=False)
        )
    return 1 if any(figure.met is False for _, figure in figures) else 0


def describe_machine() -> str:
    """The machine and the versions, in one line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    cores = len(sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*")))
    broker = subprocess.run(["/usr/sbin/mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    return (
        f"{model}, {cores} cores, {memory:.0f} GB; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {broker.splitlines()[0] if broker else 'no Mosquitto'}"
    )


def print_table(figures: list[tuple[str, Figure]]) -> None:
    """One aligned line a figure; the rates that a ratio was made of stand at its end."""
    met = {True: "met", False: "MISSED", None: ""}
    rows = [
        (figure.name, database, figure.measured, figure.target, met[figure.met], figure.detail)
        for database, figure in figures
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
