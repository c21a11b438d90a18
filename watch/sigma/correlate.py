"""From a Sigma correlation to a rule that counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule, SigmaCorrelationType
from sigma.exceptions import SigmaError

from core.errors import Invalid
from watch.sigma.convert import SEVERITIES, USUAL_LEVEL, clean_title, identify
from watch.sigma.count import Count
from watch.sigma.kinds import KINDS
from watch.sigma.match import FORMAT, PlainRule

_COUNTED = {SigmaCorrelationType.EVENT_COUNT: "event_count", SigmaCorrelationType.VALUE_COUNT: "value_count"}
# how many events there must be at least; what is to be fewer, no event can show
_LEAST = {"GTE": 0, "GT": 1, "EQ": 0}


def convert_correlation(document: dict[str, Any], known: Mapping[str, PlainRule]) -> PlainRule:
    """The plain form of the correlation in `document`, which names rules of `known` by id or name.

    Raises `Invalid` with the reason why it cannot be converted.
    """
    title = clean_title(document.get("title"))
    name = identify(document.get("id"), title)
    try:
        rule = SigmaCorrelationRule.from_dict(document)
    except SigmaError as error:
        raise Invalid(f"it is no correlation: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise Invalid(f"it is no correlation: {type(error).__name__}: {error}") from error
    how = _COUNTED.get(rule.type)
    condition = rule.condition
    if how is None or not isinstance(condition, SigmaCorrelationCondition):
        raise Invalid(
            f"a correlation of the type {rule.type.name.lower()} is not converted: only {', '.join(_COUNTED.values())}"
        )
    if condition.op.name not in _LEAST:
        raise Invalid(f"its condition is {condition.op.name.lower()}: only gte, gt and eq are counted")
    if how == "value_count" and not isinstance(condition.fieldref, str):
        raise Invalid("it counts the values of several fields, which is not supported")
    counted = _find_counted(rule, known)
    asked = [*(rule.group_by or []), *([condition.fieldref] if how == "value_count" else [])]
    aliases = {alias.alias: {str(of.reference): field for of, field in alias.mapping.items()} for alias in rule.aliases}
    fields = {}
    for reference, plain in counted.items():
        fields[plain.id] = [aliases.get(str(one), {}).get(reference, str(one)) for one in asked]
        _check_told(plain, fields[plain.id])
    level = rule.level.name.lower() if rule.level else USUAL_LEVEL
    try:
        count = msgspec.convert(
            {"fields": fields, "values": how == "value_count", "seconds": rule.timespan.seconds, "how": how,
             "number": int(condition.count) + _LEAST[condition.op.name], "generate": rule.generate},
            Count,
        )  # fmt: skip
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise Invalid(f"what it counts is out of bounds: {error}") from error
    return PlainRule(
        FORMAT, name, title, level, SEVERITIES[level], {"correlation": how}, {}, rule.name or "", count=count
    )  # fmt: skip


def _find_counted(rule: SigmaCorrelationRule, known: Mapping[str, PlainRule]) -> dict[str, PlainRule]:
    found = {}
    for one in rule.rules or []:
        plain = known.get(str(one.reference))
        if plain is None:
            raise Invalid(f"it counts {str(one.reference)!r:.80}, and no rule of that id or name was converted")
        if plain.count:
            raise Invalid(f"it counts {plain.title!r:.80}, which counts itself")
        found[str(one.reference)] = plain
    if not found:
        raise Invalid("it names no rule to count")
    return found


def _check_told(plain: PlainRule, fields: list[str]) -> None:
    """Raises `Invalid` when no event that meets `plain` has all `fields`."""
    kinds = [KINDS[name] for name in plain.trees if name in KINDS]
    if not any(all(kind.find(field) for field in fields) for kind in kinds):
        raise Invalid(f"it can never fire: no agent tells {', '.join(fields)} of what {plain.title!r:.80} is about")
