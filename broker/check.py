"""What Heimdall asks of a broker, tried one by one: `heimdall broker check`.

Each trial has topics of its own below `heimdall/v1/check/`, and leaves nothing there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from broker.probe import Probe, Refused, broken_off
from core.errors import Unavailable
from core.settings import BrokerAddress

PREFIX = "heimdall/v1/check"
_SESSION_SECONDS = 60
_MANY = 50


class Trial(NamedTuple):
    """Something that is asked of a broker. `without` says what does not work where it is missing; a broker that lacks
    what is `needed` cannot be used."""

    name: str
    run: Callable[[Bench], str]
    needed: bool
    without: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a trial: `found` says what was seen, and when it is not `works` what is missing."""

    name: str
    works: bool
    needed: bool
    found: str
    without: str


class Missing(Exception):
    """The broker answered, and not as it should."""


class Bench:
    """Where a trial takes its clients and its topics."""

    def __init__(self, address: BrokerAddress) -> None:
        self.address = address
        self._run = secrets.token_hex(4)
        self.topic = f"{PREFIX}/{self._run}/{secrets.token_hex(4)}"

    def client(self, name: str = "", **more: object) -> Probe:
        """One who connects; of the same `name` it is the same client."""
        return Probe(self.address, f"heimdall-check-{self._run}-{name or secrets.token_hex(4)}", **more)  # type: ignore[arg-type]


def check_broker(address: BrokerAddress) -> Iterator[Finding]:
    """Try everything, one after the other. Raises `Unavailable` when the broker is not reached or lets nobody in."""
    for trial in TRIALS:
        try:
            found, works = trial.run(Bench(address)), True
        except (Missing, Refused, Unavailable) as error:
            if trial is TRIALS[0]:
                hint = ": set HEIMDALL_BROKER_USER and HEIMDALL_BROKER_PASSWORD" if isinstance(error, Refused) else ""
                raise Unavailable(f"{address} lets nobody in by MQTT 5 ({error}){hint}") from error
            found, works = str(error), False
        yield Finding(trial.name, works, trial.needed, found, "" if works else trial.without)


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Missing(otherwise)


def _try_connect(bench: Bench) -> str:
    with bench.client() as one:
        granted = one.granted
    told = {
        "receive maximum": granted.get("ReceiveMaximum", 65_535),
        "largest packet": granted.get("MaximumPacketSize", "any"),
    }
    return ", ".join(f"{name} {value}" for name, value in told.items())


def _try_strangers(bench: Bench) -> str:
    _expect(bool(bench.address.user), "it was asked without a user: give one to try whether others are kept out")
    stranger = Bench(replace(bench.address, user="", password=""))
    with suppress(Refused, Unavailable), stranger.client():
        raise Missing("it lets in who has no password")
    return "who has no password is refused"


def _try_qos_1(bench: Bench) -> str:
    with bench.client() as one:
        alone = one.publish(bench.topic, b"1")
        one.subscribe(bench.topic)
        one.publish(bench.topic, b"2")
        _expect([*one.received(1)] == [b"2"], "a message at QoS 1 did not come back")
    return f"acknowledged; without a subscriber 0x{alone:02x}"


def _try_order(bench: Bench) -> str:
    sent = [b"%d" % number for number in range(_MANY)]
    with bench.client() as one, bench.client() as other:
        one.subscribe(bench.topic)
        for payload in sent:
            other.publish(bench.topic, payload)
        _expect([*one.received(_MANY)] == sent, f"{_MANY} messages did not come in their order")
    return f"{_MANY} messages in their order"


def _try_session(bench: Bench) -> str:
    with bench.client("kept", session_seconds=_SESSION_SECONDS) as one:
        one.subscribe(bench.topic)
    with bench.client() as other:
        for number in range(_MANY):
            other.publish(bench.topic, b"%d" % number)
    with bench.client("kept", session_seconds=_SESSION_SECONDS) as one:
        came = len(one.received(_MANY))
        _expect(one.session_present, "the session was gone when its client came back")
        _expect(came == _MANY, f"of {_MANY} messages that came meanwhile {came} were kept")
    _drop(bench, "kept")
    return f"{_MANY} of {_MANY} messages were kept for who was away"


def _drop(bench: Bench, name: str) -> None:
    """End the session of a client by a clean start."""
    with bench.client(name):
        pass


def _try_retained(bench: Bench) -> str:
    with bench.client() as one:
        one.publish(bench.topic, b"last", retain=True)
    with bench.client() as other:
        other.subscribe(bench.topic)
        came = [*other.received(1)]
        other.publish(bench.topic, b"", retain=True)
    _expect(came == [b"last"], "the retained message did not come at the subscribe")
    with bench.client() as third:
        third.subscribe(bench.topic)
        _expect(not third.received(1, 0.5), "a retained message could not be cleared")
    return "kept, told at the subscribe, and cleared"


def _try_retain_handling(bench: Bench) -> str:
    with bench.client() as one:
        one.publish(bench.topic, b"last", retain=True)
        with bench.client() as other:
            other.subscribe(bench.topic, retain_handling=2)
            came = other.received(1, 0.5)
        one.publish(bench.topic, b"", retain=True)
    _expect(not came, "retained messages come although Retain Handling 2 was asked for")
    return "Retain Handling 2 is heeded"


def _try_will(bench: Bench) -> str:
    with bench.client() as heir:
        heir.subscribe(bench.topic)
        with broken_off(bench.client(will=(bench.topic, b"gone", 0))):
            pass
        _expect([*heir.received(1)] == [b"gone"], "the will did not come when the connection broke")
        with bench.client(will=(bench.topic, b"gone", 0)):
            pass
        _expect(not heir.received(1, 0.5), "the will came although its client had said goodbye")
    return "told when a connection breaks, and not after a goodbye"


def _try_will_delay(bench: Bench) -> str:
    delay = 2
    with bench.client() as heir:
        heir.subscribe(bench.topic)
        with broken_off(bench.client("back", session_seconds=_SESSION_SECONDS, will=(bench.topic, b"gone", delay))):
            pass
        with bench.client("back", session_seconds=_SESSION_SECONDS):
            _expect(not heir.received(1, delay + 1), "the will came although its client was back before its delay")
        begun = time.monotonic()
        with broken_off(bench.client(session_seconds=_SESSION_SECONDS, will=(bench.topic, b"gone", delay))):
            pass
        _expect([*heir.received(1, delay + 5)] == [b"gone"], f"the will with a delay of {delay} s did not come")
        seconds = time.monotonic() - begun
    _drop(bench, "back")
    _expect(seconds > delay - 0.2, f"the will came after {seconds:.1f} s, before its delay of {delay} s")
    return f"a will of {delay} s came after {seconds:.1f} s, and not of who was back before"


def _try_expiry(bench: Bench) -> str:
    with bench.client("late", session_seconds=_SESSION_SECONDS) as one:
        one.subscribe(bench.topic)
    with bench.client() as other:
        other.publish(bench.topic, b"short", expiry_seconds=1)
        other.publish(bench.topic, b"long", expiry_seconds=60)
    time.sleep(2)
    with bench.client("late", session_seconds=_SESSION_SECONDS) as one:
        came = [*one.received(2, 1)]
    _drop(bench, "late")
    _expect(came == [b"long"], f"of a message for 1 s and one for 60 s came {len(came)}, after 2 s")
    return "what had expired did not come"


def _try_shared(bench: Bench) -> str:
    shared = f"$share/check/{bench.topic}"
    with bench.client("a") as one, bench.client("b") as other, bench.client() as third:
        one.subscribe(shared)
        other.subscribe(shared)
        for number in range(_MANY):
            third.publish(bench.topic, b"%d" % number)
        parts = len(one.received(_MANY, 1)), len(other.received(_MANY, 1))
    _expect(sum(parts) == _MANY, f"of {_MANY} messages {sum(parts)} came to two that share them")
    _expect(min(parts) > 0, "one of two that share got everything")
    return f"{parts[0]} and {parts[1]} of {_MANY} messages"


def _try_shared_away(bench: Bench) -> str:
    shared = f"$share/check/{bench.topic}"
    parts = []
    with bench.client("kept", session_seconds=_SESSION_SECONDS) as one:
        one.subscribe(shared)
    with bench.client() as sender, bench.client("there", session_seconds=_SESSION_SECONDS) as other:
        other.subscribe(shared)
        for number in range(_MANY):
            sender.publish(bench.topic, b"%d" % number)
        parts += [*other.received(_MANY, 1)]
    with bench.client() as sender:
        for number in range(_MANY, 2 * _MANY):
            sender.publish(bench.topic, b"%d" % number)
    for name in ("kept", "there"):
        with bench.client(name, session_seconds=_SESSION_SECONDS) as one:
            parts += [*one.received(2 * _MANY, 1)]
        _drop(bench, name)
    lost = 2 * _MANY - len(set(parts))
    _expect(lost == 0, f"of {2 * _MANY} messages {lost} were lost while members were away")
    twice = len(parts) - 2 * _MANY
    _expect(twice == 0, f"of {2 * _MANY} messages {twice} came to two members, while one was away")
    return f"{2 * _MANY} messages came once each, while one was away and while both were"


def _try_receive_maximum(bench: Bench) -> str:
    most = 5
    with bench.client(receive_maximum=most, acknowledges=False) as one, bench.client() as other:
        one.subscribe(bench.topic)
        for number in range(4 * most):
            other.publish(bench.topic, b"%d" % number)
        came = len(one.received(4 * most, 1.5))
    _expect(came == most, f"{came} came without acknowledgement where {most} were allowed")
    return f"{came} of {4 * most}, until they are acknowledged"


def _try_sys(bench: Bench) -> str:
    with ExitStack() as entered:
        one = entered.enter_context(bench.client())
        one.subscribe("$SYS/broker/uptime")
        _expect(bool(one.received(1, 12)), "it does not tell how long it has been up")
    return "$SYS/broker/uptime is told"


TRIALS = (
    Trial("MQTT 5", _try_connect, True, "nothing"),
    Trial("strangers are refused", _try_strangers, True, "anyone could say that a host is alive"),
    Trial("QoS 1", _try_qos_1, True, "an accepted event could be lost"),
    Trial("order", _try_order, True, "a host's goodbye could overtake its last heartbeat"),
    Trial("persistent sessions", _try_session, True, "what comes while the ingestor is away would be lost"),
    Trial("retained messages", _try_retained, True, "who connects would not know which hosts are online"),
    Trial("wills", _try_will, True, "a crash would be noticed by its missing heartbeats alone"),
    Trial("will delay", _try_will_delay, False, "a connection that breaks for a moment is told as a crash"),
    Trial("message expiry", _try_expiry, False, "heartbeats that waited long are stored too, by their own time"),
    Trial("Retain Handling", _try_retain_handling, False, "states that are known are read again at each connect"),
    Trial("shared subscriptions", _try_shared, False, "one ingestor alone: heimdall ingest --unshared"),
    Trial(
        "shared, some away", _try_shared_away, False,
        "one ingestor alone, subscribed plainly: heimdall ingest --unshared",
    ),
    Trial("receive maximum", _try_receive_maximum, False, "an ingestor must hold what comes, however much it is"),
    Trial("$SYS", _try_sys, False, "hosts that a restarted broker only remembers: heimdall watch --without-sys"),
)  # fmt: skip
