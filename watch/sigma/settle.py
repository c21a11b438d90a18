"""A condition, settled for one kind of record: by what such records always say, and by what they never tell.

A field that is never told may hold anything. So a condition keeps only what makes it true for certain: an alternative
that asks for such a field is left out, and so is a rule whose exception asks for one, for it would be met where its
author says that it must not be.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

from watch.sigma.fields import Record
from watch.sigma.kinds import Kind
from watch.sigma.tree import Node, compile_node

Settled = Node | bool

# what stands for no value, and is left out of a message
_NOTHING = {"windows": frozenset({"-"}), "audit": frozenset({"?", "(none)", "(null)", "unset", "-1", "4294967295"})}
_NOBODY = SimpleNamespace(os_type="", event_type="", raw_message="")


def settle(node: Node, kind: Kind, sure: bool = True, all_told: bool = False) -> Settled:
    """`node` for records of `kind`, with its fields by their own names; a truth value where it is always the same.

    It is true only where `node` is for certain; without `sure`, wherever it may be. `all_told` takes every field as
    told.
    """
    if node[0] in ("all", "any"):
        return _join(node[0], [settle(part, kind, sure, all_told) for part in node[1:]])
    if node[0] == "not":
        part = settle(node[1], kind, not sure, all_told)
        return not part if isinstance(part, bool) else ["not", part]
    if not node[1]:
        return _possible(node)
    return _settle_field(_rename(node, kind), kind, sure, all_told)


def _settle_field(node: Node, kind: Kind, sure: bool, all_told: bool) -> Settled:
    width = 2 if node[0] == "same" else 1
    names = [kind.find(name) for name in node[1 : 1 + width]]
    if None in names:
        return node if all_told else not sure
    node = [node[0], *names, *node[1 + width :]]
    if width == 2:
        node = _with_constants(node, kind.constants)
        if node[0] == "same" and not kind.constants.keys().isdisjoint(node[1:3]):
            return not sure
    settled = node if node[0] == "same" else _settle_told(node, node[1], kind)
    unsure = [name for name in names if name in kind.unsure]
    if sure or all_told or not unsure or isinstance(settled, bool):
        return settled
    # it may be so wherever that is not told
    return settled[0] == "exists" or ["any", settled, *(["not", ["exists", name]] for name in unsure)]


def _with_constants(node: Node, constants: Mapping[str, str]) -> Node:
    """A comparison with a field that is always the same is one with a text."""
    _, one, other, how = node
    if other not in constants and how == "is":
        one, other = other, one
    return ["text", one, how, False, [constants[other]]] if other in constants else node


def _join(how: str, parts: list[Settled]) -> Settled:
    """Parts of which all or any must hold; those that are always true or false are gone."""
    decisive = how == "any"
    if decisive in parts:
        return decisive
    nodes = [part for part in parts if not isinstance(part, bool)]
    if not nodes:
        return not decisive
    return nodes[0] if len(nodes) == 1 else [how, *nodes]


def _settle_told(node: Node, name: str, kind: Kind) -> Settled:
    if name in kind.constants:
        return _holds(node, name, kind.constants[name])
    if name in kind.only and not any(_holds(node, name, value) for value in kind.only[name]):
        return False
    nothing = _NOTHING.get(kind.name.partition("/")[0], frozenset()) | {""}
    if node[0] == "text" and node[2] == "is" and name not in kind.unsure and not nothing.isdisjoint(node[4]):
        values = [value for value in node[4] if value not in nothing]
        absent: Node = ["not", ["exists", name]]
        return ["any", absent, [*node[:4], values]] if values else absent
    return _possible(node)


def _possible(node: Node) -> Settled:
    """No message holds a NUL: what asks for one is never true."""
    if node[0] == "like":
        return not any(isinstance(piece, str) and "\0" in piece for piece in node[3]) and node
    if node[0] != "text":
        return node
    values = [value for value in node[4] if "\0" not in value]
    return [*node[:4], values] if values else False


def _rename(node: Node, kind: Kind) -> Node:
    """Rules call a system call by its name where records have its number."""
    by_name = node[0] == "text" and node[1] == "syscall" and not any(value.isdecimal() for value in node[4])
    return [node[0], "SYSCALL", *node[2:]] if by_name and kind.name.startswith("audit/") else node


def _holds(node: Node, name: str, value: str) -> bool:
    return compile_node(node)(Record("", _NOBODY, lambda: {name: value}))


def find_fields(node: Node) -> set[str]:
    """The fields that `node` asks for."""
    if node[0] in ("all", "any", "not"):
        return {name for part in node[1:] for name in find_fields(part)}
    return {name for name in (node[1:3] if node[0] == "same" else node[1:2]) if name}
