"""Ingestors other than the site's own: in its place, or beside it."""

from __future__ import annotations

from pathlib import Path

from faults_site import ROOT, Site
from part import Part
from waiting import wait_until

HERE = Path(__file__).parent


def replace_ingestor(here: Site, patches: str, **environment: str) -> Part:
    """Let the site's ingestor be one with `patches`, which may import modules of this folder. It is not started."""
    path = {"PYTHONPATH": f"{ROOT}:{HERE}"}
    here.ingestor = here.make_ingestor(patches=patches, **{**path, **environment})
    here.parts.append(here.ingestor)
    return here.ingestor


def wait_for_sessions(part: Part, before: int = 0) -> None:
    """Wait until both sessions of the ingestor `part` are subscribed, once more than `before` times in all."""
    wait_until(lambda: part.said().count("is subscribed at") >= before + 2, f"{part.name} is subscribed")


def add_ingestor(here: Site, name: str, patches: str = "", **environment: str) -> Part:
    """Start one more ingestor beside the site's own."""
    added = here.make_ingestor(name=name, patches=patches, **environment)
    here.parts.append(added)
    added.start()
    return added
