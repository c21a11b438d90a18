"""`heimdall rules`, typed as an operator would."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from heimdall_home import outside
from waiting import wait_until

from heimdall import sigma_rules
from heimdall.main import main
from watch.sigma.match import read_plain

OWN = Path(__file__).parent.parent.parent / "watch" / "sigma" / "own"
RULE = """
title: {title}
logsource: {{product: windows, service: security}}
detection: {{sel: {{EventID: {number}}}, condition: sel}}
level: {level}
"""

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def typed(home: Path) -> Typed:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "heimdall", "rules", *map(str, words)], capture_output=True, text=True, check=False,
            env={**outside(), "HEIMDALL_HOME": str(home)},
        )  # fmt: skip

    return run


def write(path: Path, title: str = "failed", number: int = 4625, level: str = "high") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RULE.format(title=title, number=number, level=level))
    return path


def test_rules_are_added_from_a_folder_listed_and_removed(typed: Typed, home: Path, tmp_path: Path) -> None:
    nothing = typed("list")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "heimdall rules add PATH" in nothing.stderr
    write(tmp_path / "rules" / "deep" / "a.yml")
    write(tmp_path / "rules" / "b.yaml", "made", 4720, "low")
    write(tmp_path / "rules" / "c.yml", "read", 4663)
    (tmp_path / "rules" / "README.md").write_text("no rule")
    added = typed("add", tmp_path / "rules")
    assert added.returncode == 0, added.stderr
    assert added.stdout.splitlines()[-1] == "2 added, 1 not converted"
    assert "c.yml: read: it can never fire: no agent collects such records (EventID 4663)" in added.stdout
    listed = typed()
    assert [line.split()[1:] for line in listed.stdout.splitlines()[1:]] == [
        ["high", "windows", "security", "failed"], ["low", "windows", "security", "made"],
    ]  # fmt: skip
    assert typed("remove", "failed").returncode == 0
    (left,) = json.loads(typed("list", "--json").stdout)
    assert (left["title"], left["severity"], left["logsource"]) == (
        "made", 2, {"product": "windows", "service": "security"},
    )  # fmt: skip
    assert len(list((home / "sigma").iterdir())) == 2


def test_adding_again_replaces_by_id(typed: Typed, home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml")
    typed("add", path)
    path.write_text(RULE.format(title="failed", number=4624, level="low"))
    typed("add", path)
    (plain,) = read_plain(home / "sigma")
    assert (plain.level, list(plain.trees)) == ("low", ["windows/4624"])
    assert (home / "sigma" / f"{plain.id}.yml").read_text() == path.read_text()


def test_a_check_changes_nothing_and_says_the_same(typed: Typed, home: Path, tmp_path: Path) -> None:
    write(tmp_path / "rules" / "a.yml")
    write(tmp_path / "rules" / "c.yml", "read", 4663)
    checked = typed("check", tmp_path / "rules", "--json")
    assert checked.returncode == 0
    told = json.loads(checked.stdout)
    assert [one["title"] for one in told["converted"]] == ["failed"]
    assert [(Path(one["file"]).name, one["title"]) for one in told["refused"]] == [("c.yml", "read")]
    assert "EventID 4663" in told["refused"][0]["reason"]
    assert not (home / "sigma").exists()


def test_where_nothing_is_converted_it_fails(typed: Typed, home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "c.yml", "read", 4663)
    for action in ("add", "check"):
        refused = typed(action, path)
        assert refused.returncode == 1
        assert "0 " in refused.stdout.splitlines()[-1]
        assert "Traceback" not in refused.stderr
    assert not (home / "sigma").exists()


def test_a_bad_file_stops_no_other_and_its_name_and_title_are_made_printable(typed: Typed, tmp_path: Path) -> None:
    write(tmp_path / "rules" / "a.yml")
    (tmp_path / "rules" / "b\x1b[31m.yml").write_bytes(b"\x00\xff")
    (tmp_path / "rules" / "c.yml").write_text(RULE.format(title='"x\\e[31m"', number=4663, level="high"))
    (tmp_path / "rules" / "d.yml").symlink_to(tmp_path / "rules" / "nothing")
    added = typed("add", tmp_path / "rules")
    assert added.returncode == 0
    assert "\x1b" not in added.stdout + added.stderr
    assert "it is no text in UTF-8" in added.stdout
    assert added.stdout.splitlines()[-1] == "1 added, 2 not converted"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add",), "needs a file or a folder"),
        (("remove",), "needs a rule's id or title"),
        (("remove", "nobody"), "there is no rule with the id or the title"),
        (("list", "more"), "takes nothing more"),
        (("add", "/no/such/folder"), "is neither a file nor a folder"),
        (("change",), "invalid choice"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(typed: Typed, words: tuple[str, ...], says: str) -> None:
    result = typed(*words)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_folder_has_no_rules(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = typed("add", tmp_path / "empty")
    assert (result.returncode, "has no *.yml or *.yaml below it" in result.stderr) == (2, True)


def test_our_own_examples_are_added_without_a_word(typed: Typed, home: Path) -> None:
    added = typed("add", OWN)
    assert (added.returncode, added.stderr) == (0, "")
    assert "0 not converted" in added.stdout
    assert len(read_plain(home / "sigma")) == len(list((home / "sigma").glob("*.yml"))) >= 12


def test_what_is_kept_is_converted_anew_from_where_it_is_kept(typed: Typed, home: Path) -> None:
    typed("add", OWN)
    before = {path.name: path.read_bytes() for path in (home / "sigma").iterdir()}
    for path in (home / "sigma").glob("*.json"):
        path.write_text(path.read_text().replace('"format":1', '"format":0'))
    old = typed("list")
    assert (old.stdout, "is left out (it is of another version): add the rule again" in old.stderr) == ("", True)
    again = typed("add", home / "sigma")
    assert (again.returncode, "0 not converted" in again.stdout) == (0, True)
    assert {path.name: path.read_bytes() for path in (home / "sigma").iterdir()} == before


def test_what_takes_long_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write(tmp_path / "rules" / f"{number}.yml", f"rule {number}")
    monkeypatch.setattr(sigma_rules, "SAY_SECONDS", 0.0)
    monkeypatch.setenv("HEIMDALL_HOME", str(tmp_path / "home"))
    assert main(["rules", "add", str(tmp_path / "rules")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{what} {number} of 3" for what in ("read", "kept") for number in (1, 2, 3)]


def test_ctrl_c_leaves_whole_rules_and_nothing_half_done(home: Path, tmp_path: Path) -> None:
    for number in range(3_000):
        write(tmp_path / "rules" / f"{number:04}.yml", f"rule {number}")
    # it tells of every step, and nobody reads: it stands still when some rules are kept and the pipe is full. Whoever
    # runs the tests in the background lets their processes ignore SIGINT
    talkative = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from heimdall import main, sigma_rules; sigma_rules.SAY_SECONDS = 0.0; sys.exit(main.main())"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", talkative, "rules", "add", str(tmp_path / "rules")], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**outside(), "HEIMDALL_HOME": str(home)},
    )  # fmt: skip
    wait_until(lambda: len(list((home / "sigma").glob("*.json"))) > 20, "some rules are kept")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, "Traceback" in errors) == (130, False)
    kept = read_plain(home / "sigma")
    assert 20 < len(kept) < 3_000
    assert not list((home / "sigma").glob(".*"))
    assert {path.stem for path in (home / "sigma").glob("*.json")} == {one.id for one in kept}


def test_a_reader_who_has_had_enough_is_no_error(typed: Typed, home: Path, tmp_path: Path) -> None:
    for number in range(300):
        write(tmp_path / "rules" / f"{number:04}.yml", f"rule {number}")
    assert typed("add", tmp_path / "rules").returncode == 0
    child = subprocess.Popen(
        [sys.executable, "-m", "heimdall", "rules", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**outside(), "HEIMDALL_HOME": str(home)},
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    with child.stderr as errors:
        assert errors.read() == ""
    assert child.wait(60) == 0
