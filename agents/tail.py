"""A log file followed across rotation by rename, rotation by copytruncate, compression and truncation.

A position names the file by its inode and its first line and says how many bytes of it are read. What
the file was renamed or copied to is found beside it by the same marks, and its rest is read first.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zlib
from pathlib import Path
from typing import IO, List, NamedTuple, Optional

from core.errors import Invalid

LONGEST_LINE_BYTES = 1024 * 1024  # what is longer is taken in pieces, so that memory stays bounded
LINES_PER_READ = 1_000
BYTES_PER_READ = 1024 * 1024
_MARK_BYTES = 1024
_BACKUP = re.compile(r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.[A-Za-z]{1,8}(?:\.gz)?$")


class Place(NamedTuple):
    """Read up to `offset` in the file that has this inode and begins with this line."""

    inode: int
    first: str
    offset: int

    def dump(self) -> str:
        """As text for the spool."""
        return json.dumps(self._asdict())

    @classmethod
    def load(cls, text: str) -> Place:
        """The place that `dump` wrote. Raises `Invalid`."""
        try:
            kept = json.loads(text)
            return cls(int(kept["inode"]), str(kept["first"]), int(kept["offset"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Invalid(f"position {text!r:.80} is none of a log file") from error


class Span(NamedTuple):
    """Lines that were read, the place behind them, and what is wrong with the log, if anything."""

    lines: List[bytes]
    place: Place
    alarm: str = ""


class Tail:
    """The log at `path`. It holds no file open: each read begins with a look at what lies there now."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def beginning(self) -> Place:
        """The place before the first line. Raises `OSError`."""
        with open_log(self.path) as file:
            return Place(_inode(file), read_mark(file), 0)

    def end(self) -> Place:
        """The place behind the last whole line. Raises `OSError`."""
        with open_log(self.path) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - LONGEST_LINE_BYTES)
            file.seek(start)
            last = file.read(LONGEST_LINE_BYTES)
            return Place(_inode(file), read_mark(file), start + last.rfind(b"\n") + 1)

    def read(self, place: Place) -> Span:
        """The next whole lines behind `place`: none when there are none. Raises `OSError`."""
        file_path, alarm = self._find(place)
        if file_path is None:
            return Span([], self.beginning(), alarm)
        with open_log(file_path) as file:
            mark = read_mark(file)
            current = file_path == self.path
            inode = _inode(file) if current else place.inode
            size = os.fstat(file.fileno()).st_size
            offset = min(place.offset, size) if alarm else place.offset
            lines, offset = _read_lines(file, offset, whole=current)
        if not lines and not current:
            follower = self._follower(file_path)
            if follower is not None:
                return Span([], Place(_inode_of(follower), _mark_of(follower), 0), alarm)
        return Span(lines, Place(inode, mark, offset), alarm)

    def _find(self, place: Place) -> tuple[Optional[Path], str]:
        """Where the file of `place` lies now, and an alarm when it was not simply continued or rotated."""
        present = self.path.exists()
        if present:
            info = self.path.stat()
            same_mark = _same(_mark_of(self.path), place.first)
            if info.st_ino == place.inode and info.st_size >= place.offset and same_mark:
                return self.path, ""
        for rotated in self._rotated():
            # a file that was still empty has no first line to be known by
            is_it = _mark_of(rotated) == place.first if place.first else _inode_of(rotated) == place.inode
            if is_it and _holds(rotated, place.offset):
                return rotated, ""
        if not present:
            raise FileNotFoundError(2, "No such file or directory", str(self.path))
        if place.offset == 0:
            return None, ""
        what = f"{self.path} had {place.offset} bytes and has {info.st_size}, and no rotated copy lies beside it"
        if same_mark and place.first:
            # the same beginning: somebody rewrote the file, and its old lines are no news
            return self.path, f"the log was rewritten: {what}"
        return None, f"the log was cleared: {what}"

    def _rotated(self) -> List[Path]:
        """What the log may have been renamed or copied to, the newest first."""
        names = (self.path.name + ".", self.path.name + "-")
        found = [
            (entry.stat().st_mtime_ns, Path(entry.path))
            for entry in os.scandir(self.path.parent)
            if (entry.name.startswith(names) or (is_backup(entry.name) and entry.name.startswith(self.path.stem + "-")))
            and entry.is_file()
        ]
        return [path for _, path in sorted(found, reverse=True)]

    def _follower(self, rotated: Path) -> Optional[Path]:
        """The log that was begun after `rotated`; `None` while it is not there or has nothing yet."""
        newer = None
        for path in self._rotated():
            if path == rotated:
                break
            newer = path
        # until something is in it, the writer may still be writing to the renamed file
        if newer is None and self.path.exists() and self.path.stat().st_size > 0:
            newer = self.path
        return newer


def is_backup(name: str) -> bool:
    """Whether a file is what a log was renamed to by a program (Caddy) that puts the time before the ending."""
    return _BACKUP.search(name) is not None


def open_log(path: Path) -> IO[bytes]:
    """`path` opened for reading, decompressed when its name ends in `.gz`. Raises `OSError`."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return open(path, "rb")


def read_mark(file: IO[bytes]) -> str:
    """A fingerprint of the first line of `file`, empty while that line is not whole; moves the file's position."""
    file.seek(0)
    beginning = file.read(_MARK_BYTES)
    end = beginning.find(b"\n")
    if end < 0 and len(beginning) < _MARK_BYTES:
        return ""
    return hashlib.sha256(beginning[: end if end >= 0 else _MARK_BYTES]).hexdigest()[:32]


def _mark_of(path: Path) -> str:
    try:
        with open_log(path) as file:
            return read_mark(file)
    except (OSError, EOFError, zlib.error):
        return ""


def _same(mark: str, before: str) -> bool:
    """Whether a file with `mark` may be the one that had `before`: an empty one had no mark yet."""
    return mark == before or not before


def _holds(path: Path, offset: int) -> bool:
    return path.suffix == ".gz" or path.stat().st_size >= offset


def _inode(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_ino


def _inode_of(path: Path) -> int:
    return path.stat().st_ino


def _read_lines(file: IO[bytes], offset: int, whole: bool) -> tuple[List[bytes], int]:
    """Lines from `offset` on, and the offset behind them; `whole` leaves a last line without its end for later."""
    file.seek(offset)
    lines: List[bytes] = []
    taken = 0
    while len(lines) < LINES_PER_READ and taken < BYTES_PER_READ:
        line = file.readline(LONGEST_LINE_BYTES)
        if not line or (whole and not line.endswith(b"\n") and len(line) < LONGEST_LINE_BYTES):
            break
        lines.append(line)
        taken += len(line)
    return lines, offset + taken
