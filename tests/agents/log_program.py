"""A stand-in for macOS' `log`: `show` and `stream` over entries in a file, in `--style ndjson`.

`log_program.py STORE stream|show …`. STORE.broken lets `show` fail; STORE.pause holds it up until it is gone, and
STORE.hold what it has read.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path

store = Path(sys.argv[1])
options = sys.argv[2:]
assert options[options.index("--style") + 1] == "ndjson"
assert "process ==" in options[options.index("--predicate") + 1]


def at(line: str) -> float:
    return datetime.strptime(json.loads(line)["timestamp"], "%Y-%m-%d %H:%M:%S.%f%z").timestamp()


if options[0] == "show":
    assert "--info" in options
    since = int(options[options.index("--start") + 1].removeprefix("@"))
    while store.with_name(store.name + ".pause").exists():
        time.sleep(0.02)
    if store.with_name(store.name + ".broken").exists():
        sys.exit("log: Could not open local log store: Operation not permitted")
    lines = [line for line in store.read_text().splitlines() if at(line) >= since]
    store.with_name(store.name + ".shown").touch()
    while store.with_name(store.name + ".hold").exists():
        time.sleep(0.02)
    print("\n".join([*lines, json.dumps({"count": len(lines), "finished": 1})]))
else:
    assert options[options.index("--level") + 1] == "info"
    print('Filtering the log data using "…"', flush=True)
    with store.open() as file:
        file.seek(0, 2)
        store.with_name(store.name + ".follows").touch()
        while True:
            line = file.readline()
            if line:
                print(line, end="", flush=True)
            else:
                time.sleep(0.02)
