"""The command line. Each command imports what it needs when it is called: a bare agent has paho-mqtt alone."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial

from agents.kinds import KINDS
from core.errors import Invalid
from core.home import Home
from core.settings import Settings, load
from heimdall.agent import MEANING, fill_agent
from heimdall.backup_options import BACKUP, RESTORE, add_backup_options
from heimdall.command import DONE, add_command, add_commands, make_parser, run_command
from heimdall.sigma_rules import add_rule_options
from heimdall.sim.options import add_sim_options

BROKERS = ("auto", "mosquitto", "embedded")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    return run_command(parser(), arguments)


def parser() -> argparse.ArgumentParser:
    """All commands with their options; `docs/commands.md` is made of it."""
    top = make_parser()
    commands = add_commands(top)
    add = partial(add_command, commands)
    up = add("up", run_up, "Run all in one: broker, ingestor, watch, API and this machine's own agent, until Ctrl-C.")
    up.add_argument("--broker", choices=BROKERS, default="auto", help="which broker to start (default: %(default)s)")
    up.add_argument("--bind", metavar="ADDRESS", help="address to listen on (default: HEIMDALL_BIND)")
    up.add_argument(
        "--insecure", action="store_true", help="listen beyond loopback without TLS: when something else encrypts"
    )
    broker = add("broker", run_broker, "Run the broker: Mosquitto where it is installed, else the embedded one.")
    _add_broker_options(broker)
    ingest = add("ingest", run_ingest, "Run an ingestor: takes what comes over MQTT and stores it.")
    ingest.add_argument(
        "--unshared",
        action="store_true",
        help="subscribe plainly, for a broker that keeps nothing for an absent member of a shared subscription "
        "(the embedded one); only one ingestor may then run",
    )
    watch = add("watch", run_watch, "Watch over the hosts: judges silence, keeps outages, opens alerts.")
    watch.add_argument(
        "--without-sys",
        action="store_true",
        help="for a broker without the topics $SYS (the embedded one): when it was started is then not known, and a "
        "host whose session it only remembers is judged by its heartbeats",
    )
    add("api", run_api, "Run the API: REST, the gateway for HTTP agents, and the page.")
    fill_agent(commands.add_parser("agent", help=MEANING, description=MEANING))
    add("login", run_login, "Print a link that logs in to the page, once, within 15 minutes.")
    add("keeper", run_keeper, "Run the keeper: it alone administers the broker's identities.")
    enroll = add("enroll", run_enroll, "Let a host in: print the command with which it enrols itself, within an hour.")
    _add_enroll_options(enroll)
    revoke = add("revoke", run_revoke, "Cut a host off at the broker, at once.")
    revoke.add_argument("host", metavar="HOST", help="its name")
    revoke.add_argument("--json", action="store_true", help="print JSON")
    _add_forget_options(add("forget", run_forget, "Forget hosts: cut them off, and delete what is known of them."))
    rotate = add("rotate", run_rotate, "Ask hosts for new secrets of their own making; list those that have still to.")
    rotate.add_argument("hosts", nargs="*", metavar="HOST", help="which (without any: only list)")
    rotate.add_argument("--all", action="store_true", help="every enrolled host")
    rotate.add_argument("--json", action="store_true", help="print JSON")
    keys = add("keys", run_keys, "List the API keys; make or revoke one.")
    _add_key_options(keys)
    audit = add("audit", run_audit, "Print the audit trail: who did what, newest first.")
    audit.add_argument("--limit", type=int, default=100, metavar="N", help="so many entries (default: %(default)s)")
    audit.add_argument("--json", action="store_true", help="print JSON")
    alerts = add("alerts", run_alerts, "List the open alerts; see to some; or test whether people can be told of them.")
    _add_alert_options(alerts)
    add_rule_options(add("rules", run_rules, "Keep Sigma rules, by which events open alerts: add, list, remove."))
    silence = add("silence", run_silence, "Tell nothing new of some hosts for a while; list or end what was so said.")
    _add_silence_options(silence)
    maintenance = add("maintenance", run_maintenance, "Announce maintenance, of which nothing is told; list or end it.")
    maintenance.add_argument("--from", metavar="TIME", dest="begins", help="when it begins (RFC 3339; UTC if not said)")
    _add_held_options(maintenance)
    tls = add("tls", run_tls, "TLS: make a certificate for this server, take one from elsewhere, renew or show it.")
    _add_tls_options(tls)
    add_backup_options(add("backup", run_backup, BACKUP), add("restore", run_restore, RESTORE))
    add_sim_options(add("sim", run_sim, "Simulate a fleet with faults, and compare what is said of it with what is."))
    _add_copy_options(add("copy", run_copy, "Move the SQLite database to PostgreSQL, while it is in use."))
    _add_migrate_options(add("migrate", run_migrate, "Bring the database's tables up to date, as each start does."))
    setup = add("setup", run_setup, "Write configuration, identities and keys for containers, then end.")
    setup.add_argument("--broker-folder", metavar="FOLDER", help="where the broker's container reads its files")
    return top


def _add_broker_options(broker: argparse.ArgumentParser) -> None:
    broker.add_argument("--broker", choices=BROKERS, default="auto", help="which one (default: %(default)s)")
    broker.add_argument(
        "action", choices=("run", "check"), nargs="?", default="run",
        help="run (the default); check tries whether a broker has what Heimdall asks of it, and says what does not "
        "work where it has not",
    )  # fmt: skip
    broker.add_argument(
        "url", metavar="URL", nargs="?",
        help="with check: mqtt://HOST:PORT, or mqtts, ws or wss (default: HEIMDALL_BROKER_URL); who logs in is in "
        "HEIMDALL_BROKER_USER and HEIMDALL_BROKER_PASSWORD",
    )  # fmt: skip
    broker.add_argument("--json", action="store_true", help="with check: print JSON")


def _add_enroll_options(enroll: argparse.ArgumentParser) -> None:
    enroll.add_argument("host", metavar="HOST", help="its name; with --auto a pattern of names, such as web-*")
    enroll.add_argument("--replace", action="store_true", help="also when the name is enrolled or alive already")
    enroll.add_argument("--auto", action="store_true", help="for a fleet: one token for several hosts")
    enroll.add_argument("--uses", type=int, metavar="N", help="with --auto: for how many hosts")
    enroll.add_argument("--url", metavar="URL", help="address of the API for the host (default: as seen from here)")
    enroll.add_argument(
        "--run", action="store_true", help="a command that runs the agent as it is, instead of one that installs it"
    )
    enroll.add_argument("--kind", choices=tuple(KINDS), default="linux", help="kind of host (default: %(default)s)")
    enroll.add_argument("--json", action="store_true", help="print JSON")


def _add_forget_options(forget: argparse.ArgumentParser) -> None:
    forget.add_argument("hosts", nargs="+", metavar="HOST", help="their names")
    forget.add_argument("--events", action="store_true", help="delete their events too")
    forget.add_argument("--yes", action="store_true", help="do not ask first")
    forget.add_argument("--json", action="store_true", help="print JSON")


def _add_key_options(keys: argparse.ArgumentParser) -> None:
    act = keys.add_mutually_exclusive_group()
    act.add_argument("--make", metavar="NAME", help="make a key, and print it: it is kept nowhere else")
    act.add_argument("--revoke", metavar="KEY", help="end a key, by its id or its name, within 5 s")
    keys.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE",
        help="with --make, once or more: agent:HOST, agent (any host), read, operate or admin",
    )  # fmt: skip
    keys.add_argument("--expires", metavar="TIME", help="with --make: when it ends, such as 90d, 4w or 1y; else never")
    keys.add_argument("--json", action="store_true", help="print JSON")


def _add_alert_options(alerts: argparse.ArgumentParser) -> None:
    alerts.add_argument(
        "action", choices=("list", "ack", "test"), nargs="?", default="list",
        help="list (the default); ack says that you see to alerts, which are then not escalated; test says something "
        "to each channel of rules.toml and tells whether it was taken",
    )  # fmt: skip
    alerts.add_argument(
        "names", nargs="*", metavar="NAME", help="with ack: the ids of the alerts; with test: only these channels"
    )
    alerts.add_argument(
        "--state", choices=("open", "resolved", "any"), default="open",
        help="with list: which ones (default: %(default)s)",
    )  # fmt: skip
    alerts.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: %(default)s)")
    alerts.add_argument("--json", action="store_true", help="print JSON")


def _add_silence_options(silence: argparse.ArgumentParser) -> None:
    silence.add_argument(
        "--kind", action="append", default=[], metavar="KIND", dest="kinds",
        help="once or more: only alerts of this kind, such as crashed, silent, zombie, overdue or clone",
    )  # fmt: skip
    _add_held_options(silence)


def _add_held_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("hosts", nargs="*", metavar="HOST", help="names, or patterns such as 'web-*' (none: list)")
    command.add_argument("--for", metavar="TIME", dest="duration", help="how long: such as 30m, 2h or 3d, 365d at most")
    command.add_argument("--reason", default="", metavar="TEXT", help="why, for others to read")
    command.add_argument("--end", metavar="ID", help="end one now: what is still broken is then told")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_copy_options(copy: argparse.ArgumentParser) -> None:
    copy.add_argument(
        "--to", required=True, metavar="URL",
        help="an empty database, postgresql://USER@HOST/NAME, or one in which a copy was begun: it is gone on with",
    )  # fmt: skip
    copy.add_argument("--yes", action="store_true", help="do not ask first")
    copy.add_argument("--json", action="store_true", help="print JSON")


def _add_migrate_options(migrate: argparse.ArgumentParser) -> None:
    migrate.add_argument("--check", action="store_true", help="only say whether they are; exit with 1 if not")
    migrate.add_argument("--json", action="store_true", help="print JSON")


def _add_tls_options(tls: argparse.ArgumentParser) -> None:
    tls.add_argument(
        "action", choices=("init", "use", "renew", "rotate", "show"),
        help="init makes an authority and a certificate; use takes one from elsewhere; renew makes a new certificate "
        "now (`up` does so by itself, 30 days before the end); rotate makes a new authority, and once more, when the "
        "hosts know it, ends the old one; show tells what is in use",
    )  # fmt: skip
    tls.add_argument(
        "--name", action="append", default=[], metavar="NAME", dest="names",
        help="with init and renew, once or more: how hosts call this server, a name or an address; the first is told "
        "them (default: this machine's names and addresses)",
    )  # fmt: skip
    tls.add_argument("--certificate", metavar="FILE", help="with use: the certificate and its chain, PEM")
    tls.add_argument("--key", metavar="FILE", help="with use: its private key, PEM without a passphrase")
    tls.add_argument(
        "--ca", metavar="FILE", help="with use: the authority that hosts shall trust, if not one that they do anyway"
    )
    tls.add_argument("--anyway", action="store_true", help="with rotate: also when hosts do not know the new authority")
    tls.add_argument("--json", action="store_true", help="print JSON")


def run_up(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.up import run  # noqa: PLC0415 -- here as everywhere below: only what the command needs

    if options.bind:
        settings = load({**os.environ, "HEIMDALL_BIND": options.bind})
    return run(settings, options.broker, options.insecure)


def run_broker(settings: Settings, options: argparse.Namespace) -> int:
    if options.action == "check":
        from heimdall.broker_check import run  # noqa: PLC0415

        return run(settings, options)
    from broker import launcher  # noqa: PLC0415

    if options.url or options.json:
        raise Invalid("URL and --json belong to heimdall broker check")
    return launcher.run(settings, options.broker)


def run_ingest(settings: Settings, options: argparse.Namespace) -> int:
    from ingestor.main import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, shared=not options.unshared)


def run_watch(settings: Settings, options: argparse.Namespace) -> int:
    from watch.main import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, sys=not options.without_sys)


def run_api(settings: Settings, _: argparse.Namespace) -> int:
    from api.main import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings)


def run_login(settings: Settings, _: argparse.Namespace) -> int:
    from api.auth import make_login_link  # noqa: PLC0415
    from core.clock import utc_now  # noqa: PLC0415
    from store import open_store  # noqa: PLC0415

    store = open_store(settings.database_url, keep_days=settings.keep_days)
    try:
        token = make_login_link(store, utc_now())
    finally:
        store.close()
    print(f"{settings.api_address}/login?token={token}")
    return DONE


def run_keeper(settings: Settings, _: argparse.Namespace) -> int:
    from broker.keeper import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings)


def run_enroll(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.enroll import run_enroll as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_revoke(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.enroll import run_revoke as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_forget(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.forget import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_rotate(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.enroll import run_rotate as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_keys(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.keys import run_keys as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_audit(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.keys import run_audit as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_alerts(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.alerts import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_rules(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.sigma_rules import run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_silence(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.silences import run_silence as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_maintenance(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.silences import run_maintenance as run  # noqa: PLC0415

    Home(settings.home).prepare()
    return run(settings, options)


def run_tls(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.tls import run  # noqa: PLC0415

    return run(settings, Home(settings.home), options)


def run_backup(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.backup import run  # noqa: PLC0415

    return run(settings, options)


def run_restore(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.restore import run  # noqa: PLC0415

    return run(settings, options)


def run_sim(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.sim.main import run  # noqa: PLC0415

    return run(settings, options)


def run_copy(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.copy import run  # noqa: PLC0415

    return run(settings, options)


def run_migrate(settings: Settings, options: argparse.Namespace) -> int:
    from heimdall.migrate import run  # noqa: PLC0415

    return run(settings, options)


def run_setup(settings: Settings, options: argparse.Namespace) -> int:
    from broker.setup import write_files  # noqa: PLC0415

    home = Home(settings.home)
    home.prepare()
    write_files(settings, home, options.broker_folder)
    return DONE
