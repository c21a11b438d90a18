"""Verdicts, the outages that they make, the alerts that tell of these, and what is found out about hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "verdicts",
        sa.Column("source_host", _host(), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", _moment(), nullable=False),
        sa.Column("back_by", _moment()),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "outages",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("source_host", _host(), nullable=False),
        sa.Column("began_at", _moment(), nullable=False),
        sa.Column("ended_at", _moment()),
        sa.Column("cause", sa.Text, nullable=False),
    )
    op.create_index("outages_host", "outages", ["source_host", "began_at"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source_host", _host()),
        sa.Column("since", _moment(), nullable=False),
        sa.Column("opened_at", _moment(), nullable=False),
        sa.Column("resolved_at", _moment()),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "scores",
        sa.Column("source_host", _host(), primary_key=True),
        sa.Column("value", sa.SmallInteger),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("scored_at", _moment(), nullable=False),
    )
    op.create_table(
        "patterns",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("found_at", _moment(), nullable=False),
    )
    op.create_table(
        "pattern_hosts",
        sa.Column("source_host", _host(), primary_key=True),
        sa.Column("pattern_id", _id(), primary_key=True, autoincrement=False),
    )
    where = sa.text("resolved_at IS NULL")
    op.create_index("alerts_open", "alerts", ["source_host"], postgresql_where=where, sqlite_where=where)


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _host() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
