"""The frame of a command line: what a command is, and how one is run. Python 3.9: it is in the agent's file too."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from core.errors import HeimdallError, Invalid
from core.settings import LOGS, Settings, load
from core.text import JsonFormatter, LineFormatter

Command = Callable[[Settings, argparse.Namespace], int]

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def make_parser(
    program: str = "heimdall", meaning: str = "Which machines are alive right now, and what has happened on them?"
) -> argparse.ArgumentParser:
    """The command line without any command."""
    top = argparse.ArgumentParser(
        prog=program,
        description=meaning,
        epilog="Settings are variables of the environment: docs/settings.md has them all.",
    )
    top.add_argument("--version", action="version", version=f"heimdall {version('heimdall-siem')}")
    top.add_argument("--log", choices=LOGS, help="how to log, in lines of text or of JSON (default: HEIMDALL_LOG)")
    return top


def add_commands(top: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """Where the commands of `top` go, by `add_command`."""
    return top.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, meaning: str
) -> argparse.ArgumentParser:
    """Add `command` under `name`; returns its parser, for its options."""
    sub = commands.add_parser(name, help=meaning, description=meaning)
    sub.set_defaults(command=command, name=name)
    return sub


def run_command(top: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Run the command that `arguments` name. Returns the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    options = top.parse_args(arguments)
    os.umask(0o077)  # whatever is written is for its owner alone
    if options.log:
        os.environ["HEIMDALL_LOG"] = options.log  # what is started by this one logs so too
    _log_to_stderr()
    command: Command = options.command
    try:
        code = command(load(), options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # whoever reads has had enough, as in `| head`; what the buffer still holds goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except HeimdallError as error:
        print(f"heimdall {options.name}: {error}", file=sys.stderr)
        return WRONG_USE if isinstance(error, Invalid) else FAILED
    except ModuleNotFoundError as error:
        print(
            f"heimdall {options.name}: {error.name} is not installed: "
            "the agent alone is; for the rest, pip install 'heimdall-siem[server]'",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    line = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
    in_json = os.environ.get("HEIMDALL_LOG", "").strip() == "json"
    handler.setFormatter(JsonFormatter() if in_json else LineFormatter(line, "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it lists its own plugins
