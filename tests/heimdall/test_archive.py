"""A backup's file is read back as it was written, or refused: cut off, changed, or made by somebody hostile."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from core.errors import Invalid
from heimdall.archive import ArchiveReader, ArchiveWriter, Manifest, verify
from store.snapshot import TableTold, Told

LINES = b"".join(b"%d\tweb-01\t\\N\n" % number for number in range(400_000))
KEY = b"the key of the API\n"


def a_manifest() -> Manifest:
    told = Told("postgresql", "0011", events=True, tables=[TableTold("logs", 400_000, ["id", "source_host", "x"])])
    return Manifest(1, "0.1.0", "2025-12-03T20:49:50.123456Z", "vm", told)


def written(passphrase: str = "") -> bytes:
    sink, manifest = io.BytesIO(), a_manifest()
    archive = ArchiveWriter(sink, passphrase)
    chunks = (LINES[start : start + 1_000_001] for start in range(0, len(LINES), 1_000_001))
    manifest.parts.append(archive.add_pieces("database/logs", chunks))
    manifest.parts.append(archive.add("home/api-key", len(KEY), iter([KEY])))
    archive.finish(manifest)
    return sink.getvalue()


def checked(content: bytes, passphrase: str = "") -> Manifest:
    return verify(io.BytesIO(content), passphrase, lambda _: None)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return written()


@pytest.mark.parametrize("passphrase", ["", "secret words"])
def test_what_was_written_is_read_back(passphrase: str) -> None:
    content = written(passphrase)
    manifest = checked(content, passphrase)
    assert [part.name for part in manifest.parts] == ["database/logs", "home/api-key"]
    reader = ArchiveReader(io.BytesIO(content), passphrase)
    assert {name: b"".join(chunks) for name, chunks in reader.parts()} == {"database/logs": LINES, "home/api-key": KEY}
    assert reader.manifest == manifest


def test_without_a_passphrase_it_is_a_tar_that_others_can_read(plain: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as tar:
        names = tar.getnames()
        pieces = b"".join(tar.extractfile(name).read() for name in names if name.startswith("database/logs/"))
        assert (names[-2:], pieces) == (["home/api-key", "manifest.json"], LINES)
        assert json.load(tar.extractfile("manifest.json"))["database"]["schema"] == "0011"


def test_whatever_is_missing_at_the_end_it_is_refused(plain: bytes) -> None:
    chance = random.Random(3)
    for kept in (0, 1, 10, len(plain) - 1, len(plain) - 8, *(chance.randrange(len(plain)) for _ in range(30))):
        with pytest.raises(Invalid):
            checked(plain[:kept])


def test_whichever_bit_is_changed_it_is_refused(plain: bytes) -> None:
    chance = random.Random(4)
    # gzip's own head says when and where it was made, which nobody reads
    for _ in range(40):
        changed = bytearray(plain)
        changed[chance.randrange(10, len(plain))] ^= 1 << chance.randrange(8)
        with pytest.raises(Invalid):
            checked(bytes(changed))


def test_what_is_changed_within_and_packed_again_is_refused(plain: bytes) -> None:
    whole = gzip.decompress(plain)
    place = whole.index(KEY)
    with pytest.raises(Invalid, match="its parts are not those that its manifest names"):
        checked(gzip.compress(whole[:place] + b"T" + whole[place + 1 :]))
    with pytest.raises(Invalid, match="something stands behind its end"):
        checked(gzip.compress(whole + b"x"))
    with pytest.raises(Invalid, match="damaged"):
        checked(plain + b"more")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x1f\x8b", b"\x1f\x8bgarbage" * 99, b"SQLite format 3\0" * 99])
def test_what_is_no_backup_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match=r"no backup|damaged or cut off"):
        checked(content)


def tar_of(*members: tuple[tarfile.TarInfo, bytes], manifest: Any = None, form: int = tarfile.PAX_FORMAT) -> bytes:
    """What somebody may make with other means; `manifest` as JSON, or bytes as they are."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz", format=form) as tar:
        if manifest is not None:
            text = manifest if isinstance(manifest, bytes) else msgspec.json.encode(manifest)
            members = (*members, (a_file("manifest.json"), text))
        for told, content in members:
            told.size = len(content)
            tar.addfile(told, io.BytesIO(content))
    return sink.getvalue()


def a_file(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    told = tarfile.TarInfo(name)
    told.type, told.linkname = kind, target
    return told


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_devices_and_folders_are_refused(kind: bytes) -> None:
    with pytest.raises(Invalid, match="no plain file"):
        checked(tar_of((a_file("home/api-key", kind, "/etc/passwd"), b""), manifest=a_manifest()))


def test_headers_that_promise_more_are_refused_before_it_is_read() -> None:
    long_name = a_file("home/" + "x" * 5_000)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with pytest.raises(Invalid, match="no plain file"):
            checked(tar_of((long_name, b""), manifest=a_manifest(), form=form))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: b"{", "manifest cannot be read"),
        (lambda told: b"[" * 100_000, "manifest cannot be read"),
        (lambda told: {**told, "format": 2}, "its format is 2"),
        (lambda told: {**told, "database": {**told["database"], "kind": "oracle"}}, "manifest cannot be read"),
        (lambda told: {**told, "parts": [{"name": "x", "bytes": 1, "sha256": ""}]}, "its parts are not those"),
        (lambda told: b" " * 17_000_000, "its manifest is too large"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(change: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        checked(tar_of(manifest=change(msgspec.to_builtins(a_manifest()))))


def test_without_a_manifest_or_with_something_behind_it_it_is_refused() -> None:
    with pytest.raises(Invalid, match="no manifest"):
        checked(tar_of((a_file("home/api-key"), KEY)))
    manifest = (a_file("manifest.json"), msgspec.json.encode(a_manifest()))
    with pytest.raises(Invalid, match="stands behind its manifest"):
        checked(tar_of(manifest, (a_file("home/api-key"), KEY)))
