"""The plain form of a rule's condition, a tree of lists that JSON can hold; and what is made of it to ask a record.

A node is `["all", …]`, `["any", …]` or `["not", node]`, or asks about a field (empty: the whole message):

- `["text", field, how, cased, values]`: one of `values` is it, or it contains, starts or ends with one
- `["like", field, cased, pieces]`: texts, 0 for any characters and 1 for a single one
- `["re", field, pattern]`: a regular expression of RE2 occurs in it
- `["cidr", field, network]`, `["number", field, "lt" | "lte" | "gt" | "gte", number]`
- `["exists", field]`: the record has it
- `["same", field, other, how]`: the other field's text is it, or it contains, starts or ends with that

Regular expressions are RE2's, whose time grows with the length of the text alone, whoever has written either.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

import re2

from watch.sigma.fields import Record
from watch.sigma.kinds import OWN_FIELDS, Kind

Node = list[Any]
Predicate = Callable[[Record], bool]
Value = Callable[[Record], str | None]

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge,
}  # fmt: skip
# own fields that do not stand in the message
_ELSEWHERE = frozenset(OWN_FIELDS) - {"raw_message"}


def compile_node(node: Node) -> Predicate:
    """What asks a record whether `node` holds. Raises `ValueError` for what is no node, or no regular expression."""
    try:
        return _COMPILE[node[0]](*node[1:])
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{str(node)[:80]} is no condition") from error


def compile_pattern(pattern: str) -> Any:
    """A regular expression of RE2. Raises `ValueError`."""
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ValueError(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from error


def _all(*nodes: Node) -> Predicate:
    parts = [compile_node(node) for node in nodes]
    if len(parts) == 2:
        one, other = parts
        return lambda record: one(record) and other(record)

    def holds(record: Record) -> bool:
        for part in parts:  # noqa: SIM110 -- a generator would cost more than most parts do
            if not part(record):
                return False
        return True

    return holds


def _any(*nodes: Node) -> Predicate:
    parts = [compile_node(node) for node in nodes]

    def holds(record: Record) -> bool:
        for part in parts:  # noqa: SIM110
            if part(record):
                return True
        return False

    return holds


def _not(node: Node) -> Predicate:
    part = compile_node(node)
    return lambda record: not part(record)


def _value(field: str, cased: bool) -> Value:
    name = field or "raw_message"
    return (lambda record: record.get(name)) if cased else (lambda record: record.fold(name))


def _text(field: str, how: str, cased: bool, values: list[str]) -> Predicate:
    value = _value(field, cased)
    wanted = tuple(values if cased else (one.casefold() for one in values))
    if how == "is":
        known = frozenset(wanted)
        return lambda record: value(record) in known
    if how == "contains":

        def contains(record: Record) -> bool:
            text = value(record)
            if text is not None:
                for one in wanted:
                    if one in text:
                        return True
            return False

        return contains
    meets = {"starts": str.startswith, "ends": str.endswith}[how]

    def begins_or_ends(record: Record) -> bool:
        text = value(record)
        return text is not None and meets(text, wanted)

    return begins_or_ends


def _like(field: str, cased: bool, pieces: list[str | int]) -> Predicate:
    wanted = "".join(_show(piece if cased or isinstance(piece, int) else piece.casefold()) for piece in pieces)
    return _search(_value(field, cased), rf"(?s)\A{wanted}\z")


def _show(piece: str | int) -> str:
    return str(re2.escape(piece)) if isinstance(piece, str) else "." if piece else ".*"


def _re(field: str, pattern: str) -> Predicate:
    return _search(_value(field, True), pattern)


def _search(value: Value, pattern: str) -> Predicate:
    search = compile_pattern(pattern).search

    def found(record: Record) -> bool:
        text = value(record)
        if text is None:
            return False
        try:
            return search(text) is not None
        except UnicodeEncodeError:
            return search(encodable(text)) is not None

    return found


def _cidr(field: str, network: str) -> Predicate:
    wanted = ip_network(network)
    value = _value(field, True)

    @lru_cache(maxsize=4096)
    def is_within(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        # Windows writes IPv4 so
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in wanted or address in wanted

    def holds(record: Record) -> bool:
        text = value(record)
        return text is not None and len(text) < 64 and is_within(text)

    return holds


def _number(field: str, how: str, number: float) -> Predicate:
    compare, value = _COMPARE[how], _value(field, True)

    def holds(record: Record) -> bool:
        text = value(record)
        if text is None or len(text) > 64:
            return False
        try:
            return compare(int(text, 16) if text[:2] in ("0x", "0X") else float(text), number)
        except ValueError:
            return False

    return holds


def _exists(field: str) -> Predicate:
    return lambda record: record.get(field) is not None


def _same(field: str, other: str, how: str) -> Predicate:
    meets = {"is": str.__eq__, "contains": str.__contains__, "starts": str.startswith, "ends": str.endswith}[how]

    def holds(record: Record) -> bool:
        text, wanted = record.fold(field), record.fold(other)
        return text is not None and wanted is not None and meets(text, wanted)

    return holds


_COMPILE: dict[str, Callable[..., Predicate]] = {
    "all": _all, "any": _any, "not": _not, "text": _text, "like": _like, "re": _re, "cidr": _cidr, "number": _number,
    "exists": _exists, "same": _same,
}  # fmt: skip


def encodable(text: str) -> str:
    """`text` as UTF-8 can hold it."""
    return text.encode("utf-8", "replace").decode()


def find_literals(node: Node, kind: Kind) -> tuple[str, ...] | None:
    """Texts, in small letters, one of which stands in the message of each record for which `node` holds.

    `None` when there are none that could be named: such a rule has to be asked each time.
    """
    if node[0] == "all":
        found = [literals for literals in (find_literals(part, kind) for part in node[1:]) if literals]
        return max(found, key=lambda literals: (min(map(len, literals)), -len(literals)), default=None)
    if node[0] == "any":
        parts = [find_literals(part, kind) for part in node[1:]]
        return None if None in parts else tuple(one for part in parts if part for one in part)
    if node[0] not in ("text", "like") or node[1] in _ELSEWHERE or node[1] in kind.derived:
        return None
    if node[0] == "text":
        return tuple(value.casefold() for value in node[4])
    texts = [piece.casefold() for piece in node[3] if isinstance(piece, str)]
    return (max(texts, key=len),) if texts else None
