"""The report: what was missed, false, late and doubled, and how soon faults were noticed, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heimdall.sim.compare import Comparison, Finding

SHOWN = 20  # findings of a kind, in the table


@dataclass(frozen=True)
class Counts:
    """What the fleet did. `lost` are connections that broke without the script; `lag_seconds` how late a timer ran."""

    hosts: int
    connected: int
    beats: int
    verdicts: int
    lost: int
    skipped: int
    events_made: int
    events_accepted: int
    events_repeated: int
    lag_seconds: float


def delays_of(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Seconds from a fault to what was said of it, by fault: count, median, 99th percentile (nearest rank), longest."""
    return {
        label: {
            "count": len(seconds),
            "median_seconds": _percentile(seconds, 50),
            "p99_seconds": _percentile(seconds, 99),
            "longest_seconds": round(max(seconds), 3),
        }
        for label, seconds in sorted(comparison.delays.items())
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    return round(sorted(values)[-(-len(values) * percent // 100) - 1], 3)


def as_json(comparison: Comparison, counts: Counts, failed: Sequence[str], zero: float) -> dict[str, Any]:
    """The whole report. Times of findings are seconds since the script began."""
    findings = _by_kind(comparison)
    return {
        "ok": comparison.flawless and not failed,
        **{kind: len(found) for kind, found in findings.items()},
        "incidents": comparison.incidents,
        "delays": delays_of(comparison),
        "fleet": {name: getattr(counts, name) for name in Counts.__dataclass_fields__},
        "failed_commands": list(failed),
        "findings": {
            kind: [
                {"host": one.host, "fault": one.fault, "text": one.text, "at_seconds": round(one.at - zero, 3)}
                for one in found
            ]
            for kind, found in findings.items()
        },
    }


def as_text(comparison: Comparison, counts: Counts, failed: Sequence[str], zero: float) -> str:
    """The report for a person."""
    events = f"{counts.events_accepted} of {counts.events_made} events accepted, {counts.events_repeated} repeated"
    lines = [
        f"{counts.connected} of {counts.hosts} hosts connected, {counts.beats} heartbeats, {events}, "
        f"{counts.verdicts} verdicts heard",
    ]
    if counts.lost or counts.skipped:
        lines.append(f"{counts.lost} connections lost without the script; {counts.skipped} faults had no host to hit")
    if counts.lag_seconds >= 0.5:
        lines.append(f"this process was late by up to {counts.lag_seconds:.1f} s: a smaller fleet tells more")
    delays = delays_of(comparison)
    if delays:
        lines += ["", f"{'noticed after':<24}{'count':>8}{'median s':>11}{'p99 s':>9}{'longest s':>11}"]
        lines += [
            f"{label:<24}{row['count']:>8.0f}{row['median_seconds']:>11.2f}{row['p99_seconds']:>9.2f}"
            f"{row['longest_seconds']:>11.2f}"
            for label, row in delays.items()
        ]
    findings = _by_kind(comparison)
    lines += ["", ", ".join(f"{kind} {len(found)}" for kind, found in findings.items())]
    for kind, found in findings.items():
        lines += [f"  {kind}: {_describe(one, zero)}" for one in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"  {kind}: … and {len(found) - SHOWN} more (--json has all)")
    lines += [f"  failed: {text}" for text in failed]
    if comparison.missed and not counts.verdicts:
        lines.append("No verdict was heard at all: does `heimdall watch` run?")
    return "\n".join(lines)


def _by_kind(comparison: Comparison) -> Mapping[str, Sequence[Finding]]:
    return {
        "missed": comparison.missed, "false": comparison.false, "late": comparison.late, "doubled": comparison.doubled
    }  # fmt: skip


def _describe(one: Finding, zero: float) -> str:
    fault = f" ({one.fault})" if one.fault else ""
    return f"{one.host}{fault}: {one.text}, at {one.at - zero:.1f} s"
