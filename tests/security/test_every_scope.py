"""Schemathesis asks every call of the OpenAPI document with a key of each scope: what is documented comes back,
and nothing that the scope does not give."""

from __future__ import annotations

import contextlib
import os
import random
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
from api_parts import Api, Broker, Ingestor, make_settings, running_api
from hypothesis import HealthCheck, given, seed, settings
from nacl.public import PrivateKey
from requests.adapters import HTTPAdapter
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from waiting import free_port, wait_until

from api.app import describe
from api.auth import hash_secret
from api.problems import KINDS, MEDIA_TYPE
from api.scopes import parse_scopes
from core.clock import utc_now
from core.topics import parse_host_topic

pytestmark = [
    pytest.mark.mosquitto,
    # the API's threads draw random numbers of their own while a case is being made
    pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"),
]

ANY = "any"  # of the scopes
# the scope that each call needs, `None` for nobody's
NEEDS = {
    "POST /heartbeat": "agent", "POST /system-status": "agent", "POST /ingest": "agent",
    "GET /hosts": "read", "GET /hosts/{host}": "read", "GET /hosts/{host}/heartbeats": "read",
    "GET /hosts/{host}/outages": "read", "GET /alerts": "read", "GET /events": "read", "GET /events/{event_id}": "read",
    "GET /events/histogram": "read", "GET /summary": "read",
    "GET /stream": "read", "GET /services": "read",
    "GET /metrics": "read", "GET /silences": "read", "GET /maintenance": "read",
    "POST /silences": "operate", "DELETE /silences/{id}": "operate", "POST /maintenance": "operate",
    "DELETE /maintenance/{id}": "operate", "POST /alerts/{id}/ack": "operate",
    "DELETE /hosts/{host}": "operate", "GET /dead": "operate",
    "GET /sessions": ANY,
    "GET /keys": "admin", "POST /keys": "admin", "DELETE /keys/{key}": "admin", "GET /audit": "admin",
    "POST /tokens": "admin",
    "GET /livez": None, "GET /readyz": None, "POST /enroll": None, "POST /enroll/renewal": None,
    "GET /status": None, "GET /badge.svg": None,
    "GET /ca.pem": None, "GET /agent.pyz": None, "GET /agent.pyz.sha256": None, "POST /sessions": None,
    "DELETE /sessions": None,
}  # fmt: skip
# what only names that are known, a right key or a real token would get
RARELY_DONE = {
    "GET /hosts/{host}", "GET /hosts/{host}/heartbeats", "GET /hosts/{host}/outages", "GET /events/{event_id}",
    "DELETE /silences/{id}", "DELETE /maintenance/{id}", "POST /alerts/{id}/ack", "POST /maintenance",
    "DELETE /keys/{key}", "GET /readyz", "POST /enroll", "POST /enroll/renewal", "GET /ca.pem", "POST /sessions",
    "DELETE /hosts/{host}", "GET /status", "GET /badge.svg",
}  # fmt: skip
ENDLESS = {"GET /stream"}  # no client that waits for a whole answer can ask these
OWN_HOST = "web-01"
NOBODY = "nobody"
KEYS = (NOBODY, f"agent:{OWN_HOST}", "agent", "read", "operate", "admin")
CHECKS = [
    status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
]  # fmt: skip

MANY = int(os.environ.get("HEIMDALL_REPETITIONS", "1")) > 1
SEED = int(os.environ.get("HEIMDALL_SEED") or (random.randrange(1 << 32) if MANY else 0))
EXAMPLES = 200 if MANY else 10

OPERATIONS = {
    found.ok().label: found.ok() for found in schemathesis.openapi.from_dict(describe()).get_all_operations()
}  # fmt: skip


class Here(NamedTuple):
    api: Api
    ingestor: Ingestor


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Here]:
    """An API with broker and ingestor, and a key of each scope."""
    broker = Broker(folder)
    broker.start()
    ingestor = Ingestor(broker.port)
    ingestor.start()
    with running_api(make_settings(folder / "home", broker.port, free_port())) as api:
        add_keys(api)
        api.store.publish_keeper_key(bytes(PrivateKey.generate().public_key))
        wait_until(lambda: api.bridge.state() == "ok", "the bridge has connected")
        yield Here(api, ingestor)
    ingestor.stop()
    broker.kill()


def add_keys(api: Api) -> None:
    """The text of each is its scope; its name is none that a case would guess and revoke."""
    for text in KEYS[1:]:
        given_scopes, host = parse_scopes([text])
        api.store.add_key(hash_secret(text), f"the key of {text}", given_scopes, host)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("scopes")) as made:
        yield made


class From(HTTPAdapter):
    """Connects from an address of its own on the loopback: wrong keys that one test sends tell nothing of another."""

    def __init__(self, name: str) -> None:
        number = zlib.crc32(name.encode())
        self._address = f"127.{1 + number % 250}.{number // 250 % 250}.{1 + number // 62_500 % 250}"
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **more)


def ask(api: Api, label: str, name: str, mode: GenerationMode) -> list[Response]:
    """The answers to cases that fit the documented request (positive) or do not, each of which is as documented."""
    answers: list[Response] = []
    with requests.Session() as session:
        session.mount("http://", From(label + name))

        @seed(SEED)
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
        def ask_one(case: Case) -> None:
            headers = {} if name == NOBODY else {"api-key": name}
            answer = case.call(base_url=api.url, session=session, headers=headers)
            case.validate_response(answer, checks=CHECKS)
            check_answer(answer)
            answers.append(answer)

        print("HEIMDALL_SEED", SEED)
        ask_one()
    return answers


def check_answer(answer: Response) -> None:
    """It is done, or it is a problem that `/docs/problems` explains; a 503 says why, and when to come again."""
    if answer.status_code < 300:
        return
    assert answer.status_code in KINDS
    assert answer.status_code < 500 or answer.status_code == 503
    if answer.status_code == 503:
        assert answer.headers["retry-after"][0].isdigit()
    if answer.headers["content-type"] == [MEDIA_TYPE]:
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["detail"]
        assert problem["type"].endswith(KINDS[answer.status_code].slug)
    else:
        assert answer.request.path_url == "/readyz"  # its 503 has the parts


def modes(label: str) -> list[GenerationMode]:
    """Where a call has neither body nor query, nothing can be sent that does not fit."""
    operation = OPERATIONS[label]
    return [GenerationMode.POSITIVE] + ([GenerationMode.NEGATIVE] if operation.body or operation.query else [])


ASKED = [
    pytest.param(label, mode, id=f"{label}-{mode.value}")
    for label in OPERATIONS
    if label not in ENDLESS
    for mode in modes(label)
]


def test_every_call_of_the_document_is_in_the_table() -> None:
    assert set(OPERATIONS) == set(NEEDS)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(("label", "mode"), ASKED)
def test_a_key_gets_what_its_scope_gives_and_nothing_else(
    here: Here, label: str, mode: GenerationMode, name: str
) -> None:
    codes = {answer.status_code for answer in ask(here.api, label, name, mode)}
    may = {*parse_scopes([name])[0], ANY} if name != NOBODY else set()
    if NEEDS[label] is None:
        # 403 of these is about the key or the token in the body
        assert 401 not in codes
    elif NEEDS[label] in may:
        bound = ":" in name  # it is refused what is about other hosts
        assert codes.isdisjoint({401, 429} if bound else {401, 403, 429})
        if mode is GenerationMode.POSITIVE and not bound and label not in RARELY_DONE:
            assert codes & {200, 201}
    else:
        assert codes <= ({401, 429} if name == NOBODY else {403})


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("label", sorted(ENDLESS))
def test_what_has_no_end_begins_for_a_key_that_gives_it_and_for_no_other(here: Here, label: str, name: str) -> None:
    path = label.partition(" ")[2]
    headers = {} if name == NOBODY else {"api-key": name}
    with requests.get(here.api.url + path, headers=headers, stream=True, timeout=20) as answer:
        may = parse_scopes([name])[0] if name != NOBODY else set()
        assert answer.status_code == (200 if NEEDS[label] in may else 401 if name == NOBODY else 403)
        documented = OPERATIONS[label].definition.raw["responses"]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in documented["200" if answer.ok else "default"]["content"]


def test_the_key_of_one_host_is_heard_under_no_other_name(tmp_path: Path) -> None:
    with serving(tmp_path) as (api, ingestor):
        for label in ("POST /heartbeat", "POST /system-status", "POST /ingest"):
            ask(api, label, f"agent:{OWN_HOST}", GenerationMode.POSITIVE)
        assert hosts_heard(ingestor) == {OWN_HOST}


def test_the_key_for_any_host_is_not_heard_under_an_enrolled_name(tmp_path: Path) -> None:
    with serving(tmp_path) as (api, ingestor):
        now = utc_now()
        api.store.add_token("token", OWN_HOST, 1, now + timedelta(hours=1), "local:eva", now, replaces=False)
        api.store.use_token("token", OWN_HOST, "secret", b"sealed", now)
        for label in ("POST /heartbeat", "POST /system-status", "POST /ingest"):
            codes = {answer.status_code for answer in ask(api, label, "agent", GenerationMode.POSITIVE)}
            assert label != "POST /heartbeat" or 403 in codes  # the name is the document's example: it was tried
        heard = hosts_heard(ingestor)
        assert heard
        assert OWN_HOST not in heard


def hosts_heard(ingestor: Ingestor) -> set[str]:
    topics = (parse_host_topic(message.topic) for message in [*ingestor.beats, *ingestor.infos, *ingestor.events])
    return {topic.host for topic in topics if topic is not None}


@pytest.mark.parametrize("label", [label for label, scope in NEEDS.items() if scope == "agent"])
def test_without_a_broker_a_503_says_so(tmp_path: Path, label: str) -> None:
    with running_api(make_settings(tmp_path, free_port(), free_port())) as api:
        add_keys(api)
        codes = {answer.status_code for answer in ask(api, label, "agent", GenerationMode.POSITIVE)}
    assert (503 in codes) == (label != "POST /ingest")
