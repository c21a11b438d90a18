"""TLS as a client of Heimdall speaks it: whom it trusts, and how an authority is known by its fingerprint."""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path
from typing import List, Optional

from core.errors import Invalid
from core.home import read_secret
from core.settings import BrokerAddress

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def trust(authorities: Optional[Path]) -> ssl.SSLContext:
    """Trust the certificates in the file `authorities` and no other; without such a file, this machine's own.

    TLS 1.2 or newer. Raises `Invalid` when the file is damaged.
    """
    try:
        context = ssl.create_default_context(cafile=str(authorities) if authorities and authorities.exists() else None)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise Invalid(f"{authorities} holds no certificate that can be read ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def make_context(address: BrokerAddress) -> ssl.SSLContext:
    """Trust the broker as its address says, and prove ourselves by our certificate there, where there is one.

    Raises `Invalid` when a file is damaged, does not fit, or may be read by others.
    """
    context = trust(address.authorities)
    proof = address.proof
    if proof:
        read_secret(proof)  # for its mode
        try:
            context.load_cert_chain(proof, password="")  # or it would ask a person for one
        except (OSError, ValueError) as error:
            raise Invalid(
                f"{proof} must hold an unencrypted private key and its certificate, in PEM ({error})"
            ) from error
    return context


def trust_text(certificates: str) -> ssl.SSLContext:
    """Trust `certificates` (PEM) and no other. Raises `ValueError` or `ssl.SSLError` when there is none in it."""
    context = ssl.create_default_context(cadata=certificates)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def trust_nobody_in_particular() -> ssl.SSLContext:
    """Encrypted, but to whomever answers: for what is public and is checked by itself."""
    # not the default context: it would read all of this machine's authorities
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def split_certificates(text: str) -> List[str]:
    """The certificates in a PEM file, one by one."""
    return _CERTIFICATE.findall(text)


def signer_fingerprint(authorities: str) -> str:
    """The fingerprint of the first of `authorities` (PEM), which signs; empty without any."""
    return fingerprint(split_certificates(authorities)[0]) if authorities else ""


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate (PEM) as it is signed, in hexadecimal. Raises `ValueError` when it is damaged."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
