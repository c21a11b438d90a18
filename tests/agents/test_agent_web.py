"""What access logs tell: recorded attacks counted, a day without any, floods folded, and anything without harm."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import grows_linearly

from agents import progress
from agents.agent_linux import read_line
from agents.sources import LogFile
from agents.web_lines import RULES, AccessLog, find_attack, parse_request
from core.messages import Event, check_event

RECORDED = Path(__file__).parent / "recorded" / "web"
LOGS = sorted(RECORDED.glob("*.log"))
ID = UUID("0197b3a0-0000-7000-8000-000000000000")
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LINE = '203.0.113.7 - {user} [24/Nov/2026:{time} {zone}] "{request}" {status} 2 "{referer}" "{agent}"'


def line_of(target: str = "/", status: int | str = 404, **parts: str) -> str:
    usual = {"user": "-", "time": "10:00:00", "zone": "+0000", "referer": "-", "agent": "Firefox"}
    return LINE.format(**{**usual, "request": f"GET {target} HTTP/1.1", **parts}, status=status)


def event_of(line: str) -> Event | None:
    return read_line("web-01", ID, line.encode("utf-8", "surrogatepass"), NOW)


def attack_of(line: str) -> str | None:
    event = event_of(line)
    return re.findall(r"\[(.*?)\]", event.raw_message)[0] if event else None


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_a_recorded_log_gives_the_attacks_that_its_file_says(log: Path) -> None:
    events = [event for raw in log.read_bytes().splitlines() if (event := read_line("web-01", ID, raw, NOW))]
    expected = json.loads(log.with_suffix(".json").read_text())
    assert Counter(str(event.severity) for event in events) == expected
    for event in events:
        check_event(event, "web-01")
        assert event.event_type == "WEB_ATTACK"
        assert event.source_ip.startswith("203.0.113.")


def test_a_day_of_ordinary_requests_gives_none() -> None:
    lines = (RECORDED / "nginx-day.log").read_text().splitlines()
    requests = [parse_request(line) for line in lines]
    assert None not in requests
    assert len(requests) > 500
    assert {request.at.hour for request in requests if request} == set(range(24))
    assert [request for request in requests if request and find_attack(request)] == []


def test_every_recorded_log_has_its_counts_and_its_origin() -> None:
    notes = (RECORDED.parent / "README.md").read_text()
    for log in LOGS:
        assert log.with_suffix(".json").exists()
        assert f"`web/{log.name}`" in notes


def test_every_rule_knows_a_recorded_request_and_every_server_tells_the_same() -> None:
    used = {}
    for log in LOGS:
        lines = log.read_text().splitlines()
        used[log.stem] = Counter(attack_of(line) for line in lines)
    same = [used[name] for name in ("nginx-access", "apache-access", "lighttpd-access", "caddy-access")]
    assert all(one == same[0] for one in same)
    assert {rule.description for rule in RULES} == set(same[0]) - {None}


@pytest.mark.parametrize(
    ("target", "status", "severity"),
    [("/.env", 404, 3), ("/.env", 200, 4), ("/.env", 206, 4), ("/.env", 301, 3), ("/.env", 500, 3), ("/.env", "-", 3)],
)
def test_an_attack_that_was_answered_is_graver(target: str, status: int | str, severity: int) -> None:
    event = event_of(line_of(target, status))
    assert event is not None
    assert event.severity == severity


def test_a_scanner_that_only_gives_its_name_stays_a_probe() -> None:
    event = event_of(line_of("/", 200, agent="Mozilla/5.00 (Nikto/2.1.6)"))
    assert event is not None
    assert event.severity == 3


@pytest.mark.parametrize(
    "target",
    [
        "/a?q=../../etc/passwd", "/a?q=..%2F..%2Fetc", "/a?q=%252e%252e%252f%252e%252e%252f", "/a?q=..%5C..%5Cx",
        "/a/..%2f..%2fx", "/a?q=..\\x5c..\\x5cx",
    ],
)  # fmt: skip
def test_what_is_encoded_once_or_twice_or_by_the_server_is_seen(target: str) -> None:
    assert str(attack_of(line_of(target))).startswith("path traversal")


def test_times_become_utc_and_a_name_is_the_user() -> None:
    event = event_of(line_of("/.env", user="alice b", zone="-0530"))
    assert event is not None
    assert (event.timestamp, event.user) == (datetime(2026, 11, 24, 15, 30, tzinfo=UTC), "alice b")


@pytest.mark.parametrize(
    "line",
    [
        "", "{", "{}", '{"request": 1, "ts": 1, "status": 1}', '{"request":{"uri":"/.env"},"ts":"x","status":200}',
        '{"request":{"uri":"/.env"},"ts":1e300,"status":200}', line_of("/.env").replace("Nov", "Nix"),
        line_of("/.env").replace("24/", "32/"), line_of("/.env", time="25:00:00"),
        'web-01 - - [x] "GET /.env HTTP/1.1" 200 2',
    ],
)  # fmt: skip
def test_what_is_no_line_of_an_access_log_is_no_event(line: str) -> None:
    assert event_of(line) is None


def test_a_request_cannot_be_mistaken_for_the_rest_of_the_line() -> None:
    event = event_of(line_of('/.env\\" 200 2 \\"x\\" \\"y', 404))
    assert event is None or event.severity == 3
    caught = event_of(line_of("/", 200, agent='x\\" \\"${jndi:ldap://x}'))
    assert caught is not None


def follow(lines: list[str]) -> list[Event]:
    log = AccessLog("web-01")
    events = [event for line in lines for event in log.tell(line.encode(), NOW)]
    return events + (log.due(NOW.timestamp() + 1_000) or [])


def counted(messages: list[str]) -> int:
    """How many attacks are told, one by one or in a count."""
    return sum(int(found[1]) if (found := re.match(r"\[(\d+) more within", text)) else 1 for text in messages)


def test_a_scanners_hundred_thousand_requests_are_few_events_and_none_is_forgotten() -> None:
    attacks = ["/.env", "/.git/config", "/?id=1'+or+'1'='1", "/shell.php", "/?q=<script>", "/x?f=../../etc/passwd"]
    begun = datetime(2026, 11, 24, 10, tzinfo=UTC)
    lines = [
        line_of(attacks[n % len(attacks)], time=f"{begun + timedelta(seconds=n // 100):%H:%M:%S}")
        for n in range(100_000)
    ]  # fmt: skip
    events = follow(lines)
    assert len(events) < 250
    assert counted([event.raw_message for event in events]) == 100_000
    assert {event.source_ip for event in events} == {"203.0.113.7"}


def test_another_address_another_attack_and_an_answered_one_are_told_at_once() -> None:
    lines = [line_of("/.env"), line_of("/.env"), line_of("/.env", 200), line_of("/?q=<script>")]
    lines.append(line_of("/.env").replace("203.0.113.7", "203.0.113.8"))
    log = AccessLog("web-01")
    assert [len(log.tell(line.encode(), NOW)) for line in lines] == [1, 0, 1, 1, 1]


@pytest.mark.parametrize("seed", range(25))
def test_nothing_is_lost_or_counted_twice_by_a_reader_that_dies_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    print(f"seed {seed}")
    # some of them with so little to be read again that what waits is told before its time
    monkeypatch.setattr(progress, "MOST_READ_AGAIN", 20 if seed % 3 == 0 else 50_000)
    chance = random.Random(seed)
    path, position, source = tmp_path / "access.log", "", None
    told: list[str] = []
    now = datetime(2026, 11, 24, 10, tzinfo=UTC)
    path.write_text("")
    attacks = 0
    for step in range(60):
        now += timedelta(seconds=chance.choice([0, 1, 5, 70]))
        lines = [
            line_of(chance.choice(["/.env", "/", "/?q=<script>"]), time=f"{now:%H:%M:%S}", agent=f"{step}-{n}")
            for n in range(chance.randrange(5))
        ]  # fmt: skip
        attacks += sum(attack_of(line) is not None for line in lines)
        with path.open("a") as file:
            file.write("".join(line + "\n" for line in lines))
        # what was rotated before a place was kept is not news
        if position and chance.random() < 0.1:
            path.rename(path.with_name(f"access.log.{step}"))
            path.write_text("")
        for _ in range(2):
            source = source or LogFile("web-01", path, lambda: AccessLog("web-01"), is_new=True)
            read = source.read(position, now)
            if chance.random() < 0.4:
                source = None
                if chance.random() < 0.5:
                    continue
            position = read.position
            told += [event.raw_message for event in read.events]
    source = LogFile("web-01", path, lambda: AccessLog("web-01"))
    for _ in range(50):
        read = source.read(position, now + timedelta(seconds=100))
        position = read.position
        told += [event.raw_message for event in read.events]
    assert counted(told) == attacks


WORDS = st.sampled_from([
    "/", "?q=", "%", "%25", "%2e", "..", "'", " or 1=1", "union select", "${", "jndi:", "<script", "\\x", '\\"', '"',
    "[", "]", "\x00", "ü", "\ud800", "+", "() {", "php://", "/.env", "HTTP/1.1", "GET ", "nikto",
])  # fmt: skip


@given(words=st.lists(WORDS, max_size=30), status=st.sampled_from([200, 404, "-"]))
@settings(max_examples=400, deadline=None)
def test_no_line_raises_and_every_event_is_valid(words: list[str], status: int | str) -> None:
    text = "".join(words)
    caddy = {"ts": 1.5, "status": 200, "request": {"uri": text, "remote_ip": text, "headers": {"User-Agent": [text]}}}
    for line in (text, line_of(text, status), line_of(agent=text), line_of(request=text), json.dumps(caddy)):
        event = event_of(line)
        if event:
            check_event(event, "web-01")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    for line in (raw, b'{"request":' + raw, b'1.2.3.4 - - [24/Nov/2026:10:00:00 +0000] "GET /' + raw):
        event = read_line("web-01", ID, line, NOW)
        if event:
            check_event(event, "web-01")


PIECES = [
    "%25", "%2e", "../", "union select ", "union(", "' or ", "1 or 1", "<img ", "<a a", "${", "${lower:", "; ",
    "`wget ", "() {", '\\"', "\\", '" ', '"', "[", " - ", "data:", "php", "/.env", "phpunit/", "+", "select from ",
    "'--", ";wget -",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_request_of_a_megabyte_costs_no_more_than_its_length(piece: str) -> None:
    head = '203.0.113.7 - - [24/Nov/2026:10:00:00 +0000] "GET /'
    for start in ("", "203.0.113.7 - ", head, head + 'x HTTP/1.1" 200 2 "-" "', '{"request":{"uri":"'):
        assert grows_linearly(event_of, start, piece), (start, piece)
    # the bound of what is looked at is not what keeps a rule from being slow
    for rule in RULES:
        assert grows_linearly(lambda text, rule=rule: rule.pattern.search(text), "/", piece, 128_000), (
            rule.description,
            piece,
        )  # type: ignore[misc]
