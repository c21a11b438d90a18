"""`heimdall agent`: a command among the others, and all that the agent's file is. Python 3.9."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Callable

from agents.run import add_arguments, add_work_arguments, run
from core import agent_file
from core.errors import Invalid
from core.settings import Settings
from heimdall.command import DONE, FAILED, Command, make_parser, run_command

if TYPE_CHECKING:
    from agents.service import Service

MEANING = "Run this machine's agent, or read one log with --read FILE --once."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the agent's file: that of `heimdall agent`. Returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    top = make_parser(agent_file.NAME, MEANING)
    fill_agent(top)
    # the file of before wanted the command's name, and what was printed for it is still typed
    return run_command(top, words[1:] if words[:1] == ["agent"] else words)


def fill_agent(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options of `heimdall agent`, and the commands that make it a service."""
    parser.set_defaults(command=run, name="agent")
    add_arguments(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add = partial(_add_command, commands)
    add_work_arguments(add("install", run_install, "Make the agent a service of this machine, which starts at boot."))
    removing = add("uninstall", run_uninstall, "Stop and remove the service.")
    removing.add_argument(
        "--purge", action="store_true", default=False, help="its home too: identity, and what waits in the spool"
    )
    telling = add("status", run_status, "Tell how the service is. Exit code 0: it runs.")
    telling.add_argument("--json", action="store_true", help="print JSON")
    renewing = add(
        "upgrade", run_upgrade, "Take the agent's file of the server where the service is enrolled, if newer."
    )
    renewing.add_argument("--force", action="store_true", default=False, help="an older one too")


def run_install(settings: Settings, options: argparse.Namespace) -> int:
    from agents.install import install  # noqa: PLC0415 -- an agent at work has no use for it

    return install(find_service(), settings, options)


def run_uninstall(_: Settings, options: argparse.Namespace) -> int:
    from agents.install import uninstall  # noqa: PLC0415 -- an agent at work has no use for it

    return uninstall(find_service(), options.purge)


def run_status(_: Settings, options: argparse.Namespace) -> int:
    from agents.install import describe  # noqa: PLC0415 -- an agent at work has no use for it

    told = describe(find_service())
    if options.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name}: {_say(value)}")
    return DONE if told["running"] else FAILED


def run_upgrade(_: Settings, options: argparse.Namespace) -> int:
    from agents.upgrade import upgrade  # noqa: PLC0415 -- an agent at work has no use for it

    return upgrade(find_service(), options.force)


def _say(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def find_service() -> Service:
    """The service of this machine's kind. Raises `Invalid` when that is unknown."""
    from agents.service_launchd import LaunchdService  # noqa: PLC0415 -- an agent at work has no use for it
    from agents.service_systemd import SystemdService  # noqa: PLC0415 -- an agent at work has no use for it
    from agents.service_windows import WindowsTask  # noqa: PLC0415 -- an agent at work has no use for it

    services: dict[str, Callable[[], Service]] = {
        "Linux": SystemdService, "Darwin": LaunchdService, "Windows": WindowsTask.of_this_machine
    }  # fmt: skip
    system = platform.system()
    if system not in services:
        raise Invalid(
            f"how a service is made on {system or 'this machine'} is unknown: run the agent without `install`"
        )
    return services[system]()


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, meaning: str
) -> argparse.ArgumentParser:
    # an option that is not given must not undo what stands before the command's name
    sub = commands.add_parser(name, help=meaning, description=meaning, argument_default=argparse.SUPPRESS)
    sub.set_defaults(command=command, name=f"agent {name}")
    return sub
