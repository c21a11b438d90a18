"""The call of the dead man's switch: to an address that was checked, and to no other."""

from __future__ import annotations

import pytest
from http_service import http_service

from watch.calls import call


def test_an_address_inside_the_network_is_called_only_when_that_is_allowed() -> None:
    with http_service() as (port, asked):
        assert "lies inside the network" in call(f"http://127.0.0.1:{port}/ping", allow_private=False)
        assert "lies inside the network" in call(f"http://localhost:{port}/ping", allow_private=False)
        assert asked == []
        assert call(f"http://localhost:{port}/ping?id=7", allow_private=True) == ""
    assert [(one.method, one.headers["Host"], one.path) for one in asked] == [
        ("GET", f"localhost:{port}", "/ping?id=7")
    ]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_answer_is_no_success_and_no_redirect_is_followed(status: int) -> None:
    with http_service() as (other, not_asked), http_service(status, f"http://127.0.0.1:{other}/") as (port, asked):
        assert call(f"http://127.0.0.1:{port}", allow_private=True) == f"127.0.0.1 answers {status}"
        assert (len(asked), not_asked) == (1, [])


def test_who_is_not_there_or_speaks_no_tls_is_told() -> None:
    with http_service() as (port, _):
        pass
    assert "refused" in call(f"http://127.0.0.1:{port}/", allow_private=True)
    with http_service() as (port, asked):
        assert "SSL" in call(f"https://127.0.0.1:{port}/", allow_private=True)
        assert asked == []
