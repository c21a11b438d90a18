"""The agent: how soon it speaks, what it takes at 100 lines a second, and how fast it works off a burst.

It is the file that hosts get, compiled as it is when installed, and follows one log; the ingestor and Mosquitto are on
the same cores.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from agents.compiled import compile_modules
from api.agent_file import build_agent_file
from bench.figure import Figure, Options, rate
from bench.stack import Process, Stack, stack, wait_until

SECONDS = 60
LINES_A_SECOND = 100
BURST_LINES = 200_000
# of what sshd writes when a password of an unknown user is tried, these are events
EVENTS_OF_A_TRY, LINES_OF_A_TRY = 2, 4
_FOLLOW = """
import sys
from pathlib import Path
from agents import agent_linux
from agents.journal import Journal
from heimdall.agent import main
nothing = Path("/nonexistent")
made = lambda host: agent_linux.LinuxCollector(host, Journal([str(nothing)]), [Path(sys.argv[1])], (), nothing, ())
agent_linux.make_collector = made
sys.exit(main(["agent", "--kind", "linux"]))
"""


def measure_agent(options: Options) -> list[Figure]:
    """Best of three starts; then one agent follows a log for a minute, and gets a burst."""
    if options.database != "sqlite":
        return []
    with stack("sqlite") as made:
        made.start_ingestor()
        file, log = made.folder / "agent.pyz", made.folder / "auth.log"
        file.write_bytes(compile_modules(build_agent_file()))
        log.touch()
        made.environment["PYTHONPATH"] = str(file)
        started = min(_time_start(made, log, turn) for turn in range(options.turns))
        agent = _start(made, log)
        agent.wait_for("first start")
        share, stored = _follow(made, agent, log, 5 if options.quick else SECONDS)
        burst = _burst(made, log, options.scaled(BURST_LINES), stored)
        memory = agent.peak_megabytes()
    return [
        Figure("agent: from its start until it is connected", f"{started:.2f} s", "< 0.5 s", started < 0.5),
        Figure(
            f"agent: CPU at {LINES_A_SECOND} lines a second", f"{share:.2f} % of a core", "< 0.5 %", share < 0.5
        ),
        Figure("agent: a burst of lines, until all events are stored", rate(burst), "≥ 20,000/s", burst >= 20_000),
        Figure("agent: memory (resident, at most)", f"{memory:.0f} MB", "< 35 MB", memory < 35),
    ]  # fmt: skip


def _start(made: Stack, log: Path) -> Process:
    return made.start("agent", "-P", "-c", _FOLLOW, str(log))


def _time_start(made: Stack, log: Path, turn: int) -> float:
    begun = time.monotonic()
    agent = _start(made, log)
    agent.wait_for("connected to", turn + 1)
    seconds = time.monotonic() - begun
    agent.end()
    return seconds


def _write_tries(count: int, first: int) -> str:
    lines = []
    for number in range(first, first + count):
        sshd = f"Nov 23 06:55:{number % 60:02d} web-01 sshd[{number}]: "
        end = f"from 192.0.2.7 port {number % 60_000 + 1024}"
        lines += [
            f"{sshd}Invalid user admin {end}",
            f"{sshd}pam_unix(sshd:auth): check pass; user unknown",
            f"{sshd}Failed password for invalid user admin {end} ssh2",
            f"{sshd}Connection closed by invalid user admin 192.0.2.7 port {number % 60_000 + 1024} [preauth]",
        ]
    return "\n".join(lines) + "\n"


def _append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def _follow(made: Stack, agent: Process, log: Path, seconds: int) -> tuple[float, int]:
    """The share of a core at the rate of `LINES_A_SECOND`, in percent, and how many events are stored then."""
    tries = LINES_A_SECOND // LINES_OF_A_TRY // 5
    begun, before = time.monotonic(), agent.cpu_seconds()
    for turn in range(seconds * 5):
        _append(log, _write_tries(tries, turn * tries))
        time.sleep(max(0.0, begun + (turn + 1) / 5 - time.monotonic()))
    share = 100 * (agent.cpu_seconds() - before) / (time.monotonic() - begun)
    stored = tries * seconds * 5 * EVENTS_OF_A_TRY
    wait_until(partial(_has, made, stored), "every event is stored")
    return share, stored


def _burst(made: Stack, log: Path, lines: int, stored: int) -> float:
    """Lines a second, from when they are in the log until every event of them is committed."""
    tries = lines // LINES_OF_A_TRY
    text = _write_tries(tries, stored)
    begun = time.monotonic()
    _append(log, text)
    wait_until(partial(_has, made, stored + tries * EVENTS_OF_A_TRY), "every event of the burst is stored")
    seconds = time.monotonic() - begun
    made.prove_stored(stored + tries * EVENTS_OF_A_TRY)
    return lines / seconds


def _has(made: Stack, events: int) -> bool:
    return made.newest_id() >= events
