"""Who is called while all is well hears nothing when one of us is dead."""

from __future__ import annotations

import time

import pytest
from faults_site import Site
from http_service import Asked, http_service
from judged import judging
from waiting import wait_until

pytestmark = pytest.mark.mosquitto


def wait_for_calls(called: list[Asked], calls: int = 2) -> None:
    before = len(called)
    wait_until(lambda: len(called) >= before + calls, "it is called")


def test_the_dead_mans_switch_is_held_only_while_all_is_well(here: Site) -> None:
    with http_service(204) as (port, called):
        url = f"http://127.0.0.1:{port}/ping"
        here.home.rules.write_text(f'[dead_man]\nurl = "{url}"\nallow_private = true\nevery_seconds = 1\n')
        with judging(here):
            here.start_api()
            wait_for_calls(called)
            for part in (here.ingestor, here.api, here.broker):
                told = here.judge.said().count("the dead man's switch is not held")
                part.kill()
                wait_until(
                    lambda told=told: here.judge.said().count("the dead man's switch is not held") > told, part.name
                )
                before = len(called)
                time.sleep(3)  # in which it would be called twice
                assert len(called) == before, f"it is called while {part.name} is dead"
                part.start()
                wait_for_calls(called)
            here.judge.kill()
            before = len(called)
            time.sleep(3)
            assert len(called) == before
