"""Alerts of what was found in the events, and how far they were read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables; an alert without a subject is about a host that is missed."""
    op.add_column("alerts", sa.Column("subject", sa.Text))
    op.add_column("alerts", sa.Column("severity", sa.SmallInteger))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "cursors",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("log_id", number, nullable=False),
    )
    op.create_table(
        "rule_windows",
        sa.Column("rule", sa.String, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("told", sa.Text, nullable=False),
    )
