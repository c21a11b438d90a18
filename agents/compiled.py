"""The agent's file with its modules compiled for the Python that runs it.

A zip application keeps no cache: each start would compile every module, which takes longer than all else of it, and
the memory that it takes is never given back. Another Python passes over what it cannot read, and takes the sources.
"""

from __future__ import annotations

import contextlib
import io
import py_compile
import tempfile
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from core.agent_file import digest
from core.errors import Invalid


def compile_modules(content: bytes) -> bytes:
    """The zip application `content` with every module compiled beside its source.

    The same whenever this Python makes it. Raises `Invalid` when it is no zip application, or holds what is not Python.
    """
    made_from = read_origin(content)
    try:
        with ZipFile(io.BytesIO(content)) as given:
            head = content[: min(entry.header_offset for entry in given.infolist())]
            files = {entry: given.read(entry) for entry in given.infolist() if not entry.filename.endswith(".pyc")}
    except (BadZipFile, ValueError) as error:
        raise Invalid(f"the agent's file is damaged: {error}") from error
    made = io.BytesIO(head)
    made.seek(len(head))
    with ZipFile(made, "w", ZIP_STORED) as archive, tempfile.TemporaryDirectory() as folder:
        archive.comment = made_from.encode()
        for entry, source in files.items():
            archive.writestr(entry, source)
            if entry.filename.endswith(".py"):
                archive.writestr(ZipInfo(f"{entry.filename}c", entry.date_time), _compile(entry, source, Path(folder)))
    return made.getvalue()


def read_origin(content: bytes) -> str:
    """The SHA-256 of what `content` was compiled from; its own when it was not compiled, or is no zip at all."""
    with contextlib.suppress(BadZipFile), ZipFile(io.BytesIO(content)) as archive:
        if archive.comment:
            return archive.comment.decode("ascii", "replace")
    return digest(content)


def _compile(entry: ZipInfo, source: bytes, folder: Path) -> bytes:
    written, compiled = folder / "module.py", folder / "module.pyc"
    written.write_bytes(source)
    try:
        # unchecked: the sources are in the same file, and change with it alone
        py_compile.compile(
            str(written), str(compiled), entry.filename, doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
    except py_compile.PyCompileError as error:
        raise Invalid(f"the agent's file is damaged: {error.msg.strip()}") from error
    return compiled.read_bytes()
