"""What `heimdall setup` writes for containers: once, private, and left alone by a second start."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from broker_process import HOST, running
from test_broker_rights import OTHER, enroll

from broker.setup import CONTAINER_PLUGIN, write_files
from core.errors import Unavailable
from core.home import SERVICES, Home, read_secret
from core.settings import Settings, load


def settings_of(home: Path, **environment: str) -> Settings:
    return load(
        {
            "HEIMDALL_HOME": str(home),
            "HEIMDALL_BROKER_URL": "mqtt://broker:1883",
            "HEIMDALL_DATABASE_URL": "postgresql://heimdall@db/heimdall",
            **environment,
        }
    )


def written(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_everything_is_written_once_and_privately(tmp_path: Path) -> None:
    home, broker = Home(tmp_path / "home"), tmp_path / "broker"
    settings = settings_of(home.path)
    write_files(settings, home, str(broker))
    first = written(home.path, broker)
    write_files(settings, home, str(broker))
    assert written(home.path, broker) == first
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in first)
    assert {path.name for path in (home.path / "credentials").iterdir()} == set(SERVICES)
    assert len(read_secret(home.api_key)) == 43


def test_the_broker_listens_to_its_network_with_the_plugin_of_its_image(tmp_path: Path) -> None:
    write_files(settings_of(tmp_path), Home(tmp_path), str(tmp_path / "broker"))
    lines = (tmp_path / "broker" / "mosquitto.conf").read_text().splitlines()
    assert "listener 1883" in lines
    assert f"plugin {CONTAINER_PLUGIN}" in lines
    assert "allow_anonymous false" in lines
    assert not any(line.startswith("user ") for line in lines)


def test_no_agent_is_made_where_none_runs(tmp_path: Path) -> None:
    write_files(settings_of(tmp_path, HEIMDALL_HOST=HOST), Home(tmp_path), str(tmp_path / "broker"))
    users = [client["username"] for client in json.loads((tmp_path / "broker" / "dynsec.json").read_text())["clients"]]
    assert sorted(users) == sorted(f"@{name}" for name in SERVICES)


def test_server_and_clients_of_the_database_get_the_same_password(tmp_path: Path) -> None:
    write_files(settings_of(tmp_path), Home(tmp_path), str(tmp_path / "broker"))
    password = read_secret(tmp_path / "database" / "password")
    assert read_secret(tmp_path / "database" / "pgpass") == f"db:5432:heimdall:heimdall:{password}"


@pytest.mark.parametrize("url", ["sqlite:////data/mini_siem.db", "postgresql://u:secret@db/heimdall"])
def test_a_database_that_needs_no_password_of_ours_gets_none(tmp_path: Path, url: str) -> None:
    write_files(settings_of(tmp_path, HEIMDALL_DATABASE_URL=url), Home(tmp_path), str(tmp_path / "broker"))
    assert not (tmp_path / "database").exists()


def test_a_key_that_is_given_becomes_the_key(tmp_path: Path) -> None:
    write_files(settings_of(tmp_path, SIEM_API_KEY="given-by-hand"), Home(tmp_path), str(tmp_path / "broker"))
    assert read_secret(Home(tmp_path).api_key) == "given-by-hand"


def test_no_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(tmp_path)
    with caplog.at_level("DEBUG"):
        write_files(settings_of(tmp_path), home, str(tmp_path / "broker"))
    assert "api-key" in caplog.text
    secrets = [read_secret(home.api_key), read_secret(tmp_path / "database" / "password")]
    assert not any(secret in caplog.text for secret in secrets + [home.credential(name).password for name in SERVICES])


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"file.* cannot be written"):
        write_files(settings_of(tmp_path), Home(tmp_path), str(tmp_path / "file" / "broker"))


@pytest.mark.mosquitto
def test_what_a_running_broker_has_written_is_left_alone(tmp_path: Path) -> None:
    with running(tmp_path / "home", "mosquitto") as broker:
        enroll(broker, OTHER)
        before = (broker.dynsec.stat().st_ino, broker.dynsec.read_bytes())
        write_files(settings_of(broker.home.path), broker.home, str(broker.home.broker))
        assert (broker.dynsec.stat().st_ino, broker.dynsec.read_bytes()) == before
