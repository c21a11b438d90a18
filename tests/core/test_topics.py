from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import topics
from core.errors import Invalid
from core.topics import check_pattern, fits_pattern

HOSTS = st.from_regex(r"[A-Za-z0-9._-]{1,253}", fullmatch=True).filter(lambda name: name not in (".", ".."))


@given(HOSTS, st.sampled_from(topics.AGENT_KINDS))
def test_what_is_built_is_parsed_again(host: str, kind: str) -> None:
    assert topics.parse_host_topic(topics.host_topic(host, kind)) == (host, kind)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a+b", "#", "Grüße", "a b", "x" * 254, "a\n", "a\0", None, 7])
def test_a_name_that_cannot_be_a_host_is_refused(name: object) -> None:
    with pytest.raises(Invalid, match="source_host"):
        topics.check_host(name)


@pytest.mark.parametrize(
    "topic",
    ["", "heimdall/v1/hosts", "heimdall/v1/hosts/a", "heimdall/v1/hosts/a/events/more", "heimdall/v2/hosts/a/events",
     "heimdall/v1/hosts//events", "heimdall/v1/hosts/../events",
     "heimdall/v1/services/ingestor/0", "/v1/hosts/a/events"],
)  # fmt: skip
def test_other_topics_are_no_hosts(topic: str) -> None:
    assert topics.parse_host_topic(topic) is None


@given(st.text())
def test_no_topic_breaks_the_parser(topic: str) -> None:
    found = topics.parse_host_topic(topic)
    assert found is None or topics.check_host(found.host)


def test_a_service_is_told_from_its_topic() -> None:
    assert topics.parse_service_topic(topics.service_topic("ingestor", "0")) == ("ingestor", "0")
    assert topics.parse_service_topic("heimdall/v1/hosts/a/status") is None


def test_a_topic_that_is_too_long_to_be_one_is_none_and_is_not_remembered() -> None:
    before = topics._parse_host_topic.cache_info().currsize
    assert topics.parse_host_topic(f"{topics.HOSTS}/{'x' * 60_000}/events") is None
    assert topics.parse_host_topic(f"{topics.HOSTS}/web-01/{'x' * 60_000}") is None
    assert topics._parse_host_topic.cache_info().currsize == before
    assert topics.parse_host_topic(f"{topics.HOSTS}/{'x' * 253}/heartbeat") == ("x" * 253, "heartbeat")


@pytest.mark.parametrize(
    ("host", "pattern", "fits"),
    [
        ("web-1", "web-1", True),
        ("web-1", "web-*", True),
        ("web-1", "*", True),
        ("web-1", "web-?", True),
        ("web-10", "web-?", False),
        ("WEB-1", "web-*", False),
        ("db-1", "web-*", False),
        (None, "*", True),
        (None, "**", False),
        (None, "web-*", False),
    ],
)
def test_a_pattern_fits_names_and_what_is_of_no_host_fits_all_alone(host: str | None, pattern: str, fits: bool) -> None:
    assert fits_pattern(host, check_pattern(pattern, "hosts")) is fits


@pytest.mark.parametrize("pattern", ["", "web 1", "[ab]", "web/*", "x" * 254, ".", None, 3])
def test_a_pattern_that_can_fit_no_name_is_refused(pattern: object) -> None:
    with pytest.raises(Invalid, match=r"hosts .* fits no host name"):
        check_pattern(pattern, "hosts")
