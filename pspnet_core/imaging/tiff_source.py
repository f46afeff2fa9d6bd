"""Large TIFF files (tiled, striped, pyramidal, BigTIFF) of which only those pieces are read that are looked at."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import MAX_TILED_PIXELS, check_page, check_size, decoder, decoding
from pspnet_core.imaging.read import oriented
from pspnet_core.imaging.source import ArraySource, FileVersion, level_size, num_levels_of
from pspnet_core.imaging.tiff_chain import chain
from pspnet_core.imaging.tiff_pages import StoredPage
from pspnet_core.types import Rect, RgbImage

CACHE_BYTES = 64 * 1024 * 1024
"""Decoded segments that a source keeps."""

_SMALL_PX = 4096
"""A stored picture whose sides are at most this long is small enough to make all smaller levels from it at once."""

_PIECE_PX = 4 * 1024 * 1024
_SKETCH_CELLS = 2
_ORIENTATION_TAG, _SUBFILE_TAG = 274, 254
_REDUCED, _MASK = 1, 4

Signature = tuple[int, int, int]


class TiffSource:
    """A TIFF file as an :class:`ImageSource` that reads and decodes the segments under a rectangle, and no others.

    Levels come from the reduced pictures in the file (SubIFDs, or pages marked as reduced) where there are some. Where
    there are none, :meth:`prepare` makes the small levels once, in one pass over the file and with little memory.

    The file is open only while something is read; it is an error if it was changed since. Several threads may read at
    the same time: they share the decoded segments. Nothing here belongs into a thread that must not wait.

    Args:
        path: The file.
        page: From 0.
        cache_bytes: Decoded segments that are kept, in bytes.

    Raises:
        ImageReadError: The file is missing, damaged, cut off, too large, or holds values that cannot be shown.
        NotInPiecesError: Its segments are too large, or of a kind that cannot be decoded on its own.
    """

    def __init__(self, path: Path, page: int = 0, cache_bytes: int = CACHE_BYTES) -> None:
        self.file_version: FileVersion | None = None
        """Of the file before it was opened, where that is known."""
        self._path = path
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, int, int], RgbImage] = OrderedDict()
        self._cached_bytes = 0
        self._small: ArraySource | None = None
        self.num_decoded = 0
        """Segments decoded so far, for tests."""
        with decoding(path), open(path, "rb") as stream:
            self._signature = _signature(stream)
            self._pages, self._orientation = _stored_pages(path, stream, page)
        stored = self._pages[0]
        self._stored_w, self._stored_h = stored.width, stored.height
        if not stored.is_in_pieces:
            raise NotInPiecesError
        try:
            with decoding(path), open(path, "rb") as stream:
                self._segment(stream, 0, 0, 0)
        except ImageReadError as error:
            raise NotInPiecesError from error
        self._small_level = self._num_small_level()

    @property
    def width(self) -> int:
        """Of level 0 as displayed, in pixels."""
        return self._stored_h if self._orientation >= 5 else self._stored_w

    @property
    def height(self) -> int:
        """Of level 0 as displayed, in pixels."""
        return self._stored_w if self._orientation >= 5 else self._stored_h

    @property
    def num_levels(self) -> int:
        """Levels until the longest side is at most 512 px."""
        return num_levels_of(self.width, self.height)

    @property
    def stored_levels(self) -> list[int]:
        """Levels that the file itself holds."""
        return sorted(self._pages)

    @property
    def prepared_level(self) -> int:
        """From this level on reading is quick once :meth:`prepare` has run."""
        return self._small_level

    @property
    def is_prepared(self) -> bool:
        """Whether the small levels can be read without decoding the whole file."""
        return self._small is not None or max(self._pages) >= self._small_level

    def read(self, rect: Rect, level: int = 0) -> RgbImage:
        """The part of ``rect`` (in pixels of that level) that lies in the image.

        Returns:
            (h, w, 3) uint8 RGB, displayed orientation, not to be written to.

        Raises:
            ImageReadError: The file is gone, was changed, or is damaged there.
            ValueError: There is no such level.
        """
        if not 0 <= level < self.num_levels:
            raise ValueError(f"level must be 0 to {self.num_levels - 1}, got {level}")
        width, height = level_size(self.width, self.height, level)
        area = rect.intersect(Rect(0, 0, width, height))
        if self._orientation == 1:
            return self._read_stored(area, level)
        stored = _unturned(area, width, height, self._orientation)
        return oriented(self._read_stored(stored, level), self._orientation)

    def prepare(self) -> Iterator[float]:
        """Make the small levels; yields the share that is done, at least at every few million pixels.

        Raises:
            ImageReadError: As :meth:`read`.
        """
        if self.is_prepared:
            return
        level = self._small_level
        width, height = level_size(self._stored_w, self._stored_h, level)
        small = np.empty((height, width, 3), np.uint8)
        done = 0
        for piece in self._pieces(Rect(0, 0, width, height), level):
            small[piece.slices] = self._read_stored(piece, level)
            done += piece.w * piece.h
            yield done / (width * height)
        self._small = ArraySource(small)

    def sketch(self, max_side: int, budget_s: float = 0.4) -> RgbImage:
        """A small picture of the whole image, quickly: from the file's own small pictures, else a blurred one.

        The blurred one is made of every n-th segment, as many as the time allows.

        Args:
            max_side: Neither side is longer.
            budget_s: Only for the blurred one; about so long.

        Returns:
            (h, w, 3) uint8 RGB, displayed orientation.

        Raises:
            ImageReadError: As :meth:`read`.
        """
        width, height = self.width, self.height
        if self.is_prepared:
            level = max(0, min(self.num_levels - 1, (max(width, height) // max_side).bit_length() - 1))
            picture = Image.fromarray(self.read(Rect(0, 0, width, height), level))
        else:
            picture = Image.fromarray(oriented(self._blurred(budget_s), self._orientation))
        scale = min(1.0, max_side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))

    # --- inside

    def _num_small_level(self) -> int:
        """The first level that fits into ``_SMALL_PX``."""
        level = 0
        while max(level_size(self._stored_w, self._stored_h, level)) > _SMALL_PX:
            level += 1
        return level

    def _read_stored(self, area: Rect, level: int) -> RgbImage:
        """As :meth:`read`, before the orientation is applied."""
        if self._small is not None and level >= self._small_level:
            return self._small.read(area, level - self._small_level)
        out = np.empty((area.h, area.w, 3), np.uint8)
        with decoding(self._path), open(self._path, "rb") as stream:
            if _signature(stream) != self._signature:
                raise ImageReadError(
                    f"{self._path.name} was changed while it was open.",
                    f"{self._path} is not the file any more that was opened.",
                    "Open the image again.",
                )
            for piece in self._pieces(area, level):
                out[_inside(piece, area)] = self._reduced(stream, piece, level)
        return out

    def _source_level(self, level: int) -> int:
        return max(k for k in self._pages if k <= level)

    def _pieces(self, area: Rect, level: int) -> Iterator[Rect]:
        """Parts of ``area`` that are made of at most some 4 million stored pixels, whole segments wide."""
        stored = self._source_level(level)
        shift = level - stored
        width = max(1, max(2048, self._pages[stored].segment_w) >> shift)
        if width * 2 > area.w:
            width = max(1, area.w)
        height = max(1, _PIECE_PX // (width << shift) >> shift)
        for y in range(area.y, area.bottom, height):
            for x in range(area.x, area.right, width):
                yield Rect(x, y, width, height).intersect(area)

    def _reduced(self, stream: BinaryIO, piece: Rect, level: int) -> RgbImage:
        """``piece`` (pixels of ``level``) from the next finer picture in the file."""
        stored = self._source_level(level)
        page, shift = self._pages[stored], level - stored
        # A program that made the file may have rounded down: then the last column or row is taken twice.
        x, y = min(piece.x << shift, page.width - 1), min(piece.y << shift, page.height - 1)
        right, bottom = min(piece.right << shift, page.width), min(piece.bottom << shift, page.height)
        pixels = self._assembled(stream, stored, Rect(x, y, max(1, right - x), max(1, bottom - y)))
        if shift:
            pixels = np.asarray(Image.fromarray(pixels).reduce(1 << shift))
        missing = piece.h - pixels.shape[0], piece.w - pixels.shape[1]
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return pixels

    def _assembled(self, stream: BinaryIO, stored: int, area: Rect) -> RgbImage:
        """Pixels of ``area`` of a picture in the file."""
        page = self._pages[stored]
        out = np.empty((area.h, area.w, 3), np.uint8)
        for row in range(area.y // page.segment_h, (area.bottom - 1) // page.segment_h + 1):
            for column in range(area.x // page.segment_w, (area.right - 1) // page.segment_w + 1):
                place = page.segment_rect(column, row)
                part = place.intersect(area)
                pixels = self._segment(stream, stored, column, row)
                out[_inside(part, area)] = pixels[_inside(part, place)]
        return out

    def _segment(self, stream: BinaryIO, stored: int, column: int, row: int) -> RgbImage:
        key = (stored, column, row)
        with self._lock:
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
                return known
        page = self._pages[stored]
        data = []
        for offset, count in page.ranges(column, row):
            stream.seek(offset)
            data.append(stream.read(count))
        pixels = page.decode(column, row, data)
        with self._lock:
            self.num_decoded += 1
            if key not in self._cache:
                self._cached_bytes += pixels.nbytes
            self._cache[key] = pixels
            while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return pixels

    def _blurred(self, budget_s: float) -> RgbImage:
        """Every n-th segment of the smallest picture in the file as 2 x 2 pixels, as many as there is time for.

        A strip, which is as wide as the image, gives more columns.
        """
        stored = max(self._pages)
        page = self._pages[stored]
        cells = _SKETCH_CELLS, _SKETCH_CELLS * max(1, min(128, page.segment_w // max(1, page.segment_h)))
        found: dict[tuple[int, int], RgbImage] = {}
        start, each = time.perf_counter(), 2
        with decoding(self._path), open(self._path, "rb") as stream:
            while True:
                rows, columns = _spread(page.rows, each), _spread(page.columns, each)
                for row in rows:
                    for column in columns:
                        if (row, column) not in found:
                            picture = Image.fromarray(self._segment(stream, stored, column, row))
                            small = picture.resize(cells[::-1], Image.Resampling.BOX)
                            found[row, column] = np.asarray(small)
                used = time.perf_counter() - start
                if 5 * used > budget_s or (len(rows), len(columns)) == (page.rows, page.columns):
                    break
                each *= 2
        return np.concatenate([np.concatenate([found[r, c] for c in columns], axis=1) for r in rows])


class NotInPiecesError(Exception):
    """A TIFF file can be read, but not by pieces."""


def _signature(stream: BinaryIO) -> Signature:
    status = os.fstat(stream.fileno())
    return status.st_mtime_ns, status.st_size, status.st_ino


def _stored_pages(path: Path, stream: BinaryIO, page: int) -> tuple[dict[int, StoredPage], int]:
    """The pictures of one page by level, the full one at 0, and its orientation."""
    import tifffile

    size = os.fstat(stream.fileno()).st_size
    num_pages = len(chain(path, stream))
    stream.seek(0)
    with decoder():
        tiff = tifffile.TiffFile(stream, name=path.name)
    with tiff:
        check_page(path, page, num_pages)
        with decoder():
            frame = tiff.pages[page].aspage()
            tag = frame.tags.get(_ORIENTATION_TAG)
            orientation = int(tag.value) if tag is not None else 1
        check_size(path, int(frame.imagewidth), int(frame.imagelength), MAX_TILED_PIXELS)
        full = StoredPage(path, frame, size)
        found = {0: full}
        for reduced in _reduced_frames(tiff, frame, page):
            level = _level_of(int(reduced.imagewidth), int(reduced.imagelength), full)
            if level is None or level in found:
                continue
            candidate = StoredPage(path, reduced, size)
            if candidate.is_in_pieces:
                found[level] = candidate
    return found, orientation if 1 <= orientation <= 8 else 1


def _reduced_frames(tiff: Any, frame: Any, page: int) -> Iterator[Any]:
    """Smaller versions of a page: its sub-directories, and pages behind it that are marked as such."""
    with decoder():
        frames = [f.aspage() for f in frame.pages or ()]
        for number in range(page + 1, len(tiff.pages)):
            behind = tiff.pages[number].aspage()
            kind = int(behind.tags[_SUBFILE_TAG].value) if _SUBFILE_TAG in behind.tags else 0
            is_slide = tiff.is_svs and behind.is_tiled
            if not (kind & _REDUCED or is_slide):
                break
            if not kind & _MASK:
                frames.append(behind)
    yield from frames


def _level_of(width: int, height: int, full: StoredPage) -> int | None:
    """Which level a smaller picture is; None when it is not one half, one quarter, ... of the full one."""
    level = 1
    while True:
        exact_w, exact_h = full.width / 2**level, full.height / 2**level
        if abs(width - exact_w) <= 1 and abs(height - exact_h) <= 1:
            return level
        if (exact_w < width and exact_h < height) or max(exact_w, exact_h) < 1:
            return None
        level += 1


def _spread(count: int, wanted: int) -> list[int]:
    """About ``wanted`` numbers below ``count``, evenly spread."""
    step = max(1, count // wanted)
    if step <= 1:
        return list(range(count))
    return sorted({min(count - 1, (2 * n + 1) * count // (2 * wanted)) for n in range(wanted)})


def _unturned(area: Rect, width: int, height: int, orientation: int) -> Rect:
    """Where a displayed rectangle lies in the stored picture; ``width`` and ``height`` as displayed."""
    x, y, w, h = area
    if orientation in (2, 3, 6, 7):
        x = width - area.right
    if orientation in (3, 4, 7, 8):
        y = height - area.bottom
    return Rect(y, x, h, w) if orientation >= 5 else Rect(x, y, w, h)


def _inside(part: Rect, whole: Rect) -> tuple[slice, slice]:
    """Index of ``part`` in an array that covers ``whole``."""
    return Rect(part.x - whole.x, part.y - whole.y, part.w, part.h).slices
