"""The first schema, and the adoption of a database of the HTTP version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from store.migrations.adoption import adopt, check_tables

revision = "0001"
down_revision = None

_MADE = ("activity", "host_info", "dead_letters", "api_keys", "sessions", "login_links", "leases", "adopted_ids")


def upgrade() -> None:
    """Make every table that is absent; take over `logs` and `heartbeats` of the HTTP version."""
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    present = {*inspector.get_table_names(), *inspector.get_view_names()}
    old = present & {"logs", "heartbeats"}
    check_tables(connection, old, present & set(_MADE))
    if "logs" not in present:
        _create_logs(connection.dialect.name)
    if "heartbeats" not in present:
        _create_heartbeats()
    _create_per_host()
    _create_dead_letters()
    _create_access()
    if old:
        adopt(connection, old)
    if connection.dialect.name == "postgresql":
        op.execute("CREATE INDEX logs_id ON logs (id)")
    op.execute("CREATE INDEX logs_segment_host ON logs ((id / 65536), source_host)")


def _moment() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def _host() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _row_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_logs(dialect: str) -> None:
    partitioned = dialect == "postgresql"
    if partitioned:
        op.execute("CREATE SEQUENCE logs_id_seq")
    op.create_table(
        "logs",
        sa.Column(
            "id", _row_id(), primary_key=not partitioned, nullable=False,
            server_default=sa.text("nextval('logs_id_seq')") if partitioned else None,
        ),
        sa.Column("event_id", sa.Text().with_variant(postgresql.UUID(), "postgresql"), nullable=False),
        sa.Column("timestamp", _moment(), nullable=False),
        sa.Column("source_host", _host(), nullable=False),
        sa.Column("os_type", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("source_ip", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("raw_message", sa.Text, nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        postgresql_partition_by="RANGE (event_id)",
    )  # fmt: skip
    if partitioned:
        op.execute("ALTER SEQUENCE logs_id_seq OWNED BY logs.id")
        op.execute("CREATE TABLE logs_default PARTITION OF logs DEFAULT")
    op.create_index("logs_event_id", "logs", ["event_id"], unique=True)


def _create_heartbeats() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("id", _row_id(), primary_key=True),
        sa.Column("source_host", _host(), nullable=False),
        sa.Column("os_type", sa.Text, nullable=False),
        sa.Column("last_seen", _moment()),
        sa.Column("updated_at", _moment()),
        sa.UniqueConstraint("source_host", name="heartbeats_source_host"),
        # room in each page, so that an update changes no index (HOT)
        postgresql_with={"fillfactor": "60"},
    )


def _create_per_host() -> None:
    op.create_table(
        "activity",
        sa.Column("source_host", _host(), primary_key=True),
        sa.Column("os_type", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("newest_timestamp", _moment()),
        sa.Column("newest_stored_at", _moment()),
        *(sa.Column(f"severity_{level}", sa.BigInteger, nullable=False) for level in range(1, 6)),
        postgresql_with={"fillfactor": "60"},
        # one tree instead of two: each batch touches most of its pages when many hosts speak
        sqlite_with_rowid=False,
    )
    op.create_table(
        "host_info",
        sa.Column("source_host", _host(), primary_key=True),
        sa.Column("info", sa.Text, nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", _row_id(), primary_key=True),
        sa.Column("received_at", _moment(), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("source_host", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )


def _create_access() -> None:
    op.create_table(
        "api_keys",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("host", sa.Text),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("expires_at", _moment()),
        sa.Column("last_used", _moment()),
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
    )
    op.create_table(
        "login_links",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.Column("used_at", _moment()),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
    )
