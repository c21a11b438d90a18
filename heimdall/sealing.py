"""A stream that is sealed by a passphrase: nobody reads it without, and what is changed, cut off or reordered is found.

48 bytes stand first: 16 that name the format, 16 of salt, 16 that tell whether a passphrase is the right one. Behind
them lie chunks, each of 256 KiB but for the last, which is shorter or as long, and each followed by the 16 bytes of its
tag. The key is scrypt's (N = 2^17, r = 8, p = 1) of passphrase and salt: 32 bytes for AES-256-GCM, then 32 by which
HMAC-SHA-256 of the file's first 32 bytes gives the third 16. A chunk's nonce is its number from 0 (8 bytes) and 1 for
the last, 0 for others (4 bytes), both big-endian; the 48 bytes are authenticated with each.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from core.errors import Invalid

MAGIC = b"HEIMDALL-SEALED1"
CHUNK_BYTES = 256 * 1024
_TAG_BYTES = 16
_HEAD_BYTES = 48
_NONCE = struct.Struct(">QI")


def _derive(passphrase: str, head: bytes) -> tuple[AESGCM, bytes]:
    """The cipher, and what `head` (format and salt) is completed by."""
    made = Scrypt(salt=head[16:32], length=64, n=2**17, r=8, p=1).derive(passphrase.encode())
    return AESGCM(made[:32]), hmac.new(made[32:], head[:32], hashlib.sha256).digest()[:16]


class SealingWriter:
    """Seals what is written to it, and writes that to `sink`; whole only when it is closed."""

    def __init__(self, sink: BinaryIO, passphrase: str) -> None:
        self._sink = sink
        head = MAGIC + os.urandom(16)
        self._cipher, proof = _derive(passphrase, head)
        self._head = head + proof
        self._number = 0
        self._waiting = bytearray()
        sink.write(self._head)

    def write(self, piece: bytes) -> int:
        """Take `piece`; its length."""
        self._waiting += piece
        # a full chunk stays until more comes: it may be the last
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(piece)

    def flush(self) -> None:
        """Nothing to do: a chunk is written when it is full."""

    def close(self) -> None:
        """Write the last chunk; `sink` stays open."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._sink.write(self._cipher.encrypt(_NONCE.pack(self._number, last), chunk, self._head))
        self._number += 1


class UnsealingReader:
    """Reads what a `SealingWriter` wrote to `source`. Raises `Invalid` for a wrong passphrase and for any change."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        self._source = source
        self._head = source.read(_HEAD_BYTES)
        if len(self._head) < _HEAD_BYTES:
            raise Invalid("it is cut off within its first bytes")
        self._cipher, proof = _derive(passphrase, self._head)
        if not hmac.compare_digest(proof, self._head[32:]):
            raise Invalid("the passphrase is wrong")
        self._number = 0
        self._ahead = source.read(CHUNK_BYTES + _TAG_BYTES)
        self._open = b""
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._open and not self._ended:
            self._unseal()
        size = len(self._open) if size < 0 else size
        given, self._open = self._open[:size], self._open[size:]
        return given

    def _unseal(self) -> None:
        sealed, self._ahead = self._ahead, self._source.read(CHUNK_BYTES + _TAG_BYTES)
        self._ended = not self._ahead
        try:
            self._open = self._cipher.decrypt(_NONCE.pack(self._number, self._ended), sealed, self._head)
        except InvalidTag:
            raise Invalid(f"it was changed or cut off: chunk {self._number} is not as it was sealed") from None
        self._number += 1
