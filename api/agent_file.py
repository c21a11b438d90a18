"""`GET /agent.pyz`: the agent as one file, for a host that has Python 3.9 or newer and nothing else.

A zip application (PEP 441) of the packages named here. They are read as files, wherever they are installed, and never
imported: the API knows no more of them than their names.
"""

from __future__ import annotations

import io
from functools import lru_cache
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.access import check_query
from core import agent_file
from core.errors import Unavailable

PACKAGES = ("agents", "core", "paho")
COMMAND_LINE = ("heimdall/__init__.py", "heimdall/agent.py", "heimdall/command.py")
# their licences, and their versions, which `importlib.metadata` then finds inside the file too
DISTRIBUTIONS = ("heimdall-siem", "paho-mqtt")

# the check must be legible to any Python, so it stands here and not in a package
_MAIN = """\
import sys

if sys.version_info < (3, 9):
    sys.exit("heimdall: Python 3.9 or newer is needed, and this is %d.%d" % sys.version_info[:2])

from heimdall.agent import main

sys.exit(main())
"""
_SHEBANG = b"#!/usr/bin/env python3\n"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can hold
_UNIX, _MODE = 3, 0o100644 << 16

_SUM = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_CONTENT = {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
_UNCHANGED = {"description": "It is the file that `If-None-Match` names."}


class _AgentFile(NamedTuple):
    content: bytes
    etag: str


def make_router() -> APIRouter:
    """The route of the agent's file. It is built at the first request, then kept."""
    router = APIRouter(tags=["enrolment"], dependencies=[Depends(check_query)])

    # several first requests at once may build it several times: the same bytes
    @lru_cache(maxsize=1)
    def build_once() -> _AgentFile:
        content = build_agent_file()
        return _AgentFile(content, f'"{agent_file.digest(content)}"')

    @router.head("/agent.pyz", include_in_schema=False)
    @router.get(
        "/agent.pyz",
        response_class=Response,
        responses={200: _CONTENT, 304: _UNCHANGED},
        summary="The agent as one file",
    )
    async def send_agent_file(request: Request) -> Response:
        """`python3 heimdall-agent.pyz` is `heimdall agent`, on Python 3.9 or newer. Its `ETag` is its SHA-256."""
        file = await run_in_threadpool(build_once)
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if _is_known(request.headers.get("if-none-match", ""), file.etag):
            return Response(status_code=304, headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="{agent_file.NAME}"'
        return Response(file.content, headers=headers, media_type="application/zip")

    @router.get("/agent.pyz.sha256", response_class=Response, responses={200: _SUM}, summary="The agent's SHA-256")
    async def send_sum() -> Response:
        """The line that `sha256sum --check` reads, for the file of `GET /agent.pyz`."""
        file = await run_in_threadpool(build_once)
        return Response(
            agent_file.write_sum(file.content), headers={"Cache-Control": "no-cache"}, media_type="text/plain"
        )

    return router


def _is_known(if_none_match: str, etag: str) -> bool:
    """Whether the client has what `etag` names (RFC 9110, section 13.1.2)."""
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return not known.isdisjoint({etag, "*"})


def build_agent_file() -> bytes:
    """The file. The same sources give the same bytes: no times, names in order, nothing that zlib's version changes.

    Raises `Unavailable` when a part of it is not installed as files.
    """
    try:
        parts = _read_parts()
    except OSError as error:
        raise _missing(str(error.filename)) from error
    file = io.BytesIO()
    file.write(_SHEBANG)
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name in sorted(parts):
            entry = ZipInfo(name, _EARLIEST)
            entry.create_system, entry.external_attr = _UNIX, _MODE  # also where it is built on Windows
            archive.writestr(entry, parts[name])
    return file.getvalue()


def _read_parts() -> dict[str, bytes]:
    parts = {"__main__.py": _MAIN.encode()}
    for package in PACKAGES:
        parts.update(_read_package(package))
    whole = _read_package("heimdall")
    parts.update({name: whole[name] for name in COMMAND_LINE})
    for distribution in DISTRIBUTIONS:
        parts.update(_read_papers(distribution))
    return parts


def _read_package(name: str) -> dict[str, bytes]:
    """The sources of a package, by their names in the file."""
    spec = find_spec(name)
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    sources = {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for folder in folders
        for path in folder.rglob("*.py")
    }
    if not sources:
        raise _missing(f"the package {name}")
    return sources


def _read_papers(name: str) -> dict[str, bytes]:
    """The licences of a distribution and as much of its metadata as tells its version, by their names in the file."""
    for found in distributions(name=name):
        papers = {
            path.as_posix(): Path(str(path.locate())).read_bytes()
            for path in found.files or ()
            if path.parts[0].endswith(".dist-info") and "licenses" in path.parts
        }
        # a checkout may have an egg-info before it, without them
        if papers:
            folder = next(iter(papers)).partition("/")[0]
            # not all of METADATA: it holds the README as it was when this was installed
            metadata = f"Metadata-Version: 2.1\nName: {found.metadata['Name']}\nVersion: {found.version}\n"
            return {**papers, f"{folder}/METADATA": metadata.encode()}
    raise _missing(f"the licences of {name}")


def _missing(what: str) -> Unavailable:
    return Unavailable(
        f"the agent's file cannot be made: {what} cannot be found as files where this API is installed: "
        "pip install 'heimdall-siem[server]' brings them"
    )
