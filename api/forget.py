"""`DELETE /hosts/{host}`: forgets a host."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import Needs, Parts, PartsOf, check_query
from api.body import answer_json
from api.enroll import await_keeper
from api.host_answers import ForgottenAnswer
from api.problems import Refused
from core.clock import utc_now
from core.errors import Invalid, Unavailable
from core.topics import check_host
from store import Key

_operates = Needs("operate")
router = APIRouter(tags=["hosts"], dependencies=[Depends(_operates), Depends(check_query)])


@router.delete("/hosts/{host}", response_model=ForgottenAnswer, summary="Forget a host")
async def forget_host(
    parts: PartsOf,
    host: str,
    caller: Annotated[Key, Depends(_operates)],
    events: Annotated[bool, Query(description="Also delete its events.")] = False,
) -> Response:
    """As if it had never been: it is cut off, and its heartbeats, verdict, outages and score go; open alerts end.

    Its events stay unless asked. 404 for a host that nothing is known of. 503 when broker, keeper or database are away:
    the same again goes on where it was.
    """
    # PostgreSQL takes no NUL in a value, and no host's name holds one
    if "\0" in host or not await run_in_threadpool(parts.store.forgetting.is_known, host):
        raise Refused(404, f"there is no host {host!r:.80}")
    deleted = await _forget(parts, host, caller.name, events)
    return answer_json({"success": True, "message": f"{host} is forgotten", "events_deleted": deleted})


async def _forget(parts: Parts, host: str, who: str, events: bool) -> int:
    """Forget `host`; how many events went.

    1. It is cut off, when it was enrolled. Nothing that it sends, or has sent, is stored from then on.
    2. What the broker retains of it is cleared, so that with a broker that is away nothing is begun.
    3. Its events go. It is still known meanwhile: killed here, the same call again goes on.
    4. All else goes in one transaction.
    5. What somebody has said meanwhile, who did not know yet, is cleared.
    """
    topics = _has_topics(host)
    if topics and parts.bridge.state() != "ok":
        raise Unavailable(f"nothing is forgotten while the broker is away: {parts.bridge.state()}")
    number = await run_in_threadpool(parts.store.forgetting.bar, host, who, utc_now())
    if number is not None:
        await await_keeper(parts, host, number, "")
    if topics:
        await parts.bridge.clear_retained(host)
    deleted = await _delete_events(parts, host) if events else 0
    detail = f"{deleted} events deleted" if events else "its events stay"
    await run_in_threadpool(parts.store.forgetting.forget, host, who, utc_now(), detail)
    if topics:
        await parts.bridge.clear_retained(host)
    return deleted


async def _delete_events(parts: Parts, host: str) -> int:
    """Transaction by transaction, so that ingestors come in between."""
    deleted, newest = 0, await run_in_threadpool(parts.store.forgetting.newest_event)
    while newest >= 0:
        done, newest = await run_in_threadpool(parts.store.forgetting.delete_events, host, newest)
        deleted += done
    return deleted


def _has_topics(host: str) -> bool:
    """Whether the name can be in a topic: one that only an old database knows may hold anything."""
    try:
        check_host(host)
    except Invalid:
        return False
    return True
