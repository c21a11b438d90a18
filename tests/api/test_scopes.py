from __future__ import annotations

import pytest

from api.scopes import parse_scopes, write_scopes
from core.errors import Invalid


@pytest.mark.parametrize(
    ("texts", "given", "host"),
    [
        (["read"], {"read"}, None),
        (["operate"], {"operate", "read"}, None),
        (["admin"], {"admin", "operate", "read"}, None),
        (["agent", "read"], {"agent", "read"}, None),
        (["agent:web-01"], {"agent"}, "web-01"),
    ],
)
def test_a_scope_gives_the_lesser_ones_and_is_written_as_it_was(texts: list[str], given: set[str], host: str) -> None:
    assert parse_scopes(texts) == (given, host)
    assert write_scopes(given, host) == texts


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        ([], "needs a scope"),
        (["root"], "'root' is unknown"),
        (["read:web-01"], "'read:web-01' is unknown"),
        (["agent:"], "cannot be a host name"),
        (["agent:a/b"], "cannot be a host name"),
        (["agent:a", "agent:b"], "one host"),
        (["agent:a", "agent"], "one host"),
        (["agent:a", "read"], "no scope beside it"),
    ],
)
def test_scopes_that_do_not_fit_are_named(texts: list[str], word: str) -> None:
    with pytest.raises(Invalid, match=word):
        parse_scopes(texts)
