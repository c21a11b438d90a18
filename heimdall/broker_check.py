"""`heimdall broker check`: whether a broker has what Heimdall asks of it, and what does not work where it has not."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from broker.check import TRIALS, Finding, check_broker
from core.settings import Settings, parse_broker
from core.text import printable


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Try it all; 0 when Heimdall works there, 1 when something is missing without which it does not.

    Raises `Invalid` and `Unavailable`.
    """
    told = settings.broker
    address = parse_broker(options.url, told.user, told.password, settings.home) if options.url else told
    findings = []
    for finding in check_broker(address):
        findings.append(finding)
        if not options.json:
            _print(finding)
    usable = all(finding.works or not finding.needed for finding in findings)
    if options.json:
        print(json.dumps({"broker": str(address), "usable": usable, "findings": [asdict(one) for one in findings]}))
    else:
        missing = sum(not finding.works for finding in findings)
        end = "Heimdall works there" if usable else "Heimdall does not work there"
        print(f"{end}{f': {missing} of {len(TRIALS)} are missing' if missing else ''}.")
    return 0 if usable else 1


def _print(finding: Finding) -> None:
    sign = "yes" if finding.works else "NO " if finding.needed else "no "
    print(f"{sign}  {finding.name:<22}  {printable(finding.found)}")
    if not finding.works:
        print(f"     {'':<22}  {'needed' if finding.needed else 'without it'}: {finding.without}")
    sys.stdout.flush()
