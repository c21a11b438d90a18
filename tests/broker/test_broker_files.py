"""What the launcher chooses and writes: found, not assumed; private; merged, never silently replaced."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from broker import mosquitto
from broker.launcher import Plan, choose, prepare
from core.errors import Invalid, Unavailable
from core.home import SERVICES, Home
from core.settings import Settings, load

PLAN = Plan(Path("/bin/sh"), Path("/lib/plugin.so"))  # only written down here, not run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"HEIMDALL_HOME": str(tmp_path / "home"), "HEIMDALL_HOST": "web-01", "HEIMDALL_MQTT_PORT": "18830"})


@pytest.fixture
def home(settings: Settings) -> Home:
    return Home(settings.home)


@pytest.fixture
def dynsec(home: Home) -> Path:
    return home.broker / "dynsec.json"


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing installed but what a test puts below the folder returned."""
    root = tmp_path / "usr"
    (root / "sbin").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(root / "bin"))
    monkeypatch.setattr(mosquitto, "_BINARY_FOLDERS", (str(root / "sbin"),))
    monkeypatch.setattr(mosquitto, "_LIBRARY_FOLDERS", (str(root / "lib"),))
    return root


def install(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


@pytest.mark.parametrize(
    "library",
    ["lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib", "lib64", "lib/mosquitto", "sbin"],
)
def test_the_plugin_is_found_where_packages_put_it(bare_machine: Path, settings: Settings, library: str) -> None:
    binary = install(bare_machine / "sbin" / "mosquitto")
    plugin = install(bare_machine / library / "mosquitto_dynamic_security.so")
    assert choose(settings) == Plan(binary, plugin)


def test_without_mosquitto_the_embedded_broker_is_chosen(bare_machine: Path, settings: Settings) -> None:
    assert choose(settings).embedded
    with pytest.raises(Unavailable, match="apt install mosquitto"):
        choose(settings, "mosquitto")


def test_without_its_plugin_mosquitto_is_not_chosen(bare_machine: Path, settings: Settings) -> None:
    install(bare_machine / "sbin" / "mosquitto")
    assert choose(settings).embedded
    with pytest.raises(Unavailable, match=r"mosquitto_dynamic_security\.so.*apt install mosquitto"):
        choose(settings, "mosquitto")


@pytest.mark.parametrize(("wanted", "bind"), [("auto", "0.0.0.0"), ("embedded", "0.0.0.0"), ("auto", "::")])
def test_the_embedded_broker_does_not_leave_loopback(bare_machine: Path, tmp_path: Path, wanted, bind) -> None:
    settings = load({"HEIMDALL_HOME": str(tmp_path), "HEIMDALL_BIND": bind})
    with pytest.raises(Invalid, match=r"HEIMDALL_BIND=.*apt install mosquitto"):
        choose(settings, wanted)


def test_everything_written_is_for_its_owner_alone(settings: Settings, home: Home) -> None:
    before = os.umask(0)
    try:
        prepare(PLAN, settings, home, "web-01")
        prepare(Plan(), settings, home, "web-01")
    finally:
        os.umask(before)
    for path in home.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert {path.name for path in (home.path / "credentials").iterdir()} == {*SERVICES, "agent"}
    assert home.credential("agent").user == "web-01"
    assert {home.credential(name).user for name in SERVICES} == {f"@{name}" for name in SERVICES}


def test_preparing_again_changes_nothing(settings: Settings, home: Home) -> None:
    prepare(PLAN, settings, home, "web-01")
    first = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    prepare(PLAN, settings, home, "web-01")
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == first


def test_no_password_is_in_the_identities(settings: Settings, home: Home, dynsec: Path) -> None:
    prepare(PLAN, settings, home, "web-01")
    text = dynsec.read_text()
    assert all(home.credential(name).password not in text for name in (*SERVICES, "agent"))


def test_later_enrolments_stay_and_ours_are_written_again(settings: Settings, home: Home, dynsec: Path) -> None:
    prepare(PLAN, settings, home, "web-01")
    kept = json.loads(dynsec.read_text())
    ours = [dict(client) for client in kept["clients"]]
    later = {"username": "db-01", "clientid": "db-01", "roles": [{"rolename": "agent:db-01"}], "textname": "kept"}
    role = {"rolename": "agent:db-01", "acls": []}
    kept["clients"] = [later]  # ours lost
    kept["roles"] = [role, {"rolename": "agent:web-01", "acls": [{"acltype": "publishClientSend", "topic": "#"}]}]
    kept["defaultACLAccess"]["subscribe"] = True
    dynsec.write_text(json.dumps(kept))
    dynsec.chmod(0o644)

    prepare(PLAN, settings, home, "web-01")
    again = json.loads(dynsec.read_text())
    assert later in again["clients"]
    assert {client["username"] for client in ours} < {client["username"] for client in again["clients"]}
    assert role in again["roles"]
    assert {"acltype": "publishClientSend", "topic": "#"} not in next(
        role["acls"] for role in again["roles"] if role["rolename"] == "agent:web-01"
    )
    assert again["defaultACLAccess"]["subscribe"] is False
    assert stat.S_IMODE(dynsec.stat().st_mode) == 0o600


def test_a_disabled_agent_stays_disabled(settings: Settings, home: Home, dynsec: Path) -> None:
    prepare(PLAN, settings, home, "web-01")
    kept = json.loads(dynsec.read_text())
    next(client for client in kept["clients"] if client["username"] == "web-01")["disabled"] = True
    dynsec.write_text(json.dumps(kept))
    prepare(PLAN, settings, home, "web-01")
    again = json.loads(dynsec.read_text())["clients"]
    assert [client["username"] for client in again if client.get("disabled")] == ["web-01"]


@pytest.mark.parametrize(
    "damage", ["", '{"clients": [', "[]", '{"clients": {}, "roles": 1}', '{"clients": [{}]}', "\udcff", "[" * 100_000]
)
def test_a_damaged_identities_file_is_told_and_left_alone(
    settings: Settings, home: Home, dynsec: Path, damage: str
) -> None:
    home.prepare()
    dynsec.write_text(damage, errors="surrogateescape")
    before = dynsec.read_bytes()
    with pytest.raises(Invalid, match=r"dynsec\.json is damaged .*backup"):
        prepare(PLAN, settings, home, "web-01")
    assert dynsec.read_bytes() == before


def test_a_bad_host_name_is_refused(settings: Settings, home: Home) -> None:
    with pytest.raises(Invalid, match="HEIMDALL_HOST"):
        prepare(PLAN, settings, home, "web/01")


def test_a_home_with_a_line_break_is_refused(tmp_path: Path) -> None:
    settings = load({"HEIMDALL_HOME": str(tmp_path / "a\nallow_anonymous true"), "HEIMDALL_HOST": "web-01"})
    with pytest.raises(Invalid, match="line break"):
        prepare(PLAN, settings, Home(settings.home), "web-01")
