"""Write the pages of `docs/` that are made of the code, and check the commands that the others name.

`python -m tools.document` writes, `python -m tools.document --check` compares and changes nothing.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents import audit_lines, container_lines, firewall_lines, linux_lines, macos_lines, web_lines, windows_events
from agents.floods import SCAN_PORTS
from agents.pihole_queries import BLOCKED, SEVERITY
from agents.rules import Rule
from core.agent_file import NAME as AGENT_FILE
from core.metrics import COUNTER, FLEET, METRICS
from core.settings import SETTINGS
from heimdall.main import parser
from tools import asyncapi

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def settings_page() -> str:
    """`docs/settings.md`: every variable, its default and its meaning."""
    rows = [
        f"| `{setting.name}` | {f'`{setting.default}`' if setting.default else ''} | {setting.meaning} |"
        for setting in SETTINGS
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Variables of the environment; a wrong value is an error that names it. (Made from `core/settings.py`.)",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
            "The broker's credentials lie in `$HEIMDALL_HOME/credentials/NAME`, one line `user:password` each,",
            "mode 0600: `ingestor`, `watch`, `keeper`, `api`, `ops` (reads everything, publishes nothing) and `agent`.",
            "",
        ]
    )


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """The commands of `heimdall`, by name; one below another by both names, such as `agent install`."""
    return dict(_below(parser(), ""))


def _below(command: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield f"{name}{word}", sub
                yield from _below(sub, f"{name}{word} ")


def commands_page() -> str:
    """`docs/commands.md`: every command with its options, as `--help` shows them."""
    lines = [
        "# Commands",
        "",
        "What `heimdall COMMAND --help` says. (Made from `heimdall/main.py`.)",
        "Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.",
    ]
    for name, command in subcommands().items():
        lines += ["", f"## heimdall {name}", "", command.description or "", ""]
        options = [
            action
            for action in command._actions
            if "--help" not in action.option_strings and not isinstance(action, argparse._SubParsersAction)
        ]
        for action in options:
            value = f" {action.metavar or action.dest.upper()}" if action.nargs != 0 and not action.choices else ""
            choices = f" {'|'.join(map(str, action.choices))}" if action.choices else ""
            meaning = (action.help or "").replace("%(default)s", str(action.default))
            lines.append(f"- `{', '.join(action.option_strings)}{value}{choices}`: {meaning}")
    return "\n".join([*lines, ""])


def rules_page(kind: str, rules: Sequence[Rule], file: str) -> str:
    """`docs/agent-KIND.md`: what the agent of a kind recognises."""
    rows = [f"| {rule.event_type} | {rule.severity} | {rule.description} |" for rule in rules]
    return "\n".join(
        [
            f"# What the {kind} agent recognises",
            "",
            f"The first rule that fits a line decides; a line that fits none is no event. (Made from `{file}`.)",
            "",
            "| event type | severity | what is recognised |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def linux_page() -> str:
    """`docs/agent-linux.md`: what the Linux agent recognises, source by source."""
    blocked = [rule for rule in firewall_lines.OWN_RULES if "kernel" in rule.programs]
    parts = [
        (
            "The journal, or syslog's files",
            "The first rule that fits a line decides."
            " (Made from `agents/linux_lines.py` and `agents/container_lines.py`.)",
            [(rule.event_type, rule.severity, rule.description) for rule in linux_lines.RULES + container_lines.RULES],
        ),
        (
            "The kernel's firewall, in the same",
            "(Made from `agents/firewall_lines.py` and `agents/floods.py`.)",
            [
                *((rule.event_type, rule.severity, rule.description) for rule in blocked),
                ("PORT_SCAN", 3, f"{SCAN_PORTS} ports of one host that are blocked for one source within a minute"),
            ],
        ),
        (
            "Audit records, of auditd, the journal or the kernel's log",
            "(Made from `agents/audit_lines.py`.)",
            [(rule.event_type, rule.severity, rule.description) for rule in audit_lines.RULES],
        ),
        (
            "Web servers' access logs",
            "The first rule that fits a request decides. The graver severity is that of an attack which the server"
            " answered with 2xx. (Made from `agents/web_lines.py`.)",
            [("WEB_ATTACK", "3" if rule.is_probe else "3, 4", rule.description) for rule in web_lines.RULES],
        ),
    ]
    lines = ["# What the Linux agent recognises", "", "A line that fits no rule is no event.", ""]
    for title, about, rules in parts:
        lines += [f"## {title}", "", about, "", "| event type | severity | what is recognised |", "|---|---|---|"]
        lines += [f"| {event_type} | {severity} | {description} |" for event_type, severity, description in rules]
        lines.append("")
    return "\n".join(lines)


def pihole_page() -> str:
    """`docs/agent-pihole.md`: what the Pi-hole agent recognises."""
    rows = [f"| {status} | DNS_BLOCK | {SEVERITY} | {meaning} |" for status, meaning in BLOCKED.items()]
    return "\n".join(
        [
            "# What the Pi-hole agent recognises",
            "",
            "A query that FTL's database calls blocked. The same client, domain and status within a minute of the clock"
            " are one event, with the count. (Made from `agents/pihole_queries.py`.)",
            "",
            "| FTL's status | event type | severity | why the query was blocked |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def macos_page() -> str:
    """`docs/agent-macos.md`: what the macOS agent recognises."""
    rules = [*macos_lines.RULES, *macos_lines.shared_rules()]
    rows = [f"| {rule.event_type} | {rule.severity} | {rule.description} |" for rule in rules]
    return "\n".join(
        [
            "# What the macOS agent recognises",
            "",
            "The first rule that fits an entry of the unified log decides; one that fits none is no event. OpenSSH and"
            " sudo write what they write on Linux. (Made from `agents/macos_lines.py` and `agents/linux_lines.py`.)",
            "",
            "| event type | severity | what is recognised |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def windows_page() -> str:
    """`docs/agent-windows.md`: what the Windows agent recognises."""
    rows = [
        f"| {rule.event_id} | {rule.channel} | {rule.event_type} | {rule.severity} | {rule.description} |"
        for rule in windows_events.RULES
    ]
    return "\n".join(
        [
            "# What the Windows agent recognises",
            "",
            "An event is known by its number and its provider; of several rules the first that fits decides. No other"
            " event is asked for. (Made from `agents/windows_events.py`.)",
            "",
            "| number | log | event type | severity | what is recognised |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def metrics_page() -> str:
    """`docs/metrics.md`: what Prometheus can ask for."""
    rows = [
        f"| `heimdall_ingestor_{metric.name}{'_total' if metric.kind == COUNTER else ''}` "
        f"| {metric.kind} | {metric.meaning} |"
        for metric in METRICS
    ]
    fleet = [
        f"| `heimdall_{metric.name}{'_total' if metric.kind == COUNTER else ''}` | {metric.kind} | {metric.meaning} |"
        for metric in FLEET
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "`GET /metrics` with the header `api-key`, in Prometheus' text format. (Made from `core/metrics.py`.)",
            "Every ingestor gives its numbers with its sign of life, every 2 s, so one address is enough for any",
            "number of them; the label `instance` is the ingestor's slot. No label holds a host's name.",
            "",
            "```",
            "scrape_configs:",
            "  - job_name: heimdall",
            "    static_configs: [{targets: ['127.0.0.1:8010']}]",
            "    http_headers: {api-key: {files: [/etc/prometheus/heimdall-api-key]}}",
            "```",
            "",
            "| metric | kind | meaning |",
            "|---|---|---|",
            "| `heimdall_up` | gauge | 1 while a service is alive and well; labels `service` and `instance`. |",
            *fleet,
            *rows,
            "",
        ]
    )


PAGES = {
    "metrics.md": metrics_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "agent-linux.md": linux_page,
    "agent-firewall.md": lambda: rules_page("firewall", firewall_lines.RULES, "agents/firewall_lines.py"),
    "agent-pihole.md": pihole_page,
    "agent-windows.md": windows_page,
    "agent-macos.md": macos_page,
    "asyncapi.yaml": asyncapi.page,
}


def prose() -> list[Path]:
    """Every page that a person wrote or reads."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]


def named_commands(page: Path) -> Iterator[list[str]]:
    """The words of every `heimdall …` and `make …` that a page shows as code; the agent's file is `heimdall agent`."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for line in [*(line for block in blocks for line in block.splitlines()), *spans]:
        agent = re.sub(rf"^(?:sudo )?(?:python3|py) (?:\S*/)?{re.escape(AGENT_FILE)}", "heimdall agent", line.strip())
        found = re.match(r"(?:[$#] )?(?:[A-Z_]+=\S* )*(?:\S*/)?((?:heimdall|make) .*)", agent)
        if found:
            yield shlex.split(re.split(r"\s*(?:[|;&>]|\s#)", found[1])[0].replace("…", ""))


def wrong_commands() -> list[str]:
    """What pages say to type and does not exist: a command, an option, a target of make."""
    known = subcommands()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for page in prose():
        for program, *words in named_commands(page):
            where = f"{page.relative_to(ROOT)}: `{' '.join([program, *words])}`"
            if program == "make":
                goals = [word for word in words if "=" not in word]
                wrong += [f"{where}: no target {goal}" for goal in goals if goal not in targets]
            elif words and not words[0].startswith("-") and not words[0].isupper():
                for name in words[0].split("|"):
                    if name not in known:
                        wrong.append(f"{where}: no command {name}")
                        continue
                    below = known.get(" ".join([name, *words[1:2]]), known[name])
                    options = {
                        text for action in (*known[name]._actions, *below._actions) for text in action.option_strings
                    }
                    used = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
                    wrong += [f"{where}: no option {option}" for option in used if option not in options]
    return wrong


def main() -> int:
    check = "--check" in sys.argv[1:]
    trouble = []
    for name, make in PAGES.items():
        page, text = DOCS / name, make()
        if not check:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            trouble.append(f"docs/{name} is not what the code says: run python -m tools.document")
    trouble += wrong_commands()
    for line in trouble:
        print(line, file=sys.stderr)
    return 1 if trouble else 0


if __name__ == "__main__":
    raise SystemExit(main())
