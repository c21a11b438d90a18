"""Documents: `/docs`, made on the server of the OpenAPI, and `/docs/problems`. Nothing is fetched from elsewhere."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse

from api.problems import KINDS

router = APIRouter(include_in_schema=False)

_METHODS = ("get", "post", "delete")


def make_page(title: str, body: str) -> str:
    """A page around `body`, which is HTML already; `title` is text."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Heimdall</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/app.css">
</head>
<body class="document"><main>
{body}
</main></body>
</html>
"""


@router.get("/docs")
async def show_docs(request: Request) -> HTMLResponse:
    """Every call, from the same OpenAPI that `/openapi.json` gives."""
    app: FastAPI = request.app
    return HTMLResponse(make_page("API", render_openapi(app.openapi())))


@router.get("/docs/problems")
async def show_problems() -> HTMLResponse:
    """What each `type` of a problem means."""
    rows = "".join(
        f'<tr id="{kind.slug}"><td><code>{kind.slug}</code></td><td>{status}</td>'
        f"<td>{escape(kind.title)}</td><td>{escape(kind.meaning)}</td></tr>"
        for status, kind in KINDS.items()
    )
    head = "<tr><th>Type</th><th>Status</th><th>Title</th><th>What it means, what to do</th></tr>"
    return HTMLResponse(
        make_page(
            "Problems",
            "<h1>Problems</h1><p>Every error is <code>application/problem+json</code> (RFC 9457). "
            f'<a href="/docs">All calls</a></p><div class="scroll"><table>{head}{rows}</table></div>',
        )
    )


def render_openapi(openapi: dict[str, Any]) -> str:
    """The calls of an OpenAPI document as HTML. Every text in it is escaped."""
    calls = [
        _render_call(method, path, operation, openapi)
        for path, item in openapi["paths"].items()
        for method in _METHODS
        if (operation := item.get(method))
    ]
    info = openapi["info"]
    return (
        f"<h1>{escape(info['title'])}, version {escape(info['version'])}</h1>"
        f"<p>{escape(info.get('description', ''))}</p>"
        '<p><a href="/openapi.json">OpenAPI</a> · <a href="/docs/problems">Problems</a> · <a href="/">The page</a></p>'
        + "".join(calls)
    )


def _render_call(method: str, path: str, operation: dict[str, Any], openapi: dict[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}</h2>",
        f"<p>{_render_words(operation.get('description', ''))}</p>",
        _render_parameters(operation.get("parameters", [])),
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in body:
        parts.append(f"<h3>Body</h3>{_render_json(body['example'])}")
    done = next(answer for code, answer in operation["responses"].items() if code.startswith("2"))
    answer = done.get("content", {}).get("application/json", {}).get("schema")
    if answer is not None:
        parts.append(f"<h3>Answer</h3>{_render_json(_make_example(answer, openapi))}")
    return "".join(parts) + "</section>"


def _render_parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{_render_words(one.get('description', ''))}</td>"
        f"<td>{escape(str(one['schema'].get('default', '')))}</td></tr>"
        for one in parameters
    )
    head = "<tr><th>Parameter</th><th>Where</th><th></th><th>Default</th></tr>"
    return f'<div class="scroll"><table>{head}{rows}</table></div>' if rows else ""


def _render_words(text: str) -> str:
    """`text` as HTML, what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _render_json(content: Any) -> str:
    return f"<pre>{escape(json.dumps(content, indent=2, ensure_ascii=False))}</pre>"


def _make_example(schema: dict[str, Any], openapi: dict[str, Any]) -> Any:
    """A value that fits `schema`, of the examples in it."""
    if "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("examples"):
        return schema["examples"][0]
    if "properties" in schema:
        return {key: _make_example(value, openapi) for key, value in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_make_example(schema["items"], openapi)]
    if "anyOf" in schema:
        kinds = schema["anyOf"]
        # what may be null mostly is: an example is shown where there is one
        return next((kind["examples"][0] for kind in kinds if kind.get("examples")), None)
    return {"boolean": True, "string": "…", "number": 0, "integer": 0}.get(schema.get("type", ""))
