"""From a Sigma rule to its plain form. Whoever imports this, or its neighbours, has pySigma, which is large."""

from __future__ import annotations

import uuid
from typing import Any

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RegexEngine
from sigma.rule import SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SpecialChars,
)

from core.errors import Invalid
from watch.sigma.kinds import LINUX_SERVICES, Sources, find_sources
from watch.sigma.match import FORMAT, PlainRule
from watch.sigma.settle import find_fields, settle
from watch.sigma.tree import Node, compile_node, compile_pattern

SEVERITIES = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
USUAL_LEVEL = "medium"  # of a rule that says none
LONGEST_TITLE_CHARS = 256
MOST_VALUES = 20_000
DEEPEST_NODE = 100
_NAMESPACE = uuid.UUID("8a0c1f0e-6f5d-4f7e-9c1b-0d7c3d2b5a41")  # of rules without an id
_OPERATORS = {
    CompareOperators.LT: "lt", CompareOperators.LTE: "lte", CompareOperators.GT: "gt", CompareOperators.GTE: "gte",
}  # fmt: skip
_HOW_OF_REFERENCE = {(False, False): "is", (True, True): "contains", (True, False): "starts", (False, True): "ends"}


class _Expressions(RegexEngine):
    """RE2, as pySigma's own, but it does not write to standard error what it refuses."""

    def compile(self, pattern: str, flags: int = 0) -> Any:  # noqa: ARG002 -- flags make none invalid
        """Raises `ValueError`."""
        return compile_pattern(pattern)

    @property
    def error(self) -> type[Exception]:
        return ValueError


_POLICY = SigmaPolicy(regex_engine=_Expressions())


def convert_rule(document: dict[str, Any]) -> PlainRule:
    """The plain form of the rule in `document`. Raises `Invalid` with the reason why it cannot be converted."""
    title = clean_title(document.get("title"))
    name = identify(document.get("id"), title)
    try:
        rule = SigmaRule.from_dict(document, policy=_POLICY)
        conditions = [one.parsed for one in rule.detection.parsed_condition]
    except SigmaError as error:
        raise Invalid(f"it is no rule: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise Invalid(f"it is no rule: {type(error).__name__}: {error}") from error
    if None in conditions or not conditions:
        raise Invalid("it has no condition")
    node = _join("any", [_translate(one) for one in conditions])
    if _depth(node) > DEEPEST_NODE:
        raise Invalid(f"its condition is nested more than {DEEPEST_NODE} levels deep")
    if count_values(node) > MOST_VALUES:
        raise Invalid(f"it has more than {MOST_VALUES} values")
    source = rule.logsource
    sources = find_sources(source.product, source.category, source.service, bool(find_fields(node)))
    told = {
        key: value
        for key, value in (("product", source.product), ("category", source.category), ("service", source.service))
        if value
    }
    if sources is None:
        raise Invalid(f"no agent collects anything of the log source {', '.join(f'{k} {v}' for k, v in told.items())}")
    trees, untold = settle_all(_of_programs(node, sources), sources)
    level = rule.level.name.lower() if rule.level else USUAL_LEVEL
    return PlainRule(FORMAT, name, title, level, SEVERITIES[level], told, trees, rule.name or "", untold)


def identify(told: object, title: str) -> str:
    """The id of a rule as text; one that is made of its title when it has none. Raises `Invalid` for what is none."""
    if told is None:
        return str(uuid.uuid5(_NAMESPACE, title))
    try:
        return str(uuid.UUID(told if isinstance(told, str) else ""))
    except ValueError as error:
        raise Invalid(f"its id {str(told)!r:.60} is no UUID") from error


def clean_title(title: object) -> str:
    """The title on one line. Raises `Invalid` when there is none."""
    text = " ".join(str(title or "").split())[:LONGEST_TITLE_CHARS]
    if not text:
        raise Invalid("it has no title")
    return text


def settle_all(node: Node, sources: Sources) -> tuple[dict[str, Node], list[str]]:
    """The condition for each kind of record that can meet it, and the fields that no agent tells.

    Raises `Invalid` when none can.
    """
    trees: dict[str, Node] = {}
    for kind in sources.kinds:
        found = settle(node, kind)
        if found is not False:
            trees[kind.name] = ["all"] if found is True else found
    fields = find_fields(node)
    asked = [kind for kind in sources.kinds if kind.name in trees] or sources.kinds
    untold = sorted(name for name in fields if not any(kind.find(name) for kind in asked))
    if not trees:
        raise Invalid(_why_never(node, sources, untold))
    for tree in trees.values():
        try:
            compile_node(tree)
        except ValueError as error:
            raise Invalid(str(error)) from error
    return trees, untold


def _why_never(node: Node, sources: Sources, untold: list[str]) -> str:
    if all(settle(node, kind, all_told=True) is False for kind in sources.kinds):
        wanted = ", ".join(sorted(_constants(node, sources)))[:200]
        return f"it can never fire: no agent collects such records{f' ({wanted})' if wanted else ''}"
    if untold:
        return f"it can never fire: no agent tells {', '.join(untold)}, and without that it is never certain"
    return "it can never fire: what it asks to be absent is not always told, and so its absence is never certain"


def _constants(node: Node, sources: Sources) -> set[str]:
    """What a rule asks of fields that are the same in all records of a kind, such as `EventID 4663`."""
    if node[0] in ("all", "any", "not"):
        return {one for part in node[1:] for one in _constants(part, sources)}
    known = any(node[1] in kind.constants or node[1] in kind.only for kind in sources.kinds)
    return {f"{node[1]} {value}" for value in node[4][:8]} if known and node[0] == "text" else set()


def _of_programs(node: Node, sources: Sources) -> Node:
    if not sources.programs:
        return node
    of_program: Node = ["text", "program", "is", False, list(sources.programs)]
    if sources.programs == LINUX_SERVICES["auth"]:
        # PAM refuses for any program
        of_program = ["any", of_program, ["text", "event_type", "is", False, ["LOGIN_FAIL", "LOGIN_SUCCESS"]]]
    return ["all", of_program, node]


def count_values(node: Node) -> int:
    """How many things `node` asks."""
    if node[0] in ("all", "any", "not"):
        return sum(count_values(part) for part in node[1:])
    return len(node[4]) if node[0] == "text" else 1


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, node[1:]), default=0) if node[0] in ("all", "any", "not") else 1


def _translate(condition: Any) -> Node:
    """pySigma's tree as ours, with the fields that the rule names. Raises `Invalid`."""
    if isinstance(condition, ConditionAND):
        return _join("all", [_translate(one) for one in condition.args])
    if isinstance(condition, ConditionOR):
        return _join("any", [_translate(one) for one in condition.args])
    if isinstance(condition, ConditionNOT):
        return ["not", _translate(condition.args[0])]
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        return _translate_value(condition.field, condition.value)
    if isinstance(condition, ConditionValueExpression):
        return _translate_value("", condition.value)
    raise Invalid(f"its condition has a {type(condition).__name__}, which is not supported")


def _join(how: str, nodes: list[Node]) -> Node:
    """`nodes` together; texts of which any may be in the same field are one node."""
    joined: list[Node] = []
    texts: dict[tuple[Any, ...], list[str]] = {}
    for node in nodes:
        if how != "any" or node[0] != "text":
            joined.append(node)
        elif (alike := tuple(node[1:4])) in texts:
            texts[alike] += node[4]
        else:
            texts[alike] = list(node[4])
            joined.append([*node[:4], texts[alike]])
    return joined[0] if len(joined) == 1 else [how, *joined]


def _translate_value(field: str, value: Any) -> Node:
    if isinstance(value, SigmaExpansion):
        return _join("any", [_translate_value(field, one) for one in value.values])
    node: Node | None = None
    if isinstance(value, SigmaString):
        node = _translate_string(field, value)
    elif isinstance(value, SigmaRegularExpression):
        node = ["re", field, _translate_pattern(value)]
    elif type(value) is SigmaNumber:
        node = ["text", field, "is" if field else "contains", False, _write_number(value.number)]
    elif isinstance(value, SigmaBool):
        node = ["text", field, "is" if field else "contains", False, [str(value.boolean).lower()]]
    elif field:
        node = _translate_of_field(field, value)
    if node is None:
        raise Invalid(f"it has a modifier that is not supported ({type(value).__name__})")
    return node


def _write_number(number: float) -> list[str]:
    """A number as messages have it. Windows writes some hexadecimal, and YAML reads those as any other."""
    return [str(number), hex(number)] if isinstance(number, int) and number > 0xFFFF else [str(number)]


def _translate_of_field(field: str, value: Any) -> Node | None:
    """A value that no word can have; `None` when it is none that is known."""
    if isinstance(value, SigmaNull):
        return ["not", ["exists", field]]
    if isinstance(value, SigmaExists):
        return ["exists", field] if value else ["not", ["exists", field]]
    if isinstance(value, SigmaCIDRExpression):
        return ["cidr", field, str(value.network)]
    if isinstance(value, SigmaFieldReference):
        return ["same", field, value.field, _HOW_OF_REFERENCE[value.starts_with, value.ends_with]]
    # minute, hour and so on compare numbers too, which are parts of a time
    is_number = isinstance(value, SigmaCompareExpression) and type(value.number) is SigmaNumber
    if is_number and value.op in _OPERATORS:
        return ["number", field, _OPERATORS[value.op], value.number.number]
    return None


def _translate_pattern(value: SigmaRegularExpression) -> str:
    if not isinstance(value.regexp, SigmaString):
        raise Invalid("it has a regular expression that is no text")
    pattern = str(value.regexp)
    if value.contains_placeholder():
        raise Invalid("it expands a placeholder, and none is known")
    flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
    shown = f"(?{flags}){pattern}" if flags else pattern
    try:
        compile_pattern(shown)
    except ValueError as error:
        raise Invalid(
            f"its regular expression {pattern!r:.80} cannot be run in a time that grows with the text alone: {error}"
        ) from error
    return shown


def _translate_string(field: str, value: SigmaString) -> Node:
    if value.contains_placeholder():
        raise Invalid("it expands a placeholder, and none is known")
    cased = isinstance(value, SigmaCasedString)
    pieces: list[str | int] = []
    for part in value.s:
        piece = 0 if part == SpecialChars.WILDCARD_MULTI else 1 if part == SpecialChars.WILDCARD_SINGLE else str(part)
        last = pieces[-1] if pieces else None
        if isinstance(piece, str) and isinstance(last, str):
            pieces[-1] = last + piece
        elif piece != 0 or last != 0:
            pieces.append(piece)
    if not field:  # a word is looked for anywhere
        pieces = [0, *(pieces[1:] if pieces[:1] == [0] else pieces)]
        pieces = pieces if pieces[-1] == 0 else [*pieces, 0]
    begins, ends = pieces[:1] == [0], pieces[-1:] == [0]
    texts = [piece for piece in pieces if piece != 0]
    if not texts:
        if not field:
            raise Invalid("it looks for an empty word")
        return ["exists", field] if pieces else ["text", field, "is", cased, [""]]
    if len(texts) > 1 or not isinstance(texts[0], str):
        return ["like", field, cased, pieces]
    how = {(False, False): "is", (True, True): "contains", (False, True): "starts", (True, False): "ends"}[begins, ends]
    return ["text", field, how, cased, [texts[0]]]
