"""`heimdall agent`: a command among the others, and the only one of the agent's file, `agent.pyz`. Python 3.9."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from agents.run import add_arguments, run
from core.settings import Settings
from heimdall.command import add_command, add_commands, make_parser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the agent's file. Returns the exit code."""
    top = make_parser()
    add_agent(add_commands(top))
    return run_command(top, arguments)


def add_agent(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `agent` with its options to `commands`."""
    meaning = "Run this machine's agent, or read one log with --read FILE --once."
    add_arguments(add_command(commands, "agent", run_agent, meaning))


def run_agent(settings: Settings, options: argparse.Namespace) -> int:
    return run(settings, options)
