"""Incidents, and who was told of what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables; an alert without an incident is one by itself."""
    op.add_column("alerts", sa.Column("incident", sa.String))
    op.create_index("alerts_opened", "alerts", ["opened_at"])
    op.create_index("alerts_incident", "alerts", ["incident", "id"])
    op.create_table(
        "channels",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("cursor", sa.String, nullable=False),
    )
    op.create_table(
        "notices",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("incident", sa.String, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("made_at", _moment(), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _moment(), nullable=False),
        sa.Column("ended_at", _moment()),
        sa.Column("error", sa.Text),
    )
    op.create_index("notices_incident", "notices", ["channel", "incident"])
    unsent = sa.text("ended_at IS NULL")
    op.create_index("notices_unsent", "notices", ["channel", "id"], postgresql_where=unsent, sqlite_where=unsent)
    op.create_table(
        "told",
        sa.Column("channel", sa.String, primary_key=True),
        sa.Column("alert_id", sa.String, primary_key=True),
        sa.Column("incident", sa.String, nullable=False),
        sa.Column("opened_by", _id()),
        sa.Column("resolved_by", _id()),
        sa.Column("done", sa.SmallInteger, nullable=False),
    )
    undone = sa.text("done = 0")
    op.create_index("told_undone", "told", ["channel", "incident"], postgresql_where=undone, sqlite_where=undone)


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
