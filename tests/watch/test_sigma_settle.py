"""A settled rule is met only where the whole rule would be, whatever the fields hold that nobody tells."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from watch_sigma import raw_event

from watch.sigma.fields import Record
from watch.sigma.kinds import Kind
from watch.sigma.settle import settle
from watch.sigma.tree import compile_node

# a and b are told, u not always; x and y never; c is always "one"
KIND = Kind(
    "test", {"a": "a", "b": "b", "u": "u", "o": "o"}, {"c": "c"}, {"c": "one"}, {"o": frozenset({"one", "two"})},
    frozenset({"u"}),
)  # fmt: skip
VALUES = ("one", "two", "-", "xonex")
FIELDS = st.sampled_from(["a", "b", "c", "o", "u", "x", "y"])
ATOMS = st.one_of(
    st.tuples(FIELDS, st.sampled_from(["is", "contains", "starts", "ends"]),
              st.lists(st.sampled_from([*VALUES, "o", ""]), min_size=1, max_size=2)).map(
        lambda told: ["text", told[0], told[1], False, [one for one in told[2] if one or told[1] == "is"] or ["one"]]
    ),
    FIELDS.map(lambda name: ["exists", name]),
    st.tuples(FIELDS, FIELDS).map(lambda names: ["same", *names, "is"]),
    FIELDS.map(lambda name: ["like", name, False, ["o", 1, 0]]),
)  # fmt: skip
TREES: st.SearchStrategy[list[Any]] = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map(lambda node: ["not", node]),
        st.lists(inner, min_size=1, max_size=3).map(lambda nodes: ["all", *nodes]),
        st.lists(inner, min_size=1, max_size=3).map(lambda nodes: ["any", *nodes]),
    ),
    max_leaves=6,
)
TOLD = st.fixed_dictionaries({"o": st.sampled_from(["one", "two"])}, optional={
    name: st.sampled_from(["one", "two", "xonex"]) for name in ("a", "b", "u")
})  # fmt: skip


def record(fields: dict[str, str]) -> Record:
    return Record("test", raw_event("LINUX", "text"), lambda: fields)


@given(TREES, TOLD)
@settings(max_examples=1_000, deadline=None)
def test_it_is_never_met_where_the_whole_rule_might_not_be(tree: list[Any], told: dict[str, str]) -> None:
    settled = settle(tree, KIND)
    is_met = settled if isinstance(settled, bool) else compile_node(settled)(record(told))
    if not is_met:
        return
    choices = [(None, *VALUES)] * (2 if "u" in told else 3)
    for values in product(*choices):
        hidden = zip(("x", "y", "u"), values, strict=False)
        whole = told | {"c": "one"} | {name: value for name, value in hidden if value is not None}
        # what is left empty may as well have been written as a dash
        assert any(
            compile_node(tree)(record(whole | dict.fromkeys([n for n in "ab" if n not in told], empty)))
            for empty in ("-", "")
        ) or compile_node(tree)(record(whole))


@given(TREES, TOLD)
@settings(max_examples=500, deadline=None)
def test_where_all_is_told_it_is_met_exactly_where_the_whole_rule_is(tree: list[Any], told: dict[str, str]) -> None:
    everything = Kind("test", {name: name for name in "abcouxy"})
    settled = settle(tree, everything)
    whole = {name: told.get(name, "two") for name in "abcouxy"}
    is_met = settled if isinstance(settled, bool) else compile_node(settled)(record(whole))
    assert is_met == compile_node(tree)(record(whole))
