"""The store: what the ingestor, the API and the command line ask of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime

from core.errors import Invalid, Unavailable
from core.messages import Alert
from store import (
    alerts,
    audit,
    beat_days,
    beat_figures,
    dead_pages,
    detections,
    enrolment,
    findings,
    forget,
    found_alerts,
    host_pages,
    hosts,
    keys,
    leases,
    log_counts,
    news,
    notices,
    old_alerts,
    outages,
    postgres,
    queries,
    renewal,
    silences,
    sqlite,
    verdicts,
)
from store.barred import Barred
from store.database import Database, Unusable
from store.dead_letters import Cap
from store.events import write_batch
from store.findings import FoundPattern, FoundScore
from store.histogram import Histogram, count_events
from store.migrations import read_version, upgrade_schema
from store.moved import check_in_use, read_moved
from store.renewal import NewSecret, Visit
from store.rows import (
    AuditEntry,
    Beat,
    BeatFigures,
    BeatHour,
    Claims,
    EventFilter,
    HeldVerdict,
    Host,
    Key,
    KeyRow,
    KnownHost,
    Order,
    Outage,
    Signal,
    StoredEvent,
    WriteBatch,
    Written,
)
from store.summary import Summary, count_alerts, read_summary


def open_store(url: str, *, keep_days: int = 90, checkpointer: bool = False) -> Store:
    """Open the database at `url` (as in HEIMDALL_DATABASE_URL), making or upgrading its tables.

    Events whose version 7 ids are older than `keep_days` days are stored under other ids. One process of
    all, the ingestor, is the `checkpointer` of a SQLite database.

    Raises `Invalid` when it is no database of ours, damaged, of a newer Heimdall, or refuses its user, and
    `Unavailable` when it is away.
    """
    try:
        return Store(_open_upgraded(url, checkpointer), keep_days)
    except Unusable as error:
        raise Invalid(str(error)) from error


def _open_upgraded(url: str, checkpointer: bool) -> Database:
    database = _open(url, checkpointer)
    try:
        check_in_use(database)
        upgrade_schema(database)
        if isinstance(database, sqlite.SQLite):
            database.learn_indexes()
    except BaseException:
        database.close()
        raise
    return database


def _open(url: str, checkpointer: bool) -> Database:
    if url.startswith(sqlite.SCHEME):
        return sqlite.SQLite(url, checkpointer=checkpointer)
    if url.startswith((postgres.SCHEME, "postgres://")):
        return postgres.PostgreSQL(url)
    # a password may be in it, so the value is not shown
    raise Invalid("HEIMDALL_DATABASE_URL: use sqlite:///PATH or postgresql://USER@HOST/NAME")


def read_schema_version(url: str) -> str | None:
    """The version of the schema that the database at `url` has; `None` when it has none of ours. Changes nothing.

    Raises `Invalid` when it is no database or refuses its user, and `Unavailable` when it is away.
    """
    try:
        if url.startswith(sqlite.SCHEME):
            path = sqlite.find_path(url)
            if not path.exists():
                return None
            with sqlite.as_it_is(path) as connection:
                return read_version(connection)
        with closing(_open(url, checkpointer=False)) as database, database.reading() as connection:
            return read_version(connection)
    except Unusable as error:
        raise Invalid(str(error)) from error


class Store:
    """An open database. Threads may share it; every method raises `Unavailable` when the database is away.

    After that it is used again as before: it connects anew by itself. Times are given with their offset.
    """

    def __init__(self, database: Database, keep_days: int) -> None:
        self.database = database
        self._keep_days = keep_days
        self.enrolled = enrolment.EnrolledHosts(database)
        self.outbox = notices.Outbox(database)
        self.detections = detections.Detections(database)
        self.silences = silences.Silences(database)
        self.host_list = host_pages.HostList(database)
        self.forgetting = forget.Forgetting(database)
        self._keys = keys.KeyFinder(database)
        self._cap = Cap(database, keep_days)
        self._barred = Barred()

    def close(self) -> None:
        """Close every connection."""
        self.database.close()

    def ping(self) -> None:
        """Ask the database for nothing. Raises `Unavailable` when it does not answer, or was moved elsewhere."""
        with self.database.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
            moved_to = read_moved(connection)
        if moved_to is not None:
            raise Unavailable(
                f"database {self.database.name} was moved to {moved_to}: set HEIMDALL_DATABASE_URL to that"
            )

    def write(self, batch: WriteBatch) -> Written:
        """Store a batch in one transaction (see `events.write_batch`); dead letters beyond their caps go after it."""
        written = write_batch(self.database, batch, self._keep_days, self._barred)
        self._cap.hold(written.letters, batch.received_at)
        return written

    def record_heartbeat(self, host: str, os_type: str, at: datetime) -> None:
        """Record that `host` was heard at `at`. `last_seen` never goes back."""
        hosts.record_beats(self.database, [Beat(host, os_type, at)])

    def record_heartbeats(self, beats: Iterable[Beat]) -> None:
        """Record many signs of life in one transaction."""
        hosts.record_beats(self.database, beats)

    def record_info(self, host: str, info_json: str, at: datetime) -> bool:
        """Keep what `host` says of itself, as JSON; False when it is barred. Raises `Unstorable` when it is none."""
        return hosts.record_info(self.database, host, info_json, at, self._barred)

    def walk_status(self, threshold_minutes: float, now: datetime) -> Iterator[tuple[Host, bool]]:
        """Every host that was heard, and whether it is active (see `hosts.walk_status`)."""
        return hosts.walk_status(self.database, threshold_minutes, now)

    def get_host(self, name: str) -> Host | None:
        """One host, or `None` when nothing was ever heard of it."""
        return hosts.read_host(self.database, name)

    def read_new_hosts(self, after: int) -> tuple[list[str], int]:
        """Hosts that were heard for the first time since (see `hosts.read_new_hosts`)."""
        return hosts.read_new_hosts(self.database, after)

    def read_enrolled(self, after: int = 0) -> tuple[list[str], int]:
        """The hosts that were enrolled since (see `enrolment.read_enrolled`)."""
        return enrolment.read_enrolled(self.database, after)

    def read_verdicts(self) -> list[HeldVerdict]:
        """What every host is held to be."""
        return verdicts.read_verdicts(self.database)

    def claim(self, transitions: Sequence[HeldVerdict], now: datetime, order: int | None = None) -> Iterator[Claims]:
        """Make transitions true, each by the first who claims it (see `verdicts.claim`)."""
        return verdicts.claim(self.database, transitions, now, order)

    def record_findings(
        self, found: Sequence[found_alerts.Finding], over: Sequence[found_alerts.Subject], now: datetime
    ) -> tuple[list[Alert], list[Alert]]:
        """Open and resolve alerts of what was found (see `found_alerts.record_findings`)."""
        return found_alerts.record_findings(self.database, found, over, now)

    def ack_alert(self, alert_id: str, who: str, now: datetime) -> Alert | None:
        """Note that `who` has seen to an alert (see `alerts.ack_alert`). Raises `Conflict` when it is resolved."""
        return alerts.ack_alert(self.database, alert_id, who, now)

    def find_alerts(self, ids: Sequence[str]) -> list[Alert]:
        """The alerts with these ids, those that there are."""
        return alerts.find_alerts(self.database, ids)

    def read_missed(self, hosts: Sequence[str], since: datetime) -> list[Alert]:
        """Alerts that say of one of `hosts` that it is gone, or was after `since` (see `alerts.read_missed`)."""
        return alerts.read_missed(self.database, hosts, since)

    def add_outage(self, outage: Outage) -> bool:
        """Keep an outage of which is known only after its end (see `outages.add_outage`)."""
        return outages.add_outage(self.database, outage)

    def read_outages_of(self, names: Sequence[str], since: datetime) -> dict[str, list[Outage]]:
        """The outages of some hosts (see `outages.read_outages_of`)."""
        return outages.read_outages_of(self.database, names, since)

    def read_all_outages(self, since: datetime) -> list[Outage]:
        """The outages of all hosts that lasted at `since` or began later."""
        return outages.read_all_outages(self.database, since)

    def read_known(self) -> list[KnownHost]:
        """Every host that has sent a heartbeat, with its tags."""
        return hosts.read_known(self.database)

    def keep_scores(self, found: Sequence[FoundScore], now: datetime) -> list[FoundScore]:
        """Keep these hosts' scores (see `findings.keep_scores`)."""
        return findings.keep_scores(self.database, found, now)

    def read_score(self, host: str) -> FoundScore | None:
        """The score of a host, or `None` when there is none yet."""
        return findings.read_score(self.database, host)

    def keep_patterns(self, found: Iterable[FoundPattern], now: datetime) -> None:
        """Keep these patterns instead of all that were found before."""
        findings.keep_patterns(self.database, found, now)

    def read_patterns(self, host: str) -> list[FoundPattern]:
        """The patterns that a host is part of."""
        return findings.read_patterns(self.database, host)

    def first_slot(self, name: str, now: datetime) -> int | None:
        """The smallest slot of `name` that somebody holds at `now`."""
        return leases.first_slot(self.database, name, now)

    def read_open_alerts(self) -> list[Alert]:
        """The alerts that are open, in the order in which they were opened."""
        return alerts.read_open_alerts(self.database)

    def read_alerts(
        self, limit: int, state: str | None = None, before: str | None = None, incident: str | None = None
    ) -> list[Alert]:
        """A page of alerts, last opened first (see `alerts.read_alerts`)."""
        return alerts.read_alerts(self.database, limit, state, before, incident)

    def read_outages(self, host: str, limit: int, before: datetime | None = None) -> list[Outage]:
        """A page of a host's outages, last begun first (see `outages.read_outages`)."""
        return outages.read_outages(self.database, host, limit, before)

    def get_info(self, name: str) -> str | None:
        """What a host said of itself, as JSON, or `None`."""
        return hosts.read_info(self.database, name)

    def read_beats(self, host: str, now: datetime) -> BeatFigures | None:
        """The figures of a host's heartbeats, or `None` when there was none (see `beat_figures.read_beats`)."""
        return beat_figures.read_beats(self.database, host, now)

    def read_beat_hours(self, host: str, since: datetime | None, now: datetime) -> list[BeatHour]:
        """What was counted an hour (see `beat_figures.read_beat_hours`)."""
        return beat_figures.read_beat_hours(self.database, host, since, now)

    def read_signals(self, names: Iterable[str] | None = None) -> Iterator[Signal]:
        """What tells who is alive, of all hosts or of `names` (see `beat_figures.read_signals`)."""
        return beat_figures.read_signals(self.database, names)

    def roll_up_beats(self, now: datetime) -> int:
        """Old hours become days, old days go, at any time and any number of times (see `beat_days.roll_up_beats`)."""
        return beat_days.roll_up_beats(self.database, now, self._keep_days)

    def forget_minutes(self, now: datetime) -> int:
        """Of events only hours stay counted, at any time (see `log_counts.forget_minutes`)."""
        return log_counts.forget_minutes(self.database, now)

    def forget_alerts(self, now: datetime) -> int:
        """Old alerts go, at any time and any number of times (see `old_alerts.forget_alerts`)."""
        return old_alerts.forget_alerts(self.database, now, self._keep_days)

    def read_news(self, after: int | None) -> news.News:
        """What was stored since somebody looked last (see `news.read_news`)."""
        return news.read_news(self.database, after)

    def read_dead(self, limit: int, before: int | None = None) -> list[dead_pages.StoredLetter]:
        """A page of dead letters, last received first: those with `id` < `before`."""
        return dead_pages.read_dead(self.database, limit, before)

    def events(self, wanted: EventFilter, limit: int, before: int | None = None) -> queries.EventPage:
        """A page of events, last stored first (see `queries.read_events`)."""
        return queries.read_events(self.database, wanted, limit, before)

    def count_events(
        self, wanted: EventFilter, since: datetime, until: datetime, buckets: int, now: datetime
    ) -> Histogram:
        """How many events there were over time (see `histogram.count_events`)."""
        return count_events(self.database, wanted, since, until, buckets, now)

    def read_summary(self, now: datetime) -> Summary:
        """What the whole fleet is like (see `summary.read_summary`)."""
        return read_summary(self.database, now)

    def count_alerts(self) -> tuple[int, int]:
        """How many alerts are open, and how many of those are acknowledged."""
        return count_alerts(self.database)

    def get_event(self, event_id: str) -> StoredEvent | None:
        """The event with this `event_id`, or `None`."""
        return queries.read_event(self.database, event_id)

    def add_key(
        self, hash: str, name: str, scopes: Iterable[str], host: str | None = None, expires_at: datetime | None = None
    ) -> None:
        """Add an API key by its hash; the same again changes it to what is given."""
        keys.add_key(self.database, hash, name, scopes, host, expires_at)

    def make_key(
        self, hash: str, name: str, scopes: Iterable[str], host: str | None, expires_at: datetime | None, who: str
    ) -> None:
        """Add a new API key that `who` made (see `keys.make_key`). Raises `Conflict` when its name is taken."""
        keys.make_key(self.database, hash, name, scopes, host, expires_at, who)

    def revoke_key(self, id_or_name: str, who: str) -> KeyRow | None:
        """Delete a key; `None` when there is none. Raises `Conflict` when several have that name."""
        return keys.revoke_key(self.database, id_or_name, who)

    def list_keys(self) -> list[KeyRow]:
        """Every API key, by name; never the key itself."""
        return keys.list_keys(self.database)

    def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """A page of the audit trail, newest first."""
        return audit.read_audit(self.database, limit, before)

    def add_token(
        self, hash: str, pattern: str, uses: int, expires_at: datetime, who: str, now: datetime, *, replaces: bool
    ) -> None:
        """Add an enrolment token (see `enrolment.add_token`). Raises `Conflict` when the host has its name already."""
        enrolment.add_token(self.database, hash, pattern, uses, expires_at, who, now, replaces=replaces)

    def use_token(self, hash: str, host: str, secret_hash: str, sealed: bytes, now: datetime) -> int | None:
        """Enrol a host by a token (see `enrolment.use_token`): the keeper's order, or `None`. Raises `Conflict`."""
        return enrolment.use_token(self.database, hash, host, secret_hash, sealed, now)

    def visit(self, host: str, secret_hash: str, new: NewSecret | None, now: datetime) -> Visit | None:
        """An enrolled host comes by (see `renewal.visit`)."""
        return renewal.visit(self.database, host, secret_hash, new, now)

    def ask_to_renew(self, hosts: Sequence[str] | None, who: str, now: datetime) -> list[str]:
        """Ask enrolled hosts for new secrets (see `renewal.ask_to_renew`). Raises `Invalid`."""
        return renewal.ask_to_renew(self.database, hosts, who, now)

    def read_awaited(self, since: datetime | None = None) -> list[str]:
        """Which enrolled hosts have still to take a new secret, or to come by after `since`."""
        return renewal.read_awaited(self.database, since)

    def revoke_host(self, host: str, who: str, now: datetime) -> int:
        """Take a host's right to speak: the keeper's order."""
        return enrolment.revoke_host(self.database, host, who, now)

    def disable_host(self, host: str, why: str, now: datetime) -> int | None:
        """Take it because of what the host does: the keeper's order, `None` when it is barred already."""
        return enrolment.disable_host(self.database, host, why, now)

    def read_orders(self) -> list[Order]:
        """What the keeper has still to do."""
        return enrolment.read_orders(self.database)

    def read_order(self, number: int) -> Order:
        """What has come of an order. Raises `Invalid` when there is none."""
        return enrolment.read_order(self.database, number)

    def finish_order(self, number: int, error: str | None, now: datetime) -> None:
        """Write down what came of an order."""
        enrolment.finish_order(self.database, number, error, now)

    def publish_keeper_key(self, public_key: bytes) -> None:
        """Say with which key secrets are sealed for the keeper."""
        enrolment.publish_keeper_key(self.database, public_key)

    def read_keeper_key(self) -> bytes | None:
        """The key that secrets are sealed with, or `None`."""
        return enrolment.read_keeper_key(self.database)

    def find_key(self, hash: str, now: datetime) -> Key | None:
        """The API key with this hash, unless it has expired by `now`."""
        return self._keys.find(hash, now)

    def add_login_link(self, hash: str, name: str, expires_at: datetime) -> None:
        """Add a link that lets `name` in once."""
        keys.add_login_link(self.database, hash, name, expires_at)

    def use_login_link(self, hash: str, now: datetime) -> str | None:
        """Use up a link: the name that it lets in, or `None`. Of several at once one gets the name."""
        return keys.use_login_link(self.database, hash, now)

    def add_session(self, hash: str, name: str, scopes: Iterable[str], expires_at: datetime) -> None:
        """Add a session by its hash."""
        keys.add_session(self.database, hash, name, scopes, expires_at)

    def find_session(self, hash: str, now: datetime) -> Key | None:
        """Whose session this is, unless it has ended or expired by `now`."""
        return keys.find_session(self.database, hash, now)

    def end_session(self, hash: str) -> None:
        """End a session."""
        keys.end_session(self.database, hash)

    def take_lease(self, name: str, holder: str, now: datetime, seconds: float, dead: Callable[[str], bool]) -> int:
        """Take the smallest slot that can be had, from 1 (see `leases.take_lease`)."""
        return leases.take_lease(self.database, name, holder, now, seconds, dead)

    def renew_lease(self, name: str, slot: int, holder: str, now: datetime, seconds: float) -> bool:
        """Hold a slot for `seconds` from `now`; False when it is no longer `holder`'s."""
        return leases.renew_lease(self.database, name, slot, holder, now, seconds)

    def release_lease(self, name: str, slot: int, holder: str) -> None:
        """Let a slot go."""
        leases.release_lease(self.database, name, slot, holder)
