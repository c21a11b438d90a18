"""What is counted about heartbeats: a row a host, its hours, its days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "beats",
        _host(),
        sa.Column("boot", sa.Text),
        sa.Column("seq", sa.BigInteger),
        sa.Column("first_seq", sa.BigInteger),
        sa.Column("seen", sa.BigInteger),
        sa.Column("boot_began_at", _moment()),
        sa.Column("formers", sa.Text),
        sa.Column("boot_returns", sa.BigInteger, nullable=False),
        sa.Column("boot_returned_at", _moment()),
        sa.Column("interval_s", sa.Double, nullable=False),
        sa.Column("spool", sa.BigInteger),
        sa.Column("beat_at", _moment(), nullable=False),
        sa.Column("began_at", _moment(), nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("expected", sa.Double, nullable=False),
        sa.Column("expected_at", _moment(), nullable=False),
        sa.Column("lost", sa.BigInteger, nullable=False),
        sa.Column("delay", sa.Double),
        sa.Column("skew", sa.Double),
        sa.Column("skew_low", sa.Double),
        sa.Column("jitter", sa.Double, nullable=False),
        sa.Column("hour", _moment(), nullable=False),
        sa.Column("hour_beats", sa.BigInteger, nullable=False),
        sa.Column("hour_expected", sa.Double, nullable=False),
        sa.Column("hour_lost", sa.BigInteger, nullable=False),
        sa.Column("hour_latency_sum", sa.Double, nullable=False),
        *_latencies("hour_"),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 50},
    )
    for table, column in (("beat_hours", "hour"), ("beat_days", "day")):
        op.create_table(
            table,
            sa.Column(column, _moment(), primary_key=True),
            _host(),
            sa.Column("beats", sa.BigInteger, nullable=False),
            sa.Column("expected", sa.Double, nullable=False),
            sa.Column("lost", sa.BigInteger, nullable=False),
            sa.Column("latency_sum", sa.Double, nullable=False),
            *_latencies(),
            sqlite_with_rowid=False,
        )


def _host() -> sa.Column[str]:
    return sa.Column("source_host", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True)


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def _latencies(prefix: str = "") -> list[sa.Column[int]]:
    return [sa.Column(f"{prefix}latency_{bucket}", sa.BigInteger, nullable=False) for bucket in range(1, 9)]
