from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import lock
from core.errors import Conflict, Invalid, Unavailable
from core.home import Home, read_secret, write_secret


def test_a_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_secret(path, "x\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secret(path) == "x"
    path.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        read_secret(path)


def test_a_credential_is_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    made = home.make_credential("agent", "web-01")
    assert home.make_credential("agent", "web-01") == made == home.credential("agent")
    assert made.password not in repr(made)
    assert home.make_credential("agent", "web-02").user == "web-02"


def test_what_is_missing_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="heimdall up"):
        Home(tmp_path).credential("api")


def test_a_lock_has_one_holder_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = f"import pathlib, sys; from core import lock; lock.hold(pathlib.Path({str(path)!r}), 'it'); print('held', flush=True); sys.stdin.read()"  # noqa: E501
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert lock.is_held(path)
    with pytest.raises(Conflict, match=f"it is in use by process {holder.pid}"):
        lock.hold(path, "it")
    holder.kill()
    holder.communicate()
    assert not lock.is_held(path)
    lock.hold(path, "it")
    assert path.read_text() == str(os.getpid())
