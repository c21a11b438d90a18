"""One event of the Windows event log, read from the XML that `EvtRender` and `wevtutil qe LOG /f:xml` give."""

from __future__ import annotations

import codecs
import re
from datetime import datetime
from typing import IO, Dict, Iterator, List, Match, NamedTuple, Optional, Tuple
from xml.parsers import expat

from agents.tail import LONGEST_LINE_BYTES
from core.clock import parse_time
from core.errors import Invalid

# a character that XML 1.0 cannot hold would end the parsing, and who can name an account could hide it in this way
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")

_END = b"</Event>"
_PIECE_BYTES = 65_536


class Record(NamedTuple):
    """An event as Windows keeps it. `at` is UTC; `level` is 2 for an error, 3 for a warning; `data` its own fields.

    A field without a name has its number, from 0 on. `UserID` is in `data` too: the SID of whoever caused the event.
    """

    provider: str
    event_id: int
    level: int
    channel: str
    computer: str
    at: datetime
    data: Dict[str, str]


def parse_record(text: str) -> Optional[Record]:
    """The event that `text` holds; `None` when it holds none.

    What stands before `<Event` is skipped, and behind that no document type can be declared: there are no entities but
    XML's own. An event that breaks off, or is damaged further on, is what there is of it.
    """
    start = text.find("<Event ")
    if start < 0:
        start = text.find("<Event>")
    if start < 0:
        return None
    reader = _Reader()
    try:
        reader.read(_REFERENCE.sub(_check_reference, _NOT_XML.sub("\ufffd", text[start:])))
    except (expat.ExpatError, ValueError):
        reader.end_field()
    return reader.record()


def _check_reference(found: Match[str]) -> str:
    number = int(found[1], 16) if found[1] else int(found[2])
    fits = number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0x10000 <= number < 0x110000
    return found[0] if fits else "\ufffd"


class _Reader:
    """Collects what expat tells of one event."""

    def __init__(self) -> None:
        self._system: Dict[str, str] = {}
        self._data: Dict[str, str] = {}
        self._path: List[str] = []
        self._name: Optional[str] = None  # of the field that is being read
        self._text: List[str] = []
        self._unnamed = 0

    def read(self, text: str) -> None:
        """Raises `ExpatError`."""
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.Parse(text.encode("utf-8", "replace"), True)

    def record(self) -> Optional[Record]:
        """What was read; `None` unless provider, number and time are in it, and the time is one that can be kept."""
        system = self._system
        try:
            at = parse_time(system["TimeCreated"])
            number, level = int(system["EventID"][:10]), int(system.get("Level", "")[:10] or 0)
            channel, computer = system.get("Channel", ""), system.get("Computer", "")
            record = Record(system["Provider"], number, level, channel, computer, at, self._data)
        except (KeyError, ValueError, Invalid):
            return None
        return record if 1970 <= at.year <= 9998 else None

    def _start(self, tag: str, attributes: Dict[str, str]) -> None:
        self._path.append(tag)
        self._text.clear()
        part = self._path[1] if len(self._path) > 1 else ""
        self._name = None
        if part == "System":
            self._start_system(tag, attributes)
        elif part == "EventData" and tag == "Data":
            self._name = attributes.get("Name") or str(self._unnamed)
            self._unnamed += not attributes.get("Name")
        elif part == "UserData" and len(self._path) > 3:
            self._name = tag

    def _start_system(self, tag: str, attributes: Dict[str, str]) -> None:
        if tag == "Provider":
            self._system[tag] = attributes.get("Name", "")
        elif tag == "TimeCreated":
            self._system[tag] = attributes.get("SystemTime", "")
        elif tag == "Security" and attributes.get("UserID"):
            self._data["UserID"] = attributes["UserID"]
        elif tag in ("EventID", "Level", "Channel", "Computer"):
            self._name = tag

    def _end(self, _tag: str) -> None:
        self.end_field()
        self._path.pop()

    def end_field(self) -> None:
        """Keep the field that was being read."""
        if self._name is not None:
            fields = self._system if len(self._path) > 1 and self._path[1] == "System" else self._data
            fields[self._name] = "".join(self._text)
        self._name = None
        self._text.clear()


def split_events(file: IO[bytes]) -> Iterator[Tuple[int, bytes]]:
    """The events that `file` holds one after another, with or without a root element, in UTF-8, or UTF-16 with a mark.

    Each goes with its offset in the UTF-8 text, up to `</Event>`, for fields have lines of their own. What is longer
    than `LONGEST_LINE_BYTES` comes in pieces.
    """
    offset, rest = 0, b""
    for piece in _pieces(file):
        *whole, rest = (rest + piece).split(_END)
        for event in whole:
            yield offset, event + _END
            offset += len(event) + len(_END)
        if len(rest) > LONGEST_LINE_BYTES:
            yield offset, rest
            offset, rest = offset + len(rest), b""
    if b"<Event>" in rest or b"<Event " in rest:
        yield offset, rest


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    piece = file.read(_PIECE_BYTES)
    wide = piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16")("replace") if wide else None
    while piece:
        yield decoder.decode(piece).encode("utf-8", "replace") if decoder else piece
        piece = file.read(_PIECE_BYTES)
