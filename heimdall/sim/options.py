"""The options of `heimdall sim`."""

from __future__ import annotations

import argparse


def add_sim_options(sim: argparse.ArgumentParser) -> None:
    """Add them to the command's parser."""
    sim.add_argument("--hosts", type=int, default=100, metavar="N", help="so many hosts (default: %(default)s)")
    sim.add_argument(
        "--interval", type=float, default=30.0, metavar="SECONDS",
        help="seconds between the heartbeats of each (default: %(default)s)",
    )  # fmt: skip
    sim.add_argument(
        "--events", type=float, default=0.0, metavar="RATE", help="events a second of all together (default: 0)"
    )
    sim.add_argument("--faults", metavar="FILE", help="a script of faults (docs/sim.md); else until Ctrl-C")
    sim.add_argument(
        "--for", type=float, metavar="SECONDS", dest="seconds",
        help="end so long after all are connected (default: when all must have been said of the script)",
    )  # fmt: skip
    sim.add_argument(
        "--name-prefix", default="sim-", metavar="TEXT", help="hosts are TEXT00001 and so on (default: %(default)s)"
    )
    sim.add_argument("--first", type=int, default=1, metavar="N", help="number of the first (default: %(default)s)")
    sim.add_argument(
        "--connect-rate", type=float, default=500.0, metavar="RATE", help="connections a second (default: %(default)s)"
    )
    sim.add_argument("--seed", type=int, default=1, metavar="N", help="which hosts are chosen (default: %(default)s)")
    sim.add_argument(
        "--slack", type=float, default=0.0, metavar="SECONDS", help="how much later all may be said (default: 0)"
    )
    sim.add_argument(
        "--broker", metavar="URL", help="another broker than this home's, one that lets anybody in or --user"
    )
    sim.add_argument("--user", metavar="NAME", help="one login for all, instead of this home's own")
    sim.add_argument("--password", metavar="TEXT", help="its password (better: HEIMDALL_BROKER_PASSWORD)")
    sim.add_argument("--keep", action="store_true", help="leave what is retained of the hosts on the broker")
    sim.add_argument("--json", action="store_true", help="print JSON")
