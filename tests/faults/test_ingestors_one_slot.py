"""Two ingestors with one client id: the lease in the database says whose it is, and the other one leaves."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from faults_site import Site
from ingestors import add_ingestor, replace_ingestor, wait_for_sessions
from part import Part
from sqlalchemy import Connection
from waiting import wait_until

from core.clock import rfc3339, utc_now

pytestmark = pytest.mark.mosquitto
SESSIONS = ("@ingestor-1", "@ingestor-1-presence")
# what is known of processes of this machine shall not help: a lease must run out
ELSEWHERE = "import socket; socket.gethostname = lambda: 'elsewhere'"


def start_agents(here: Site) -> None:
    for host in here.hosts:
        here.start_agent(host)


def wait_for_more(here: Site) -> None:
    before = here.stored()
    wait_until(lambda: here.stored() > before, "events are stored")


def let_lease_run_out(connection: Connection) -> None:
    past = rfc3339(utc_now() - timedelta(hours=1))
    connection.exec_driver_sql(f"UPDATE leases SET expires_at = '{past}'")


def expect_loser(here: Site, loser: Part, winner: Part) -> None:
    """`loser` leaves the slot, and has cost the winner its session at most once."""
    wait_until(lambda: not loser.alive, "the loser leaves")
    assert "slot 1 has been taken by another ingestor" in loser.said()
    wait_for_more(here)
    assert winner.alive
    for client_id in SESSIONS:
        evictions = here.broker.said().count(f"Client {client_id} already connected")
        assert evictions <= 1, f"{client_id} was evicted {evictions} times"


def test_of_two_ingestors_with_one_client_id_the_one_without_the_lease_leaves_and_nothing_is_lost(
    here: Site,
) -> None:
    here.start_broker()
    # one that would look at its lease by itself only in an hour
    first = replace_ingestor(here, "slots.RENEW_SECONDS = 3600")
    here.start_ingestor()
    start_agents(here)
    wait_for_more(here)
    with here.store.database.writing() as connection:
        let_lease_run_out(connection)
    second = add_ingestor(here, "second", ELSEWHERE)
    expect_loser(here, first, second)
    assert {holder.partition("/")[0] for (holder,) in here.rows("SELECT holder FROM leases")} == {"elsewhere"}
    here.enough()
    here.expect_all_stored_once()


def test_an_ingestor_stopped_until_another_has_its_slot_leaves_when_it_goes_on(here: Site) -> None:
    here.start()
    start_agents(here)
    wait_for_more(here)
    # stopped while this transaction is open it holds no lock itself, which would keep all others from writing
    with here.store.database.writing() as connection:
        let_lease_run_out(connection)
        here.ingestor.send(signal.SIGSTOP)
    second = add_ingestor(here, "second", ELSEWHERE)
    wait_for_sessions(second)
    here.ingestor.send(signal.SIGCONT)
    expect_loser(here, here.ingestor, second)
    here.enough()
    here.expect_all_stored_once()
