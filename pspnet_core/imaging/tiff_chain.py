"""The chain of pages in a TIFF file, followed without a decoder: as fast as the disk."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pspnet_core.errors import ImageReadError

MAX_PAGES = 65_536
"""A file with more pages, or whose pages lead back to themselves, is refused."""

MAX_TAGS = 4_096
"""Of one page."""

_STARTS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_SUBFILE, _WIDTH, _HEIGHT, _DESCRIPTION, _NDPI = 254, 256, 257, 270, 65420
_APERIO = b"Aperio"
_REDUCED, _MASK = 1, 4
_SIZES = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class ChainPage:
    """A page as its directory tells of it.

    Attributes:
        kind: Its subfile type: bit 0 a reduced picture, bit 2 a mask.
        width: In pixels.
        height: In pixels.
        is_slide: Written by a scanner for microscope slides, whose pages are levels of one picture.
    """

    kind: int
    width: int
    height: int
    is_slide: bool


def is_tiff(stream: BinaryIO) -> bool:
    """Whether a file begins as a TIFF or BigTIFF; the position is at its beginning afterwards."""
    stream.seek(0)
    start = stream.read(4)
    stream.seek(0)
    return start in _STARTS


def chain(path: Path, stream: BinaryIO) -> list[ChainPage]:
    """All pages of a TIFF file in order.

    Where the chain is broken it ends: what lies before can be read. The position of the stream is lost.

    Args:
        path: For messages.
        stream: Of the file.

    Raises:
        ImageReadError: There are too many pages or tags, or the pages lead back to themselves.
        OSError: The file cannot be read.
    """
    stream.seek(0)
    head = stream.read(16)
    if head[:4] not in _STARTS:
        return []
    order, is_big = _STARTS[head[:4]]
    pointer, entry = ("Q", "HHQ8s") if is_big else ("I", "HHI4s")
    start, entry_size = (8 if is_big else 4), struct.calcsize(order + entry)
    try:
        (offset,) = struct.unpack_from(order + pointer, head, start)
    except struct.error:
        return []
    pages: list[ChainPage] = []
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise _refused(path, "its pages lead back to themselves")
        if len(pages) >= MAX_PAGES:
            raise _refused(path, f"it has more than {MAX_PAGES:,} pages, which is the limit")
        seen.add(offset)
        stream.seek(offset)
        try:
            (count,) = struct.unpack(order + ("Q" if is_big else "H"), stream.read(8 if is_big else 2))
            if count > MAX_TAGS:
                raise _refused(path, f"page {len(pages) + 1} has {count:,} tags, the limit is {MAX_TAGS:,}")
            rows = stream.read(count * entry_size)
            tags = {row[0]: row for row in struct.iter_unpack(order + entry, rows)}
            (offset,) = struct.unpack(order + pointer, stream.read(8 if is_big else 4))
        except struct.error:
            break  # the file was cut off here
        kind, width, height = (_value(order, tags, code) for code in (_SUBFILE, _WIDTH, _HEIGHT))
        is_slide = _NDPI in tags or (not pages and _is_aperio(stream, order + pointer, tags))
        pages.append(ChainPage(kind, width, height, is_slide))
    return pages


def own_pages(path: Path) -> list[int]:
    """Numbers (from 0) of the pages of a file that are pictures of their own; the first one always is.

    Masks, reduced versions of the page before (marked as such, or of exactly one half, one quarter, ... of its size)
    and what a slide scanner wrote behind the slide are none. No error: a file that is no TIFF or is damaged has one
    page, and reading that tells.
    """
    try:
        with open(path, "rb") as stream:
            pages = chain(path, stream)
    except (OSError, ImageReadError):
        return [0]
    found = [0]
    if not pages or pages[0].is_slide:
        return found
    for number, page in enumerate(pages[1:], start=1):
        last = pages[found[-1]]
        if not page.kind & (_REDUCED | _MASK) and page.width and page.height and not _is_reduced(page, last):
            found.append(number)
    return found


def _is_reduced(page: ChainPage, last: ChainPage) -> bool:
    parts = 2
    while parts <= max(last.width, last.height) and min(last.width, last.height) >= 2 * parts:
        if page.width in (last.width // parts, -(-last.width // parts)) and page.height in (
            last.height // parts,
            -(-last.height // parts),
        ):
            return True
        parts *= 2
    return False


def _is_aperio(stream: BinaryIO, pointer: str, tags: dict[int, tuple[int, int, int, bytes]]) -> bool:
    """Whether a page describes itself as a slide of Aperio, behind which come a label and a photograph."""
    if _DESCRIPTION not in tags or tags[_DESCRIPTION][2] <= struct.calcsize(pointer):
        return False
    stream.seek(struct.unpack_from(pointer, tags[_DESCRIPTION][3])[0])
    return stream.read(len(_APERIO)) == _APERIO


def _value(order: str, tags: dict[int, tuple[int, int, int, bytes]], code: int) -> int:
    if code not in tags or tags[code][1] not in _SIZES:
        return 0
    return int(struct.unpack_from(order + _SIZES[tags[code][1]], tags[code][3])[0])


def _refused(path: Path, why: str) -> ImageReadError:
    return ImageReadError(
        f"{path.name} is not read: {why}.",
        f"{path}. Files like this are damaged, or made to keep a program busy.",
        "Split it into several files, or write it anew with the program it comes from.",
    )
