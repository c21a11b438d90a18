"""Silence: a fleet of real sessions, broken by a script: what was noticed, how soon, and what the watch cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from bench.figure import Figure, Options
from bench.stack import ROOT, Stack, stack

HOSTS = 10_000
INTERVAL_SECONDS = 30
BLACKOUT_SECONDS = 10  # beyond the three intervals after which a host is silent
_SCRIPT = """
[[fault]]
at = "{settled}s"
kind = "kill"
share = "1%"
for = "60s"

[[fault]]
at = "{settled}s"
kind = "hang"
share = "0.1%"
for = "90s"

[[fault]]
at = "{settled}s"
kind = "mute"
share = "0.1%"

[[fault]]
at = "{settled}s"
kind = "restart"
share = "1%"

[[fault]]
at = "{settled}s"
kind = "roam"
share = "1%"

[[fault]]
at = "{settled}s"
kind = "away"
share = "0.2%"
for = "60s"
late_by = "20s"

[[fault]]
at = "{blackout}s"
run = "kill -STOP {broker}"
blackout = true
until = "{returned}s"

[[fault]]
at = "{dying}s"
kind = "kill"
hosts = 3

[[fault]]
at = "{returned}s"
run = "kill -CONT {broker}"
"""


def measure_silence(options: Options) -> list[Figure]:
    """Nothing may be missed, false, late or doubled, also not over a blackout in which three hosts die."""
    hosts = options.scaled(HOSTS)
    interval = 5 if options.quick else INTERVAL_SECONDS
    with stack(options.database) as made:
        made.start_ingestor()
        watch = made.start("watch", "-m", "heimdall", "watch")
        watch.wait_for("everything that is published is heard")
        begun, used = time.monotonic(), watch.cpu_seconds()
        found = _simulate(made, hosts, interval, options)
        share = (watch.cpu_seconds() - used) / (time.monotonic() - begun)
        memory = watch.peak_megabytes()
    wrong = {kind: found[kind] for kind in ("missed", "false", "late", "doubled")}
    kill = found["delays"]["kill"]
    told = ", ".join(f"{kind} {count}" for kind, count in wrong.items())
    delays = "; ".join(
        f"{label} {one['median_seconds']:.2f} and {one['p99_seconds']:.2f} s" for label, one in found["delays"].items()
    )
    soon = kill["median_seconds"] <= 4.0
    return [
        Figure(f"silence of {hosts:,} hosts", told, "all 0", not any(wrong.values()), f"median and p99: {delays}"),
        Figure("a killed host is said to have crashed: median", f"{kill['median_seconds']:.2f} s", "≤ 4 s", soon),
        Figure("the watch's CPU, of a core", f"{share:.1%}", "", None, f"at most {memory:.0f} MB"),
    ]


def _simulate(made: Stack, hosts: int, interval: int, options: Options) -> dict[str, Any]:
    settled = interval + 10
    begins = settled + interval + 100  # the others are back by then
    returned = begins + 3 * interval + BLACKOUT_SECONDS
    moments = {"settled": settled, "blackout": begins, "dying": begins + 3, "returned": returned}
    script = made.folder / "faults.toml"
    script.write_text(_SCRIPT.format(broker=made.broker.popen.pid, **moments))
    options.say(f"silence: {hosts:,} hosts for some {returned + 5 * interval} s")
    command = ["-m", "heimdall", "sim", "--hosts", str(hosts), "--interval", str(interval), "--faults", str(script)]
    done = subprocess.run(
        [sys.executable, *command, "--json"], env=made.environment, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the simulation ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    for kind in ("missed", "false", "late", "doubled"):
        for one in told["findings"][kind][:5]:
            options.say(f"{kind}: {one}")
    return told
