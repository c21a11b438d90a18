"""`heimdall tls`: the certificate by which this server proves itself."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

from broker import certificates
from core.clock import rfc3339
from core.errors import Conflict, Invalid
from core.home import Home
from core.settings import Settings
from core.tls import signer_fingerprint
from store import open_store


def run(settings: Settings, home: Home, options: argparse.Namespace) -> int:
    """Do what was asked, then show what is in use. Raises `Invalid`, `Conflict` and `Unavailable`."""
    given = options.certificate or options.key or options.ca
    if given and options.action != "use":
        raise Invalid("--certificate, --key and --ca belong to `heimdall tls use`")
    if options.names and options.action not in ("init", "renew"):
        raise Invalid("--name belongs to `heimdall tls init` and `heimdall tls renew`")
    if options.action == "init":
        certificate = certificates.init(home, options.names or certificates.find_names())
    elif options.action == "renew":
        certificate = certificates.renew(home, options.names)
    elif options.action == "rotate":
        _expect_known(settings, home, options.anyway)
        certificate = certificates.rotate(home)
    elif options.action == "use":
        if not options.certificate or not options.key:
            raise Invalid("`heimdall tls use` needs --certificate FILE and --key FILE")
        authority = Path(options.ca) if options.ca else None
        certificate = certificates.use(home, Path(options.certificate), Path(options.key), authority)
    else:
        certificate = certificates.read(home)
    _show(home, certificate, options)
    return 0


def _expect_known(settings: Settings, home: Home, anyway: bool) -> None:
    """Raise `Conflict` when hosts would trust this server no more, for they have not heard of the new authority."""
    began = certificates.rotation_began(home)
    if began is None or anyway:
        return
    with closing(open_store(settings.database_url, keep_days=settings.keep_days)) as store:
        late = store.read_awaited(since=began)
    if late:
        raise Conflict(
            f"{len(late)} hosts have not come by since the new authority was made, {rfc3339(began)}: "
            f"{', '.join(late[:10])}{' …' if len(late) > 10 else ''}. They do once a day; with --anyway those must be "
            "enrolled again"
        )


def _show(home: Home, certificate: certificates.Certificate, options: argparse.Namespace) -> None:
    authority = home.tls / "ca.pem"
    mark = signer_fingerprint(home.read_authorities()) or None
    began = certificates.rotation_began(home)
    if options.json:
        found = {
            "names": certificate.names,
            "expires_at": rfc3339(certificate.ends_at),
            "renewed_by_heimdall": certificate.ours,
            "ca": str(authority) if mark else None,
            "ca_sha256": mark,
            "rotation_began": rfc3339(began) if began else None,
        }
        print(json.dumps(found))
        return
    print(f"names      {', '.join(certificate.names)}")
    print(f"ends       {certificate.ends_at:%Y-%m-%d}" + (", renewed by itself before" if certificate.ours else ""))
    if mark:
        print(f"authority  {authority}")
        print(f"           SHA-256 {mark}")
    if began:
        print(f"rotation   hosts learn of a new authority since {rfc3339(began)}; the same again ends the old one")
    if options.action == "init":
        print(
            "\nIt is used from the next start of Heimdall on: https, and mqtts beside mqtt on loopback.",
            file=sys.stderr,
        )
