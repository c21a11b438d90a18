from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Invalid
from core.settings import load


def test_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    settings = load({"HEIMDALL_HOME": str(tmp_path)})
    assert (settings.bind, settings.http_port, settings.mqtt_port, settings.keep_days) == ("127.0.0.1", 8010, 1883, 90)
    assert settings.database_url == f"sqlite:///{tmp_path}/mini_siem.db"
    assert str(settings.broker) == "mqtt://127.0.0.1:1883"
    assert [settings.broker_set, settings.http_port_set, settings.mqtt_port_set] == [False] * 3


def test_ports_that_up_has_chosen_are_found_by_other_commands(tmp_path: Path) -> None:
    (tmp_path / "ports").write_text("http=8011\nmqtt=1884\n")
    settings = load({"HEIMDALL_HOME": str(tmp_path)})
    assert (settings.http_port, settings.broker.port, settings.http_port_set) == (8011, 1884, False)
    assert load({"HEIMDALL_HOME": str(tmp_path), "HEIMDALL_HTTP_PORT": "9000"}).http_port == 9000


def test_the_brokers_address_may_carry_its_login() -> None:
    broker = load({"HEIMDALL_BROKER_URL": "mqtts://web-01:p%40ss@broker.example"}).broker
    assert (broker.host, broker.port, broker.tls, broker.user, broker.password) == (
        "broker.example", 8883, True, "web-01", "p@ss",
    )  # fmt: skip
    assert "p@ss" not in str(broker)


def test_ipv6_is_written_with_brackets() -> None:
    settings = load({"HEIMDALL_BIND": "::", "HEIMDALL_MQTT_PORT": "1999"})
    assert (settings.broker.host, str(settings.broker)) == ("::1", "mqtt://[::1]:1999")
    assert settings.api_address == "http://[::1]:8010"


@pytest.mark.parametrize(("value", "days"), [("90d", 90), ("2w", 14), ("1y", 365)])
def test_how_long_is_told_in_days_weeks_or_years(value: str, days: int) -> None:
    assert load({"HEIMDALL_KEEP": value}).keep_days == days


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEIMDALL_HTTP_PORT", "0"), ("HEIMDALL_HTTP_PORT", "65536"), ("HEIMDALL_HTTP_PORT", "८०१०"),
        ("HEIMDALL_KEEP", "0d"), ("HEIMDALL_KEEP", "90"), ("HEIMDALL_KEEP", "3000y"), ("HEIMDALL_BIND", "localhost"),
        ("HEIMDALL_DATABASE_URL", "sqlite:///"), ("HEIMDALL_BROKER_URL", "mqtt://host:port"),
        ("HEIMDALL_BROKER_URL", "mqtt://"), ("HEIMDALL_BROKER_PASSWORD", "alone"), ("HEIMDALL_HOST", "a/b"),
        ("HEIMDALL_STATUS_PAGE", "yes"), ("SIEM_API_KEY", "with a space"), ("SIEM_API_URL", "localhost:8010"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=name):
        load({name: value})


def test_no_error_repeats_a_secret() -> None:
    for name, value in (("SIEM_API_KEY", "hun ter2"), ("HEIMDALL_DATABASE_URL", "mysql://u:hunter2@h/d")):
        with pytest.raises(Invalid) as raised:
            load({name: value})
        assert "ter2" not in str(raised.value)
