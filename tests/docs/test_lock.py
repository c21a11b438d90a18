"""The lock of what the server is installed with."""

from __future__ import annotations

from typing import Any

import pytest

from tools.lock import LOCK, check_lock

PROJECT: dict[str, Any] = {
    "dependencies": ["paho-mqtt>=2.1,<3"],
    "optional-dependencies": {"server": ["uvicorn[standard]>=0.35,<1"]},
}
HASH = f" \\\n    --hash=sha256:{'0' * 64}\n    # via somebody\n"
GOOD = f"paho-mqtt==2.1.0{HASH}uvicorn==0.54.0 ; sys_platform != 'x'{HASH}"


def test_a_lock_that_fits_has_no_fault() -> None:
    assert check_lock(PROJECT, GOOD) == []


@pytest.mark.parametrize(
    ("lock", "fault"),
    [
        (GOOD.replace("paho-mqtt==2.1.0", "paho-mqtt==3.0.0"), "paho-mqtt is 3.0.0 there"),
        (GOOD.replace("paho-mqtt", "another"), "paho-mqtt is not in it"),
        (f"paho-mqtt==2.1.0\nuvicorn==0.54.0{HASH}", "paho-mqtt has no hash"),
        (f"--index-url https://packages.example/simple\n{GOOD}", "it names an index"),
    ],
)
def test_one_that_does_not_fit_is_told(lock: str, fault: str) -> None:
    assert any(fault in one for one in check_lock(PROJECT, lock))


def test_every_file_of_the_lock_has_a_hash() -> None:
    lines = LOCK.read_text().splitlines()
    pinned = [line for line in lines if line[:1].isalnum()]
    assert len(pinned) > 20
    assert all(line.endswith("\\") for line in pinned)
