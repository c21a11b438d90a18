"""A stand-in for `journalctl` where the kernel would have to write: entries of a file, in `-o json`.

`journal_program.py FILE --lines=1 [FIELD=VALUE]` prints the last, `--follow --after-cursor=…|--since=@…` all behind.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

path, options = Path(sys.argv[1]), sys.argv[2:]
assert "--output-fields=" in " ".join(options)


def entries() -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if "--lines=1" in options:
    matches = [option.split("=", 1) for option in options if option.startswith("_")]
    fitting = [line for line in entries() if all(json.loads(line).get(name) == value for name, value in matches)]
    print("\n".join(fitting[-1:]))
else:
    assert "--follow" in options
    (cursor,) = [option.partition("=")[2] for option in options if option.startswith("--after-cursor=")]
    cursors = [json.loads(line)["__CURSOR"] for line in entries()]
    done = cursors.index(cursor) + 1
    while True:
        for line in entries()[done:]:
            print(line, flush=True)
            done += 1
        time.sleep(0.02)
