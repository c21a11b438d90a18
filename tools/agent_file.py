"""`make agent`: `dist/heimdall-agent.pyz`, as the API serves it, and its SHA-256 beside it."""

from __future__ import annotations

from api.agent_file import build_agent_file
from core.agent_file import NAME, write_sum
from tools.document import ROOT


def main() -> int:
    content, folder = build_agent_file(), ROOT / "dist"
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(content)
    (folder / f"{NAME}.sha256").write_text(write_sum(content), encoding="ascii")
    print(folder / NAME)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
