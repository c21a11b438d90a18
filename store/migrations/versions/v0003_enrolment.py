"""Enrolment: tokens, who is enrolled, and what the keeper is told to do at the broker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tokens",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("pattern", sa.Text, nullable=False),
        sa.Column("uses_left", sa.Integer, nullable=False),
        sa.Column("replaces", sa.SmallInteger, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
    )
    op.create_table(
        "enrolled",
        sa.Column("source_host", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("enrolled_at", _moment(), nullable=False),
        sa.Column("revoked_at", _moment()),
        sa.UniqueConstraint("folded", name="enrolled_folded"),
    )
    op.create_table(
        "keeper_orders",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("ordered_at", _moment(), nullable=False),
        sa.Column("done_at", _moment()),
        sa.Column("error", sa.Text),
    )
    op.create_index("keeper_orders_open", "keeper_orders", ["id"], postgresql_where=sa.text("done_at IS NULL"),
                    sqlite_where=sa.text("done_at IS NULL"))  # fmt: skip
    op.create_table(
        "keeper_keys",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
    )


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
