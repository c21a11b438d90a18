"""The tables, the same for SQLite and PostgreSQL. The migrations make them; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)  # fmt: skip

from store.columns import EventId, HostName, Moment, OldMoment, RowId

# rows of `logs` per segment: the index on (id / 65536, source_host) keeps what is being written in one
# small region, where one on (source_host, id) dirties a page for every row
SEGMENT_ROWS = 65_536
# rows of `logs` per block, of each of which it is known when it was stored
BLOCK_ROWS = 16_384

# the columns of `logs` that are compared to tell a duplicate from a conflict, in the order of their parameters
BODY_COLUMNS = (
    "timestamp", "source_host", "os_type", "event_type", "severity", "source_ip", "user", "raw_message",
)  # fmt: skip

metadata = MetaData()

# in PostgreSQL partitioned by range of event_id, which is its key there
logs = Table(
    "logs",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("event_id", EventId, nullable=False),
    Column("timestamp", OldMoment, nullable=False),
    Column("source_host", HostName, nullable=False),
    Column("os_type", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("source_ip", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("raw_message", Text, nullable=False),
    Column("created_at", OldMoment, nullable=False),
)
segment = logs.c.id.op("/")(text(str(SEGMENT_ROWS)))
Index("logs_event_id", logs.c.event_id, unique=True)
Index("logs_segment_host", segment, logs.c.source_host)
Index("logs_segment_type", segment, func.upper(logs.c.event_type))

# when the rows of a block were stored, as each process that writes has seen it: `writer` tells them apart, for two
# that count in one row would wait for each other's commits. A block that is not in here may hold any time
log_blocks = Table(
    "log_blocks",
    metadata,
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("stored_from", Moment, nullable=False),
    Column("stored_until", Moment, nullable=False),
    sqlite_with_rowid=False,
)


def _event_period(name: str, column: str) -> Table:
    """How many events were stored in a period."""
    return Table(
        name,
        metadata,
        Column(column, Moment, primary_key=True),
        Column("writer", Integer, primary_key=True, autoincrement=False),
        Column("os_type", Text, primary_key=True),
        Column("event_type", Text, primary_key=True),
        Column("severity", SmallInteger, primary_key=True, autoincrement=False),
        Column("events", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


# both are counted at once; minutes are kept for some days
event_minutes = _event_period("event_minutes", "minute")
event_hours = _event_period("event_hours", "hour")

# one row a host, for lists: what is filtered and ordered by and changes seldom. A trigger adds it with the host's first
# row in `heartbeats`. `rank` is that of its verdict (`host_list.CONDITIONS`), `tags` each
# between newlines
hosts = Table(
    "hosts",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("os_type", Text),
    Column("rank", SmallInteger, nullable=False),
    Column("score", SmallInteger),
    Column("tags", Text, nullable=False),
    sqlite_with_rowid=False,
)
# the last two so that filters need not look into the table
Index("hosts_rank", hosts.c.rank, hosts.c.source_host, hosts.c.os_type, hosts.c.tags)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_host", HostName, nullable=False),
    Column("os_type", Text, nullable=False),
    Column("last_seen", Moment),
    Column("updated_at", Moment),
    UniqueConstraint("source_host", name="heartbeats_source_host"),
)

activity = Table(
    "activity",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("os_type", Text, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("newest_timestamp", Moment),
    Column("newest_stored_at", Moment),
    *(Column(f"severity_{level}", BigInteger, nullable=False) for level in range(1, 6)),
)


def _latencies(prefix: str = "") -> list[Column[Any]]:
    """The buckets of latency: `rows.LATENCY_BOUNDS` has their upper ends."""
    return [Column(f"{prefix}latency_{bucket}", BigInteger, nullable=False) for bucket in range(1, 9)]


# one row a host, rewritten with each heartbeat: no index but the key, and room in its page for PostgreSQL's new version
beats = Table(
    "beats",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("boot", Text),
    Column("seq", BigInteger),
    Column("first_seq", BigInteger),
    Column("seen", BigInteger),
    Column("boot_began_at", Moment),
    Column("formers", Text),
    Column("boot_returns", BigInteger, nullable=False),
    Column("boot_returned_at", Moment),
    Column("interval_s", Double, nullable=False),
    Column("spool", BigInteger),
    Column("beat_at", Moment, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("expected", Double, nullable=False),
    Column("expected_at", Moment, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("delay", Double),
    Column("skew", Double),
    Column("skew_low", Double),
    Column("jitter", Double, nullable=False),
    Column("hour", Moment, nullable=False),
    Column("hour_beats", BigInteger, nullable=False),
    Column("hour_expected", Double, nullable=False),
    Column("hour_lost", BigInteger, nullable=False),
    Column("hour_latency_sum", Double, nullable=False),
    *_latencies("hour_"),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 50},
)


def _beat_period(name: str, column: str) -> Table:
    """The key begins with the time: each hour's rows lie together, are written at one place and leave at one."""
    return Table(
        name,
        metadata,
        Column(column, Moment, primary_key=True),
        Column("source_host", HostName, primary_key=True),
        Column("beats", BigInteger, nullable=False),
        Column("expected", Double, nullable=False),
        Column("lost", BigInteger, nullable=False),
        Column("latency_sum", Double, nullable=False),
        *_latencies(),
        sqlite_with_rowid=False,
    )


beat_hours = _beat_period("beat_hours", "hour")
beat_days = _beat_period("beat_days", "day")

host_info = Table(
    "host_info",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("info", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("received_at", Moment, nullable=False),
    Column("topic", Text, nullable=False),
    Column("source_host", Text),
    Column("reason", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("hash", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("host", Text),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("last_used", Moment),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

login_links = Table(
    "login_links",
    metadata,
    Column("hash", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("holder", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

# `version` counts the transitions: who names the one before claims the next
verdicts = Table(
    "verdicts",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("back_by", Moment),
    Column("version", Integer, nullable=False),
)

outages = Table(
    "outages",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_host", HostName, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("cause", Text, nullable=False),
)
Index("outages_host", outages.c.source_host, outages.c.began_at)
Index("outages_began", outages.c.began_at)
Index("outages_ended", outages.c.ended_at)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source_host", HostName),
    Column("since", Moment, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    Column("text", Text, nullable=False),
    Column("incident", String),
    Column("subject", Text),
    Column("severity", SmallInteger),
    Column("acked_at", Moment),
    Column("acked_by", Text),
)
_open_alerts = alerts.c.resolved_at.is_(None)
Index("alerts_opened", alerts.c.opened_at)
Index("alerts_incident", alerts.c.incident, alerts.c.id)
Index("alerts_open", alerts.c.source_host, postgresql_where=_open_alerts, sqlite_where=_open_alerts)

# what people are not told of for a while: silences, and maintenance. `hosts` and `kinds` are lists in JSON
silences = Table(
    "silences",
    metadata,
    Column("id", String, primary_key=True),
    Column("maintenance", SmallInteger, nullable=False),
    Column("hosts", Text, nullable=False),
    Column("kinds", Text),
    Column("reason", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("begins_at", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("ended_at", Moment),
)
Index("silences_until", silences.c.until)

# who is notified; of alerts with an id up to `cursor` there is nothing left to tell
channels = Table(
    "channels",
    metadata,
    Column("name", String, primary_key=True),
    Column("cursor", String, nullable=False),
)

# the outbox: what a channel is to say, in the order of ids
notices = Table(
    "notices",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("channel", String, nullable=False),
    Column("incident", String, nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("error", Text),
)
Index("notices_incident", notices.c.channel, notices.c.incident)
_unsent = notices.c.ended_at.is_(None)
Index("notices_unsent", notices.c.channel, notices.c.id, postgresql_where=_unsent, sqlite_where=_unsent)

# by which notice a channel tells of an alert's opening and of its end; NULL: by none, for it was not worth telling
told = Table(
    "told",
    metadata,
    Column("channel", String, primary_key=True),
    Column("alert_id", String, primary_key=True),
    Column("incident", String, nullable=False),
    Column("opened_by", RowId),
    Column("resolved_by", RowId),
    Column("done", SmallInteger, nullable=False),
)
_undone = told.c.done == 0
Index("told_undone", told.c.channel, told.c.incident, postgresql_where=_undone, sqlite_where=_undone)

# up to which row of `logs` somebody has read
cursors = Table(
    "cursors",
    metadata,
    Column("name", String, primary_key=True),
    Column("log_id", RowId, nullable=False),
)

# what a rule knows of a subject, such as an address: `told` is its JSON
rule_windows = Table(
    "rule_windows",
    metadata,
    Column("rule", String, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("told", Text, nullable=False),
)

# what the watch finds out about hosts from time to time; `told` is its JSON
scores = Table(
    "scores",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("value", SmallInteger),
    Column("told", Text, nullable=False),
    Column("scored_at", Moment, nullable=False),
)

patterns = Table(
    "patterns",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("found_at", Moment, nullable=False),
)

pattern_hosts = Table(
    "pattern_hosts",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("pattern_id", RowId, primary_key=True, autoincrement=False),
)

# triggers keep it append-only
audit = Table(
    "audit",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", String, primary_key=True),
    Column("pattern", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("replaces", SmallInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

enrolled = Table(
    "enrolled",
    metadata,
    Column("source_host", HostName, primary_key=True),
    Column("folded", Text, nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("enrolled_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("renew", SmallInteger, nullable=False, server_default="0"),
    Column("visited_at", Moment),
    UniqueConstraint("folded", name="enrolled_folded"),
)
_revoked = enrolled.c.revoked_at.is_not(None)
# who is barred is read again whenever somebody is enrolled
Index("enrolled_revoked", enrolled.c.source_host, postgresql_where=_revoked, sqlite_where=_revoked)

keeper_orders = Table(
    "keeper_orders",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("ordered_at", Moment, nullable=False),
    Column("done_at", Moment),
    Column("error", Text),
)
_open_orders = keeper_orders.c.done_at.is_(None)
Index("keeper_orders_open", keeper_orders.c.id, postgresql_where=_open_orders, sqlite_where=_open_orders)

keeper_keys = Table(
    "keeper_keys",
    metadata,
    Column("name", String, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
)

# only in a database of the HTTP version: the ids that its rows would have, had they come through `POST /ingest`
adopted_ids = Table("adopted_ids", MetaData(), Column("event_id", String, primary_key=True))
