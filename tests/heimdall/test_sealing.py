"""What is sealed by a passphrase opens with it alone, and only as it was."""

from __future__ import annotations

import io
import random

import pytest

from core.errors import Invalid
from heimdall.sealing import CHUNK_BYTES, SealingWriter, UnsealingReader

HEAD, SEALED = 48, CHUNK_BYTES + 16
PASSPHRASE = "correct horse – battery staple"


def sealed(content: bytes) -> bytes:
    sink = io.BytesIO()
    writer = SealingWriter(sink, PASSPHRASE)
    for start in range(0, len(content), 100_003):
        writer.write(content[start : start + 100_003])
    writer.close()
    return sink.getvalue()


def opened(written: bytes, passphrase: str = PASSPHRASE) -> bytes:
    reader, read = UnsealingReader(io.BytesIO(written), passphrase), []
    while piece := reader.read(70_001):
        read.append(piece)
    return b"".join(read)


@pytest.fixture(scope="module")
def three_chunks() -> bytes:
    return sealed(random.Random(1).randbytes(2 * CHUNK_BYTES + 77))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_what_was_sealed_opens_as_it_was(size: int) -> None:
    content = random.Random(size).randbytes(size)
    written = sealed(content)
    assert opened(written) == content
    assert content[:64] not in written or size == 0
    # as the format says: the last chunk may be full, and there is always one
    assert len(written) == HEAD + size + 16 * max(1, -(-size // CHUNK_BYTES))


def test_the_same_again_is_sealed_otherwise() -> None:
    assert sealed(b"the same")[16:] != sealed(b"the same")[16:]


def test_another_passphrase_opens_nothing(three_chunks: bytes) -> None:
    for wrong in ("correct horse", PASSPHRASE + " ", ""):
        with pytest.raises(Invalid, match="the passphrase is wrong"):
            opened(three_chunks, wrong)


@pytest.mark.parametrize("kept", [0, 20, HEAD, HEAD + 10, HEAD + SEALED, HEAD + 2 * SEALED, HEAD + 2 * SEALED + 92, -1])
def test_what_is_cut_off_is_found(three_chunks: bytes, kept: int) -> None:
    with pytest.raises(Invalid, match="cut off"):
        opened(three_chunks[:kept])


def test_chunks_in_another_order_twice_or_of_another_file_are_found(three_chunks: bytes) -> None:
    head, first, second, last = (
        three_chunks[:HEAD], three_chunks[HEAD:][:SEALED], three_chunks[HEAD + SEALED :][:SEALED],
        three_chunks[HEAD + 2 * SEALED :],
    )  # fmt: skip
    other = sealed(random.Random(1).randbytes(2 * CHUNK_BYTES + 77))
    for changed in (
        head + second + first + last,
        head + first + first + second + last,
        head + first + last,
        head + last,
        head + first + second + last + last,
        head + other[HEAD:][:SEALED] + second + last,
    ):
        with pytest.raises(Invalid, match="changed or cut off"):
            opened(changed)


def test_each_changed_bit_is_found(three_chunks: bytes) -> None:
    chance = random.Random(2)
    # the first 16 bytes tell what the file is, and are told apart by whoever opens it
    places = [*range(16, HEAD, 5), *(chance.randrange(HEAD, len(three_chunks)) for _ in range(20))]
    for place in places:
        changed = bytearray(three_chunks)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises(Invalid, match="passphrase is wrong" if place < HEAD else "changed or cut off"):
            opened(bytes(changed))
