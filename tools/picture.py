"""`python -m tools.picture`: the README's picture of the page, from a house of invented machines.

The page, the API and Mosquitto are real; a few lines stand in for the ingestor, so that nobody judges the machines
anew while they are looked at.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))  # the parts of an API, and Chromium

from api_parts import Api, Broker, Ingestor, make_settings, running_api  # noqa: E402
from chromium import launched  # noqa: E402
from waiting import free_port, wait_until  # noqa: E402

from api.auth import make_login_link  # noqa: E402
from core.clock import utc_now  # noqa: E402
from core.ids import uuid7  # noqa: E402
from core.messages import Event, EventType, OsType, VerdictState  # noqa: E402
from store import Beat, FoundScore, HeldVerdict, Outage, WriteBatch  # noqa: E402

PICTURES = ROOT / "docs" / "images"


class Machine(NamedTuple):
    """A machine, what it is held to be and since how many minutes, its score, and outages: hours ago, and minutes."""

    name: str
    os_type: OsType
    tags: tuple[str, ...]
    score: int
    state: VerdictState = "online"
    reason: str = ""
    minutes: int = 9_000
    outages: tuple[tuple[float, int], ...] = ()


HOUSE = (
    Machine("shop-db", "LINUX", ("shop", "db"), 41, "offline", "crashed", 12, ((9, 25), (17, 40))),
    Machine("cash-desk-2", "WINDOWS", ("shop",), 58, "offline", "silent", 47, ((20, 15),)),
    Machine("backup", "LINUX", ("cellar",), 83, "late", "", 1),
    Machine("office-3", "WINDOWS", ("office",), 96, "away", "reboot", 3),
    Machine("front-door", "FIREWALL", ("edge",), 99),
    Machine("pihole", "PIHOLE", ("edge",), 97, outages=((5.5, 9),)),
    Machine("macbook-eva", "MACOS", ("office",), 88, outages=((1.5, 30), (14, 420))),
    Machine("office-1", "WINDOWS", ("office",), 94),
    Machine("shop-web-1", "LINUX", ("shop", "web"), 100),
    Machine("shop-web-2", "LINUX", ("shop", "web"), 100),
    Machine("cash-desk-1", "WINDOWS", ("shop",), 99),
    Machine("media", "LINUX", ("cellar",), 91, outages=((11, 18),)),
)
KINDS: tuple[tuple[EventType, int, str], ...] = (
    ("LOGIN_FAIL", 3, "Failed password for invalid user admin from 203.0.113.9 port 50022 ssh2"),
    ("LOGIN_SUCCESS", 1, "Accepted publickey for eva from 192.0.2.17 port 40112 ssh2"),
    ("DNS_BLOCK", 2, "blocked tracker.example for 192.0.2.44"),
    ("SUDO_ESCALATION", 2, "eva : TTY=pts/0 ; PWD=/home/eva ; USER=root ; COMMAND=/usr/bin/apt upgrade"),
    ("CONNECTION_BLOCKED", 2, "IN=eth0 SRC=203.0.113.77 DST=192.0.2.1 PROTO=TCP DPT=23"),
    ("PORT_SCAN", 4, "203.0.113.77 has tried 212 ports in 60 s"),
    ("LOG_TAMPERING", 5, "The audit log was cleared by eva"),
)
_OFTEN = (60, 40, 90, 12, 30, 1, 1)


def main() -> int:
    """Take the pictures."""
    with tempfile.TemporaryDirectory(prefix="heimdall-picture-") as folder:
        broker = Broker(Path(folder))
        broker.start()
        ingestor = Ingestor(broker.port)
        ingestor.start()
        try:
            with running_api(make_settings(Path(folder) / "home", broker.port, free_port())) as api:
                furnish(api, utc_now())
                wait_until(lambda: api.bridge.state() == "ok", "the API has connected")
                ingestor.sign()
                wait_until(lambda: api.client.get("/readyz").status_code == 200, "events go all the way")
                take(api)
        finally:
            ingestor.stop()
            broker.kill()
    return 0


def furnish(api: Api, now: datetime) -> None:
    """Put the machines in, with a day behind them."""
    store, chance = api.store, random.Random(3)
    for hours in range(24, -1, -1):
        for minutes in range(0, 60, 5):
            at = now - timedelta(hours=hours, minutes=-minutes)
            if at <= now:
                alive = [one for one in HOUSE if one.state != "offline" or at < now - timedelta(minutes=one.minutes)]
                store.write(WriteBatch([make_event(chance, alive, at) for _ in range(chance.randrange(1, 9))], at))
    for one in HOUSE:
        heard = now - timedelta(minutes=one.minutes if one.reason else 0, seconds=chance.randrange(30))
        store.record_heartbeats([Beat(one.name, one.os_type, heard, 1, one.name, delay_seconds=0.01)])
        store.record_info(one.name, json.dumps({"version": "0.1.0", "tags": one.tags}), now)
        for hours_ago, lasted in one.outages:
            began = now - timedelta(hours=hours_ago)
            store.add_outage(Outage(one.name, began, began + timedelta(minutes=lasted), "crashed"))
    verdicts = [
        HeldVerdict(one.name, one.state, one.reason, now - timedelta(minutes=one.minutes), _back(one, now), 0)
        for one in HOUSE
    ]
    for _ in store.claim(verdicts, now):
        pass
    store.keep_scores([FoundScore(one.name, one.score, '{"words":""}') for one in HOUSE], now)


def _back(one: Machine, now: datetime) -> datetime | None:
    return now + timedelta(minutes=4) if one.state == "away" else None


def make_event(chance: random.Random, alive: Sequence[Machine], at: datetime) -> Event:
    """An event of one of the machines that are alive, at `at`."""
    event_type, severity, text = chance.choices(KINDS, _OFTEN)[0]
    one = chance.choice(alive)
    return Event(uuid7(), at, one.name, one.os_type, event_type, severity, text, "203.0.113.9", "eva")


def take(api: Api) -> None:
    """A picture of the hosts, as somebody sees them who has just come in."""
    with launched() as browser:
        context = browser.new_context(
            viewport={"width": 1280, "height": 760}, locale="en-GB", timezone_id="Europe/Berlin", color_scheme="light"
        )
        page = context.new_page()
        page.goto(f"{api.url}/login?token={make_login_link(api.store, utc_now())}")
        page.goto(f"{api.url}/#/hosts")
        page.get_by_text(HOUSE[0].name).first.wait_for()
        page.wait_for_timeout(1_000)  # until bars and fonts stand
        page.screenshot(path=str(PICTURES / "hosts.png"))


if __name__ == "__main__":
    sys.exit(main())
