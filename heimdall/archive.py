"""A backup's file: a tar, compressed by gzip, sealed when there is a passphrase; what it has stands in its last member.

`home/PATH` is a file below the home. A SQLite database is one member, `database/mini_siem.db`; of PostgreSQL each table
is members `database/TABLE/000000` and so on, which joined are the text that COPY gives. Of `tarfile` one header at a
time is asked: what is no plain file is refused, and no header makes the reader keep more than its 512 bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import BinaryIO, cast

import msgspec

from core.errors import Invalid
from heimdall.sealing import MAGIC, SealingWriter, UnsealingReader
from store.snapshot import Told

FORMAT = 1
HOME, DATABASE = "home/", "database/"
_MANIFEST = "manifest.json"
_LARGEST_MANIFEST_BYTES = 16 * 1024 * 1024
_PIECE_BYTES = 4 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_PIECE = re.compile(r"(database/[a-z_]+)/(\d{6,})")
_GZIP = b"\x1f\x8b"
_LONGEST_USTAR_BYTES = 8 * 1024**3 - 1


@dataclass
class PartTold:
    """Of a part its size in bytes, and the SHA-256 of them."""

    name: str
    bytes: int
    sha256: str


@dataclass
class Manifest:
    """What a backup says of itself; `made_at` is RFC 3339 in UTC, `host` the name of the machine that made it."""

    format: int
    heimdall: str
    made_at: str
    host: str
    database: Told
    parts: list[PartTold] = field(default_factory=list)


class ArchiveWriter:
    """Writes a backup to `sink`: parts, then `finish`."""

    def __init__(self, sink: BinaryIO, passphrase: str = "") -> None:
        self._sealing = SealingWriter(sink, passphrase) if passphrase else None
        below = cast("BinaryIO", self._sealing or sink)
        self._tar = gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=below, mtime=0)

    def add(self, name: str, size: int, chunks: Iterator[bytes]) -> PartTold:
        """Add a part whose size is known."""
        digest = hashlib.sha256()
        self._tar.write(_header(name, size))
        for chunk in chunks:
            digest.update(chunk)
            self._tar.write(chunk)
        self._tar.write(bytes(-size % 512))
        return PartTold(name, size, digest.hexdigest())

    def add_pieces(self, name: str, chunks: Iterator[bytes]) -> PartTold:
        """Add a part of unknown size, in members of some megabytes."""
        digest, whole, number = hashlib.sha256(), 0, 0
        waiting = bytearray()
        for chunk in chunks:
            waiting += chunk
            if len(waiting) >= _PIECE_BYTES:
                digest.update(waiting)
                self.add(f"{name}/{number:06}", len(waiting), iter([bytes(waiting)]))
                whole, number = whole + len(waiting), number + 1
                waiting.clear()
        digest.update(waiting)
        self.add(f"{name}/{number:06}", len(waiting), iter([bytes(waiting)]))
        return PartTold(name, whole + len(waiting), digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and the end; `sink` stays open."""
        text = msgspec.json.format(msgspec.json.encode(manifest))
        self.add(_MANIFEST, len(text), iter([text]))
        self._tar.write(bytes(1024))
        self._tar.close()
        if self._sealing is not None:
            self._sealing.close()


def is_sealed(source: BinaryIO) -> bool:
    """Whether the backup in `source`, which is left at its beginning, needs a passphrase.

    Raises `Invalid` when it is no backup.
    """
    source.seek(0)
    begun = source.read(len(MAGIC))
    source.seek(0)
    if begun != MAGIC and not begun.startswith(_GZIP):
        raise Invalid("it is no backup that `heimdall backup` has made")
    return begun == MAGIC


class ArchiveReader:
    """Reads the backup in `source` from its beginning. Its methods raise `Invalid` for whatever is not as it was."""

    def __init__(self, source: BinaryIO, passphrase: str = "") -> None:
        below = cast("BinaryIO", UnsealingReader(source, passphrase) if is_sealed(source) else source)
        self._tar = gzip.GzipFile(fileobj=below, mode="rb")
        self.manifest: Manifest | None = None

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each part's name and bytes, then the file's end; the last is the manifest, which is known then."""
        for name, members in groupby(self._members(), lambda member: _part_of(member[0])):
            chunks = chain.from_iterable(chunks for _, chunks in members)
            if self.manifest is not None:
                raise Invalid("something stands behind its manifest")
            if name == _MANIFEST:
                self.manifest = _read_manifest(chunks)
            else:
                yield name, chunks
        if self.manifest is None:
            raise Invalid("it is cut off: it has no manifest")

    def _members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        while any(block := self._read(512)):
            try:
                told = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            except (tarfile.HeaderError, UnicodeDecodeError) as error:
                raise Invalid(f"it is damaged: {error}") from error
            if told.type != tarfile.REGTYPE or told.size < 0:
                raise Invalid(f"it has {told.name!r:.80}, which is no plain file: nothing of it is restored")
            chunks = self._read_member(told.size)
            yield told.name, chunks
            for _ in chunks:
                pass  # what nobody took
        while rest := self._read_some(_READ_BYTES):
            if any(rest):
                raise Invalid("something stands behind its end")

    def _read_member(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self._read(min(left, _READ_BYTES))
            left -= len(chunk)
            yield chunk
        self._read(-size % 512)

    def _read(self, size: int) -> bytes:
        read = self._read_some(size)
        if len(read) < size:
            raise Invalid("it is cut off")
        return read

    def _read_some(self, size: int) -> bytes:
        try:
            return self._tar.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Invalid(f"it is damaged or cut off: {error}") from error


def verify(source: BinaryIO, passphrase: str, say: Callable[[str], None]) -> Manifest:
    """Read all of the backup in `source`: its manifest, when each part is as that says. Raises `Invalid`."""
    reader = ArchiveReader(source, passphrase)
    found, rows, whole = [], {}, 0
    for name, chunks in reader.parts():
        digest, size, lines = hashlib.sha256(), 0, 0
        counts = name.startswith(DATABASE)
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            if counts:
                lines += chunk.count(b"\n")
            say(f"checking: {(whole + size) // 1_000_000:,} MB")
        whole += size
        found.append(PartTold(name, size, digest.hexdigest()))
        rows[name.removeprefix(DATABASE)] = lines
    manifest = reader.manifest
    if manifest is None or manifest.parts != found:
        raise Invalid("it was changed: its parts are not those that its manifest names")
    told = manifest.database
    if told.kind == "postgresql":
        for table in told.tables:
            if rows.get(table.name) != table.rows:
                raise Invalid(f"its table {table.name!r:.80} has not the {table.rows} rows that its manifest says")
    return manifest


def hold_to(told: PartTold, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """`chunks` as they are; raises `Invalid` at the end when they are not what `told` says."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != told.sha256:
        raise Invalid(f"it was changed while it was read: {told.name!r:.80} is not what it was")


def _part_of(member: str) -> str:
    found = _PIECE.fullmatch(member)
    return found[1] if found else member


def _read_manifest(chunks: Iterator[bytes]) -> Manifest:
    text = bytearray()
    for chunk in chunks:
        text += chunk
        if len(text) > _LARGEST_MANIFEST_BYTES:
            raise Invalid("its manifest is too large")
    try:
        told = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"its manifest cannot be read: {error}") from error
    if told.format != FORMAT:
        raise Invalid(f"its format is {told.format}, and this Heimdall reads {FORMAT}: upgrade Heimdall")
    return told


def _header(name: str, size: int) -> bytes:
    told = tarfile.TarInfo(name)
    told.size, told.mode = size, 0o600
    # the only one of the old formats that knows how large a file is beyond 8 GiB
    return told.tobuf(tarfile.GNU_FORMAT if size > _LONGEST_USTAR_BYTES else tarfile.USTAR_FORMAT)
