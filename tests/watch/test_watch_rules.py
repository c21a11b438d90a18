"""`rules.toml`: what it may say, and what is said of what it may not, with the line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from core.errors import Invalid
from watch.behind import Behind
from watch.event_rules import EventRule
from watch.maintenance import Recurring
from watch.rules import Channel, Rules, read_rules

GOOD = """
# who is told
[notify.ops]
url = "json://127.0.0.1:9000/hook"
allow_private = true
group_wait_seconds = 2

[notify."mail"]
url = "mailto://user:pass@example.com"
quiet = "22:00-07:00"
time_zone = "Europe/Berlin"

[notify.boss]
url = "mailto://boss@example.com"
after_minutes = 15

[maintenance.backup]
hosts = ["web-*"]
days = ["sat", "sun"]
from = "02:00"
minutes = 120

[behind.router-1]
hosts = ["web-*", "db-*"]
[behind."core.example"]
hosts = ["router-1"]
"""

RULES = """
[rule.brute_force]
count = 20

[rule.new_service]
enabled = false

[rule.sudo_at_night]
event_type = "SUDO_ESCALATION"
by = "user"
count = 3
"""


MAINTENANCE = "[maintenance.x]\nhosts = ['web-*']\nfrom = '02:00'\nminutes = 120\n"


def read(tmp_path: Path, text: str) -> Rules:
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="utf-8")
    return read_rules(file)


def test_without_a_file_nobody_is_told(tmp_path: Path) -> None:
    assert read_rules(tmp_path / "rules.toml").notify == {}
    assert read(tmp_path, "").notify == {}


def test_each_channel_has_a_name_and_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).notify == {
        "ops": Channel("json://127.0.0.1:9000/hook", allow_private=True, group_wait_seconds=2),
        "mail": Channel("mailto://user:pass@example.com", quiet="22:00-07:00", time_zone="Europe/Berlin"),
        "boss": Channel("mailto://boss@example.com", after_minutes=15),
    }


def test_a_rule_of_a_known_name_is_changed_and_another_is_made(tmp_path: Path) -> None:
    before, after = read(tmp_path, "").rule, read(tmp_path, RULES).rule
    assert after["brute_force"] == msgspec.structs.replace(before["brute_force"], count=20)
    assert not after["new_service"].enabled
    assert after["sudo_at_night"] == EventRule("sudo at night", "SUDO_ESCALATION", by="user", count=3)
    assert after.keys() - before.keys() == {"sudo_at_night"}


def test_maintenance_and_what_is_behind_a_host_are_read(tmp_path: Path) -> None:
    rules = read(tmp_path, GOOD)
    assert rules.maintenance == {"backup": Recurring(("web-*",), ("sat", "sun"), "02:00", 120)}
    assert rules.behind == {"router-1": Behind(("web-*", "db-*")), "core.example": Behind(("router-1",))}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[notify.ops\n", 1, "this is no TOML"),
        ("\n\nurl = \n", 3, "this is no TOML"),
        ("[notify.ops]\nurl = 'json://h'\nurl = 'json://i'\n", 3, "this is no TOML"),
        ("# x\n[alarm]\nx = 1\n", 2, "there is no [alarm]: a table is [notify.NAME]"),
        ("notify = 3\n", 1, "there is no [notify]"),
        ("[notify.ops]\nallow_private = true\n", 1, "missing required field `url`"),
        ("[notify]\nops = 3\n", 1, "[notify.ops]"),
        ("[notify.ops]\nurl = 7\n", 2, "[notify.ops] url: Expected `str`, got `int`"),
        ("[notify.ops]\nurl = 'json://h'\n\n# wait\ngroup_wait = 2\n", 5, "unknown field `group_wait`"),
        ("[notify.a]\nurl = 'json://h'\n[notify.ops]\nurl = 'json://h'\ngroup_wait_seconds = -1\n", 5, ">= 0"),
        ("[notify.ops]\nurl = 'json://h'\ngroup_wait_seconds = 1000\n", 3, "<= 300"),
        ("[notify.ops]\nurl = 'json://h'\ngroup_wait_seconds = nan\n", 3, "group_wait_seconds"),
        ("[notify.ops]\nurl = 'example.com'\n", 2, "use an address such as json://"),
        ("[rule.x]\nevent_type = 'LOGIN'\n", 2, "[rule.x] event_type: Invalid enum value 'LOGIN'"),
        ("[rule.x]\nevent_type = ['LOGIN_FAIL', 'X']\n", 2, "Invalid enum value 'X'"),
        ("[rule.brute_force]\n\ncount = 0\n", 3, "[rule.brute_force] count: Expected `int` >= 1"),
        ("[rule.x]\nbefore = { event_type = 'LOGIN_FAIL', count = 'x' }\n", 2, "before.count: Expected `int`"),
        ("[rule.x]\nunless = 'y'\n", 2, "unless: there is no other rule 'y'"),
        ("[rule.crashed]\ncount = 2\n", 1, "alerts of this kind are others already"),
        ("[rule.x]\nby = 'raw_message'\n", 2, "by: Invalid enum value"),
        ("rule.x = 3\n", 1, "[rule.x]"),
        ("[score]\nbelow = 101\n", 2, "[score] below: Expected `int` <= 100"),
        ("[dead_man]\n\nurl = 'ftp://x'\n", 3, "[dead_man] url: use an address such as https://"),
        ("[dead_man]\nurl = 'https://[::1'\n", 2, "[dead_man] url: use an address such as https://"),
        ("[dead_man]\nurl = 'https://x'\nevery_seconds = 0\n", 3, "every_seconds"),
        ("[notify.ops]\nurl = 'json://h'\nquiet = '7:00-22:00'\n", 3, "quiet '7:00' is no time of day"),
        ("[notify.ops]\nurl = 'json://h'\nquiet = '07:00-07:00'\n", 3, "begins when it ends"),
        ("[notify.ops]\nurl = 'json://h'\ntime_zone = 'Berlin'\n", 3, "time_zone 'Berlin' is unknown"),
        ("[notify.ops]\nurl = 'json://h'\nafter_minutes = -1\n", 3, "after_minutes"),
        ("[notify.ops]\nurl = 'json://h'\nhosts = ['web 1']\n", 3, "'web 1' fits no host name"),
        ("[notify.ops]\nurl = 'json://h'\nseverity_at_least = 6\n", 3, "severity_at_least"),
        ("[maintenance.x]\ndays = ['sun']\nfrom = '02:00'\nminutes = 1\n", 1, "missing required field `hosts`"),
        (f"{MAINTENANCE}days = ['sunday']\n", 5, "days[0]: Invalid enum value 'sunday'"),
        (f"{MAINTENANCE}days = []\n", 5, "length >= 1"),
        (f"{MAINTENANCE}days = ['sun']\ntime_zone = 'Mars'\n", 6, "time_zone 'Mars' is unknown"),
        ("[maintenance.'a b']\n", 1, "a name has letters"),
        ("[behind.router-1]\nhosts = ['web 1']\n", 2, "'web 1' fits no host name"),
        ("[behind.router-1]\nhosts = []\n", 2, "length >= 1"),
        ("[behind.'router 1']\nhosts = ['web-1']\n", 1, "'router 1' cannot be a host name"),
        (
            "[behind.a]\nhosts = ['x']\n[behind.b]\nhosts = ['c*']\n[behind.c1]\nhosts = ['b']\n",
            4,
            "c1 behind b behind c1",
        ),
        ("[notify.'o p s']\nurl = 'json://h'\n", 1, "a name has letters"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'rules.toml'}:{line}: ")
    assert says in str(caught.value)


def test_no_secret_of_an_address_is_repeated(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        read(tmp_path, "[notify.ops]\nurl = 'token-4711'\n")
    assert "4711" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match=r"rules\.toml cannot be read"):
        read_rules(tmp_path / "rules.toml")
    with pytest.raises(Invalid, match="cannot be read"):
        read_rules(tmp_path)
