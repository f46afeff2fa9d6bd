"""The file of a journal: framed records that are only ever added at the end, and how they are read back.

A record is a frame (magic, format, kind, number, length, checksums) and its payload. What a crash left half written at
the end is recognised and left out; damage before that shows as a gap in the numbers.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from pspnet_core.errors import JournalError

_MAGIC = b"PSJR"
_FORMAT = 1
# magic, format, kind, number, length of the payload, CRC-32 of the payload; then CRC-32 of these; little endian
_HEAD = struct.Struct("<4sBBQQI")
_CHECK = struct.Struct("<I")
FRAME_BYTES = _HEAD.size + _CHECK.size
_CURSOR = struct.Struct("<Q")
_CHANGE = struct.Struct("<Q?")  # of a jump: length of an edit record, and whether it is done (or undone)


class Kind(IntEnum):
    """What a record says. Strokes, steps and jumps are counted; the others hold at the number that they carry."""

    BEGIN = 0
    """JSON: item, session, ``depth`` at which it begins, and the digests of the planes there where known."""
    STROKE = 1
    """``MaskPatch.to_bytes()``: what came after the present depth is gone, this is one deeper."""
    GO = 2
    """Undo, redo, or several of them at once: the depth that is in force from now on."""
    PLANES = 3
    """JSON: item, digests of the planes, written before they are saved, and the ``depth`` in force."""
    SAVED = 4
    """The planes of that number are in their files."""

    JUMP = 5
    """As ``GO``, with all that it changes: it leads to where the journal knows no strokes (any more)."""


class Digests(NamedTuple):
    """What two planes hold, as hexadecimal digests."""

    class_map: str
    provenance: str


class Change(NamedTuple):
    """An edit record, as :meth:`MaskPatch.from_bytes` reads it, and whether it is done or undone."""

    data: bytes
    is_forward: bool


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One whole record.

    Attributes:
        kind: What it says.
        number: Of the stroke or step, counted from 1; of the other kinds: the last one before.
        offset: Where its frame begins in the file, in bytes.
        payload: As written.
    """

    kind: Kind
    number: int
    offset: int
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes in the file, with its frame."""
        return FRAME_BYTES + len(self.payload)

    @property
    def depth(self) -> int:
        """Of a step: the depth in force afterwards. Raises: JournalError (no such payload)."""
        if len(self.payload) < _CURSOR.size:
            raise damaged_record("a step has no depth")
        return int(_CURSOR.unpack_from(self.payload)[0])

    @property
    def changes(self) -> tuple[Change, ...]:
        """Of a stroke or a jump: what it does to the planes. Raises: JournalError (no such payload)."""
        if self.kind is Kind.STROKE:
            return (Change(self.payload, True),)
        found, position = [], _CURSOR.size
        while position < len(self.payload):
            if position + _CHANGE.size > len(self.payload):
                raise damaged_record("a jump ends too early")
            size, is_forward = _CHANGE.unpack_from(self.payload, position)
            position += _CHANGE.size
            found.append(Change(self.payload[position : position + size], is_forward))
            position += size
        return tuple(found)

    def fields(self) -> dict[str, Any]:
        """The JSON of a begin or planes record. Raises: JournalError (it is none)."""
        try:
            value = json.loads(self.payload)
        except ValueError as error:
            raise damaged_record(str(error)) from error
        if not isinstance(value, dict):
            raise damaged_record("it holds no fields")
        return value


@dataclass(frozen=True, slots=True)
class Log:
    """What a journal file holds.

    Attributes:
        records: Every whole record, in the order of the file.
        good_size: Bytes up to the end of the last whole record.
        cut_bytes: What follows it: the half of a record that was being written.
        damaged_at: First byte that could not be read although whole records follow; None where there is none.
    """

    records: tuple[LogRecord, ...]
    good_size: int
    cut_bytes: int
    damaged_at: int | None


def frame(kind: Kind, number: int, payload: bytes = b"") -> bytes:
    """A record as it is written."""
    head = _HEAD.pack(_MAGIC, _FORMAT, kind, number, len(payload), zlib.crc32(payload))
    return head + _CHECK.pack(zlib.crc32(head)) + payload


def go_frame(number: int, depth: int) -> bytes:
    """The record of a step to another depth."""
    return frame(Kind.GO, number, _CURSOR.pack(depth))


def jump_frame(number: int, depth: int, changes: Iterable[Change]) -> bytes:
    """The record of a step that brings along what it does."""
    parts = [_CURSOR.pack(depth)]
    for data, is_forward in changes:
        parts += [_CHANGE.pack(len(data), is_forward), data]
    return frame(Kind.JUMP, number, b"".join(parts))


def json_frame(kind: Kind, number: int, fields: Mapping[str, Any]) -> bytes:
    """A record with fields."""
    return frame(kind, number, json.dumps(dict(fields), ensure_ascii=False).encode())


def read_log(path: Path) -> Log:
    """Read a journal file; it may be appended to meanwhile.

    Raises:
        JournalError: A newer program wrote it.
        OSError: It cannot be read.
    """
    return parse_log(path.read_bytes())


def parse_log(data: bytes) -> Log:
    """As :func:`read_log`, of what a file holds."""
    records: list[LogRecord] = []
    position, damaged_at = 0, None
    while position < len(data):
        record = _record_at(data, position)
        if record is None:
            following = _next_record(data, position + 1)
            if following is None:
                break
            damaged_at = position if damaged_at is None else damaged_at
            record = following
        records.append(record)
        position = record.offset + record.size
    return Log(tuple(records), position, len(data) - position, damaged_at)


def damaged_record(why: str) -> JournalError:
    """A record whose checksum is right says something impossible."""
    return JournalError(
        "A record of a journal makes no sense.",
        f"{why}.",
        "Move the journal away: the image then opens as it was last saved.",
    )


def _record_at(data: bytes, position: int) -> LogRecord | None:
    """The whole record that begins there, if one does."""
    if position + FRAME_BYTES > len(data) or data[position : position + 4] != _MAGIC:
        return None
    head = data[position : position + _HEAD.size]
    if _CHECK.unpack_from(data, position + _HEAD.size)[0] != zlib.crc32(head):
        return None
    _, version, kind, number, size, checksum = _HEAD.unpack(head)
    if version != _FORMAT or kind > max(Kind):
        raise JournalError(
            f"A journal has format {version} and a record of kind {kind}.",
            f"This program reads format {_FORMAT}, kinds 0 to {max(Kind)}.",
            "Open the project with the newer program that wrote it.",
        )
    begin = position + FRAME_BYTES
    payload = data[begin : begin + size]
    if len(payload) != size or zlib.crc32(payload) != checksum:
        return None
    return LogRecord(Kind(kind), number, position, payload)


def _next_record(data: bytes, position: int) -> LogRecord | None:
    while (position := data.find(_MAGIC, position)) >= 0:
        record = _record_at(data, position)
        if record is not None:
            return record
        position += 1
    return None
