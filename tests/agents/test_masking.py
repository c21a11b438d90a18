"""Secrets in command lines are masked, and masking costs no more than the text is long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.masking import MASK, mask


@pytest.mark.parametrize(
    "text",
    [
        "net user bob HUNTER2! /add",
        r"C:\Windows\System32\net.exe user bob HUNTER2",
        r"psexec \\web-02 -u bob -p HUNTER2 cmd",
        'schtasks /create /tn x /ru bob /rp "my HUNTER2"',
        "mstsc /v:web-02 /pass:HUNTER2",
        "cmdkey /add:web-02 /user:bob /p:HUNTER2",
        "wmic /node:web-02 /password:HUNTER2 os",
        "mysql --user=bob --password=HUNTER2 db",
        "tool --client-secret HUNTER2 --verbose",
        "tool -AccessToken HUNTER2",
        "<Arguments>--token HUNTER2</Arguments>",
        "cmd /c set DB_PASSWORD=HUNTER2",
        "$password = 'my HUNTER2'; Get-Item x",
        '$s = ConvertTo-SecureString "HUNTER2" -AsPlainText -Force',
        '{"password": "my HUNTER2"}',
        r'tool "{\"password\":\"my HUNTER2\"}"',
        'tool password=""my HUNTER2""',
        "tool password='HUNTER2",
        'curl -H "Authorization: Bearer HUNTER2" https://host',
        'curl -H "Authorization: Custom a=HUNTER2, b=HUNTER2" https://host',
        "curl -u bob:HUNTER2 https://host",
        "git clone https://bob:HUNTER2@host/x.git",
        "AccountName=x;AccountKey=HUNTER2==",
        "echo ghp_HUNTER2abcdefghijklmnop",
        "sc config x obj= bob password= HUNTER2",
    ],
)
def test_a_secret_does_not_leave_the_host(text: str) -> None:
    assert "HUNTER2" not in mask(text)
    assert MASK in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        r"C:\Windows\System32\svchost.exe -k netsvcs -s Schedule", "net user bob /delete",
        "powershell -NoProfile -File x.ps1", "https://host/path?x=1", "ping 192.0.2.1", "git commit -m passes", "",
        "alice : TTY=ttys001 ; PWD=/Users/alice ; USER=root ; COMMAND=/usr/bin/passwd bob",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_raises(text: str) -> None:
    mask(text)


PIECES = [
    "password=", 'password="', "password='", "-p ", '-p"', "net user ", 'net user "', "net user a", "://", "://a:b",
    "-u a:", "Authorization: ", 'authorization"', "bearer ", "eyJ", "-eyJ", "eyJa.", "--token ", "-", "-password",
    "/p:\\", "\\", '"', "ConvertTo-SecureString ", "password   ", "a-a-", 'secret\\"', "token token ", "-String ",
]  # fmt: skip


def test_a_hostile_text_of_a_hundred_kilobytes_costs_no_more_than_its_length() -> None:
    for piece in PIECES:
        text = piece * (100_000 // len(piece)) + "!"
        begun = time.process_time()
        mask(text)
        # a quadratic pattern takes minutes for this
        assert time.process_time() - begun < 5, piece
