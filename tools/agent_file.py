"""`make agent`: `dist/heimdall-agent.pyz`, as the API serves it, and its SHA-256; into FOLDER when one is given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from api.agent_file import build_agent_file
from core.agent_file import NAME, write_sum
from tools.document import ROOT


def main(words: Sequence[str]) -> int:
    content, folder = build_agent_file(), Path(*words) if words else ROOT / "dist"
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(content)
    (folder / f"{NAME}.sha256").write_text(write_sum(content), encoding="ascii")
    print(folder / NAME)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
