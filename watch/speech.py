"""Speech: verdicts and alerts as they are retained on the broker, for everybody who wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from core import topics
from core.messages import Alert, Verdict, encode
from mqtt.connection import Connection
from store import HeldVerdict

# hears of alerts that were opened and resolved
Tell = Callable[[Sequence[Alert], Sequence[Alert]], None]
_verdict = msgspec.json.Decoder(Verdict)


def publish_verdicts(connection: Connection, verdicts: Iterable[HeldVerdict]) -> None:
    """Let everybody know what these hosts are held to be."""
    for held in verdicts:
        payload = encode(_as_message(held))
        connection.publish(topics.host_topic(held.source_host, topics.VERDICT), payload, retain=True)


def clear_verdicts(connection: Connection, hosts: Iterable[str]) -> None:
    """Nobody holds these hosts to be anything any more."""
    for host in hosts:
        connection.publish(topics.host_topic(host, topics.VERDICT), b"", retain=True)


def publish_alerts(connection: Connection, opened: Iterable[Alert], resolved: Iterable[str]) -> None:
    """Open alerts are retained, those that are of a moment only said; those of these ids are cleared (MQTT 5,
    section 3.3.1.3)."""
    for alert in opened:
        connection.publish(topics.alert_topic(alert.id), encode(alert), retain=alert.state == "open")
    for alert_id in resolved:
        connection.publish(topics.alert_topic(alert_id), b"", retain=True)


def missing_verdicts(held: Iterable[HeldVerdict], retained: dict[str, bytes]) -> list[HeldVerdict]:
    """Those of `held` that the broker does not retain as they are."""
    return [one for one in held if not _says(retained.get(one.source_host, b""), one)]


def _says(payload: bytes, held: HeldVerdict) -> bool:
    try:
        return _verdict.decode(payload) == _as_message(held)
    except (msgspec.DecodeError, RecursionError):
        return False


def _as_message(held: HeldVerdict) -> Verdict:
    return Verdict(held.state, held.since, held.reason, held.back_by)
