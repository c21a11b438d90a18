from __future__ import annotations

import os
import socket
import subprocess
import sys

from store import slots


def holder_of(pid: int, started: str | None = None) -> str:
    return f"{socket.gethostname()}/{pid}/{slots._started(pid) if started is None else started}/abcd"


def test_a_process_that_runs_is_not_dead_and_one_that_has_ended_is() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = holder_of(process.pid)
    assert not slots.is_dead(holder)
    process.communicate()
    assert slots.is_dead(holder)


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    assert slots.is_dead(holder_of(os.getpid(), "1"))
    assert not slots.is_dead(holder_of(os.getpid()))
    assert slots.is_dead(holder_of(os.getppid(), "1"))


def test_of_another_machine_nothing_is_known() -> None:
    assert not slots.is_dead("elsewhere/1/1/abcd")
    assert not slots.is_dead("")
