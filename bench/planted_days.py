"""Planted days: what an ordinary fleet of fifty hosts writes in a day, and attacks that are hidden in it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from core.clock import rfc3339
from core.messages import NO_ADDRESS
from store import StoredEvent

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
DAY_SECONDS = 86_400
HOSTS = tuple(f"host-{number:02}" for number in range(50))
PEOPLE = tuple(f"192.168.{floor}.{desk}" for floor in range(4) for desk in range(10, 40))
ATTACKER = "203.0.113.9"
USUAL = {
    "SUDO_ESCALATION": 400, "PROCESS_EXEC": 900, "CONNECTION_BLOCKED": 900, "DNS_BLOCK": 300, "CRITICAL_ERROR": 80,
    "GROUP_ADD": 5, "ACCOUNT_CREATE": 5, "WEB_ATTACK": 200,
}  # fmt: skip
# everything but the moment, in seconds of the day
Happening = tuple[float, str, str, str]  # when, type, host, address


class Day:
    """`happenings` are of the fleet alone until something is planted."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.happenings: list[Happening] = []
        for kind, times in USUAL.items():
            for _ in range(times):
                self.happenings.append(
                    (chance.uniform(0, DAY_SECONDS), kind, chance.choice(HOSTS), self._anybody(kind))
                )
        for person in PEOPLE:
            for _ in range(chance.randrange(1, 6)):
                self._log_in(person)

    def _anybody(self, kind: str) -> str:
        """A machine is blocked now and then, each in its own time; scanners of the internet are many."""
        if kind == "DNS_BLOCK":
            return f"192.168.9.{self.chance.randrange(2, 250)}"  # televisions and telephones, which log in nowhere
        if kind in ("CONNECTION_BLOCKED", "WEB_ATTACK"):
            return f"198.51.100.{self.chance.randrange(256)}"
        return NO_ADDRESS

    def _log_in(self, person: str) -> None:
        """Somebody logs in, and has mistyped the password up to three times."""
        at, host = self.chance.uniform(0, DAY_SECONDS - 100), self.chance.choice(HOSTS)
        for _ in range(self.chance.choice((0, 0, 0, 0, 1, 1, 2, 3))):
            self.happenings.append((at, "LOGIN_FAIL", host, person))
            at += self.chance.uniform(2, 9)
        self.happenings.append((at, "LOGIN_SUCCESS", host, person))

    def plant(self, at: float, kind: str, host: str, address: str = ATTACKER) -> None:
        self.happenings.append((at, kind, host, address))

    def events(self) -> list[StoredEvent]:
        """In the order in which they are stored, each within three seconds."""
        stored = sorted((one[0] + self.chance.uniform(0.1, 3), one) for one in self.happenings)
        return [_event(number, *one, stored_at) for number, (stored_at, one) in enumerate(stored, 1)]


def _event(number: int, at: float, kind: str, host: str, address: str, stored_at: float) -> StoredEvent:
    moments = [rfc3339(MIDNIGHT + timedelta(seconds=seconds)) for seconds in (at, stored_at)]
    return StoredEvent(number, str(number), moments[0], host, "LINUX", kind, 3, address, "root", "planted", moments[1])


def _brute_force(day: Day) -> None:
    at = day.chance.uniform(0, DAY_SECONDS - 1_000)
    for _ in range(day.chance.randrange(40, 300)):
        day.plant(at, "LOGIN_FAIL", day.chance.choice(HOSTS[:40]))
        at += day.chance.uniform(0.2, 5)


def _slow_brute_force(day: Day) -> None:
    at = day.chance.uniform(0, DAY_SECONDS / 4)
    for _ in range(day.chance.randrange(45, 90)):
        day.plant(at, "LOGIN_FAIL", day.chance.choice(HOSTS[:3]))
        at += day.chance.uniform(120, 420)


def _success_after_failures(day: Day) -> None:
    at = day.chance.uniform(0, DAY_SECONDS - 1_000)
    for _ in range(day.chance.randrange(5, 9)):
        day.plant(at, "LOGIN_FAIL", "host-07")
        at += day.chance.uniform(5, 90)
    day.plant(at, "LOGIN_SUCCESS", "host-07")


def _block_and_login(day: Day) -> None:
    at = day.chance.uniform(0, DAY_SECONDS - 4_000)
    for _ in range(day.chance.randrange(5, 30)):
        day.plant(at, "DNS_BLOCK", "pihole", "192.168.1.200")
        at += day.chance.uniform(1, 60)
    day.plant(at + day.chance.uniform(1, 1_500), "LOGIN_SUCCESS", "host-11", "192.168.1.200")


def _once(kind: str, address: str = NO_ADDRESS) -> Callable[[Day], None]:
    return lambda day: day.plant(day.chance.uniform(0, DAY_SECONDS), kind, day.chance.choice(HOSTS), address)


# by what is to be found of each: the rule, and what is planted for it
ATTACKS: dict[str, tuple[str, Callable[[Day], None]]] = {
    "brute force from one address over 40 hosts": ("brute_force", _brute_force),
    "slow brute force, under its rate": ("slow_brute_force", _slow_brute_force),
    "success after failures": ("login_after_failures", _success_after_failures),
    "DNS blocks and a login joined": ("login_after_block", _block_and_login),
    "port scan": ("port_scan", _once("PORT_SCAN", ATTACKER)),
    "log cleared": ("log_tampering", _once("LOG_TAMPERING")),
    "new service": ("new_service", _once("SERVICE_INSTALL")),
}
