"""`GET /status` and `GET /badge.svg`: how the fleet is, in counts and general words, for those who have no key."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from pathlib import Path

from fastapi import APIRouter, Depends, Response
from starlette.responses import HTMLResponse

from api.access import PartsOf, check_query
from api.answers import PROBLEM
from api.badge import write_badge
from api.looks import LOOK_SECONDS, Look, Looks, Some
from api.problems import Refused
from core.clock import rfc3339

RELOAD_SECONDS = 30  # of a page without scripts
_STYLE = (Path(__file__).parent / "dashboard" / "status.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# what one or many machines are, in words
_WORDS = {
    "crashed": ("lost its connection", "lost their connection"),
    "silent": ("is silent", "are silent"),
    "zombie": ("is connected and hangs", "are connected and hang"),
    "overdue": ("is not back in time", "are not back in time"),
    "missing": ("has long been missing", "have long been missing"),
    "away": ("is away, as announced", "are away, as announced"),
    "stopped": ("was stopped", "were stopped"),
    "shutdown": ("was shut down", "were shut down"),
    "unjudged": ("is not judged yet", "are not judged yet"),
}
_CROSS = '<path d="M7 7l6 6M13 7l-6 6" stroke="var(--bg)" stroke-width="2"/>'
_ICONS = {  # each a silhouette of its own
    "well": '<path d="M4 10.5l4 4 8-9" fill="none" stroke="currentColor" stroke-width="2.4"/>',
    "trouble": f'<path d="M10 1l9 9-9 9-9-9z" fill="currentColor"/>{_CROSS}',
    "unknown": '<circle cx="10" cy="10" r="7.5" fill="none" stroke="currentColor" stroke-width="2.2" '
    'stroke-dasharray="3 2.6"/>',
    "calm": '<path d="M8.4 2a8 8 0 1 0 9.5 10.3A7 7 0 0 1 8.4 2z" fill="currentColor"/>',
}  # fmt: skip


async def _expect_published(parts: PartsOf) -> None:
    if not parts.settings.status_page:
        raise Refused(404, "there is no status page here: HEIMDALL_STATUS_PAGE=on publishes one")


def make_router() -> APIRouter:
    """The routes; all who ask them share one look."""
    router = APIRouter(tags=["health"], dependencies=[Depends(check_query), Depends(_expect_published)])
    looks = Looks()
    fresh = {"Cache-Control": f"public, max-age={LOOK_SECONDS:.0f}"}

    @router.head("/status", include_in_schema=False)
    @router.get(
        "/status", response_class=HTMLResponse, responses={404: PROBLEM}, summary="How the fleet is, for anyone"
    )
    async def show_status(parts: PartsOf) -> Response:
        """A page without names. 404 unless `HEIMDALL_STATUS_PAGE` is on."""
        text = write_status(await looks.last(parts))
        return HTMLResponse(text, headers={**fresh, "Content-Security-Policy": _POLICY})

    @router.head("/badge.svg", include_in_schema=False)
    @router.get(
        "/badge.svg", response_class=Response, summary="How the fleet is, as a badge",
        responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}, 404: PROBLEM},
    )  # fmt: skip
    async def show_badge(parts: PartsOf) -> Response:
        """An image that any site may show. 404 unless `HEIMDALL_STATUS_PAGE` is on."""
        text = write_badge(await looks.last(parts))
        headers = {**fresh, "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(text, headers=headers, media_type="image/svg+xml")

    return router


def write_status(look: Look) -> str:
    """The page. Nothing in it comes from a host."""
    title, said = _say(look)
    rows = [_write_some(one, "trouble", look.at) for one in look.wrong]
    rows += [_write_some(one, "calm", look.at) for one in look.calm]
    more = f"<ul>{''.join(rows)}</ul>" if rows else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<style>{_STYLE}</style>
<noscript><meta http-equiv="refresh" content="{RELOAD_SECONDS}"></noscript>
<script type="module" src="/status.js"></script>
</head>
<body>
<main class="{look.word}">
<div class="lead">{_icon(look.word)}<h1>{title}</h1></div>
<p>{said}</p>
{more}
<p class="at">Looked at {_write_time(look.at, look.at)}. <span id="stale" role="status"></span></p>
</main>
</body>
</html>
"""


def _say(look: Look) -> tuple[str, str]:
    """The sentence that the eye meets first, and what follows from it."""
    if look.total is None:
        since = f" since {_write_time(look.blind_since, look.at)}" if look.blind_since else ""
        return "Heimdall cannot tell how its machines are", f"Its database does not answer{since}."
    if look.blind_since is not None:
        since = _write_time(look.blind_since, look.at)
        told = f"It knew of {look.seen:,} of {look.total:,} that they were well."
        return "Heimdall cannot see its machines", f"A part of it is not well since {since}, so this may be old. {told}"
    if look.total == 0:
        return "Heimdall sees no machines yet", "None has been heard."
    title = f"Heimdall sees {_all(look)} {'machine' if look.total == 1 else 'machines'}"
    if not look.wrong:
        return title, "Nothing is wrong."
    begun = min((one.since for one in look.wrong if one.since is not None), default=None)
    since = f", the first since {_write_time(begun, look.at)}" if begun else ""
    return title, f"{sum(one.count for one in look.wrong):,} {'needs' if _one(look) else 'need'} somebody{since}."


def _all(look: Look) -> str:
    if look.seen == look.total:
        return f"all {look.total:,}" if look.seen > 1 else "its one"
    return f"{look.seen:,} of {look.total:,}"


def _one(look: Look) -> bool:
    return sum(one.count for one in look.wrong) == 1


def _write_some(some: Some, icon: str, now: datetime) -> str:
    since = ""
    if some.since is not None:
        since = f"<span>{'the first since' if some.count > 1 else 'since'} {_write_time(some.since, now)}</span>"
    words = _WORDS[some.condition][some.count != 1]
    return f'<li class="{icon}">{_icon(icon)}<p><b>{some.count:,}</b> {words}</p>{since}</li>'


def _write_time(moment: datetime, now: datetime) -> str:
    text = f"{moment:%H:%M} UTC" if moment.date() == now.date() else f"{moment:%-d %B %Y, %H:%M} UTC"
    return f'<time datetime="{rfc3339(moment)}">{text}</time>'


def _icon(name: str) -> str:
    return f'<svg viewBox="0 0 20 20" aria-hidden="true">{_ICONS[name]}</svg>'
