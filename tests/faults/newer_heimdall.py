"""A newer Heimdall: a copy of these packages whose schema is one migration further, which only adds (it expands)."""

from __future__ import annotations

import shutil
from pathlib import Path

from faults_site import ROOT

from store.migrations import HEAD as OURS

PACKAGES = ("core", "agents", "broker", "store", "ingestor", "api", "heimdall")
HEAD = f"{int(OURS) + 1:04}"
_MIGRATION = '''
"""One more column on `logs` and on `heartbeats`; it waits in its transaction while TEST_HOLD names a folder."""

import os
import time
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "{head}"
down_revision = "{before}"


def upgrade() -> None:
    for table in ("logs", "heartbeats"):
        op.add_column(table, sa.Column("site", sa.Text(), nullable=True))
    if folder := os.environ.get("TEST_HOLD"):
        (Path(folder) / "held").touch()
        while True:
            time.sleep(0.1)
'''


def make_newer_heimdall(folder: Path) -> dict[str, str]:
    """Make it in `folder`; the environment in which a process runs it instead of this one."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    migrations = folder / "store" / "migrations"
    (migrations / "versions" / f"v{HEAD}_newer.py").write_text(_MIGRATION.format(head=HEAD, before=OURS))
    module = migrations / "__init__.py"
    text = module.read_text()
    assert f'HEAD = "{OURS}"' in text
    module.write_text(text.replace(f'HEAD = "{OURS}"', f'HEAD = "{HEAD}"'))
    # without the current folder, which would come first
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
