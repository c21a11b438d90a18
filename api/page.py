"""The page at `/` and its files, which need no key: all they show comes from the REST API."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "dashboard"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PART = re.compile(r'(?:export \* from|@import) "\./([a-z0-9/_.-]+)";')
# a remark has its lines to itself
_REMARK = re.compile(r"^[ ]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/)\n", re.MULTILINE)
_IMPORT = re.compile(r'import \{ ([\w, ]+) \} from "([^"]+)";')


class _File:
    """One file of the page, read once: an endpoint."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self._content = content
        self._media_type = media_type
        self._etag = f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'

    async def __call__(self, request: Request) -> Response:
        # asked for again at each visit, so that an upgrade is seen at once, but sent only when it changed
        headers = {"ETag": self._etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self._etag:
            return Response(status_code=304, headers=headers)
        return Response(self._content, headers=headers, media_type=self._media_type)


def make_router() -> APIRouter:
    """The routes of the page's files: `/` is `index.html`, every other file has the path that it has in the folder."""
    router = APIRouter(include_in_schema=False)
    for path, file in read_files().items():
        router.add_api_route(path, file.__call__, methods=["GET", "HEAD"], name=path)
    return router


def read_files() -> dict[str, _File]:
    """What is served, by its path.

    A file that consists of others (`export * from`, `@import`) is served as one with what they say, so that a first
    visit takes few requests though every noun has a file of its own (decision 28). Remarks are for who reads the files
    here, and are not sent.
    """
    found: dict[str, _File] = {}
    parts: set[Path] = set()
    for file in sorted(_FOLDER.rglob("*")):
        if file.suffix not in _TYPES:
            continue
        text = file.read_text("utf-8")
        named = [file.parent / name for name in _PART.findall(text)]
        parts.update(named)
        content = join(text, [part.read_text("utf-8") for part in named])
        if file.suffix in (".js", ".css"):
            content = _REMARK.sub("", content)
        path = "/" if file.name == "index.html" else f"/{file.relative_to(_FOLDER).as_posix()}"
        found[path] = _File(content.encode(), _TYPES[file.suffix])
    for part in parts:  # served within another: alone, a module would be there twice, with two states
        del found[f"/{part.relative_to(_FOLDER).as_posix()}"]
    return found


def join(text: str, parts: list[str]) -> str:
    """`text` with `parts`, the modules or style sheets that it names, in their order, in place of the lines that do.

    What modules import from each other is in one scope then. What they import from elsewhere is imported once.
    """
    if not parts:
        return text
    imported: dict[str, set[str]] = {}
    kept: list[str] = []
    for line in "\n".join([*parts, _PART.sub("", text)]).split("\n"):
        found = _IMPORT.fullmatch(line)
        if found is None:
            kept.append(line)
        elif not found[2].startswith("."):
            imported.setdefault(found[2], set()).update(found[1].split(", "))
    head = [f'import {{ {", ".join(sorted(names))} }} from "{source}";' for source, names in sorted(imported.items())]
    return "\n".join([*head, *kept])
