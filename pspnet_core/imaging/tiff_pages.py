"""Pictures in a TIFF file that are decoded by segments: its tiles, or its strips.

Plain values (8 or 16 bits, grey or colours) are taken as they are; everything else (a palette, JPEG, LZW, CMYK, ...) is
given to Pillow as a small TIFF file of one segment, so that colours come out as :func:`read_image` makes them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import decoder
from pspnet_core.imaging.rgb import bands_to_rgb, to_rgb
from pspnet_core.imaging.tiff_file import profile_of
from pspnet_core.types import Rect, RgbImage

MAX_SEGMENT_BYTES = 64 * 1024 * 1024
"""Of decoded values; a page with larger segments is not read by pieces."""

_RAW_SEGMENT_BYTES = 1024 * 1024
_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_BLACK_IS_ZERO, _RGB, _PREMULTIPLIED = 1, 2, 1
# What tells how the bytes of a segment are to be understood.
_COPIED_TAGS = (258, 259, 262, 266, 277, 284, 317, 320, 338, 339, 347, 529, 530, 532)
_UNDEFINED = 7

Range = tuple[int, int]
"""Offset and length in the file."""


class StoredPage:
    """One picture of a file, as it is stored (no orientation is applied).

    It holds no open file: :meth:`ranges` says what to read, :meth:`decode` makes pixels of it.

    Args:
        path: For messages.
        page: tifffile's page; its file has to be open during this call only.
        file_size: In bytes.

    Raises:
        DecoderError: The page is damaged.
        ImageReadError: The file ends before its last segment.
    """

    def __init__(self, path: Path, page: Any, file_size: int) -> None:
        self._path = path
        self._page = page
        with decoder():
            self.width, self.height = int(page.imagewidth), int(page.imagelength)
            self._is_tiled = bool(page.is_tiled)
            self._samples = int(page.samplesperpixel)
            self._num_planes = self._samples if int(page.planarconfig) == 2 and self._samples > 1 else 1
            self._kind = _kind(page)
            self._profile = profile_of(page)
            self._offsets, self._counts = tuple(page.dataoffsets), tuple(page.databytecounts)
            self._tags = {code: _plain(page.tags[code].value) for code in _COPIED_TAGS if code in page.tags}
            self._prefix = b"II" if page.parent.byteorder == "<" else b"MM"
            self._bytes_per_value = max(1, int(page.bitspersample) // 8)
            if self._is_tiled:
                self.segment_w, self.segment_h = int(page.tilewidth), int(page.tilelength)
            else:
                self.segment_w, self.segment_h = self.width, min(int(page.rowsperstrip), self.height)
            self._strip_h = self.segment_h
            if self._kind == "raw" and not self._is_tiled:
                self.segment_h = _rows_at_a_time(self.segment_h, self._row_bytes, self._strip_h >= self.height)
            self.columns, self.rows = -(-self.width // self.segment_w), -(-self.height // self.segment_h)
        self._check(file_size)

    @property
    def rect(self) -> Rect:
        """The whole picture."""
        return Rect(0, 0, self.width, self.height)

    @property
    def is_in_pieces(self) -> bool:
        """Whether each segment is small enough to be decoded on its own, and can be shown without the others."""
        values = self.segment_w * self.segment_h * max(3, self._samples)
        return self._kind != "whole" and values * self._bytes_per_value <= MAX_SEGMENT_BYTES

    def segment_rect(self, column: int, row: int) -> Rect:
        """Where a segment lies, cut to the picture."""
        x, y = column * self.segment_w, row * self.segment_h
        return Rect(x, y, self.segment_w, self.segment_h).intersect(self.rect)

    def ranges(self, column: int, row: int) -> list[Range]:
        """What to read for a segment; one range for each separate plane that is needed."""
        if self._segments_per_strip > 1:
            strip, number = divmod(row, self._segments_per_strip)
            size = self._row_bytes * self.segment_rect(column, row).h
            skipped = number * self.segment_h * self._row_bytes
            return [(self._offsets[n] + skipped, size) for n in self._numbers(strip)]
        return [(self._offsets[n], self._counts[n]) for n in self._numbers(row * self.columns + column)]

    def decode(self, column: int, row: int, data: Sequence[bytes]) -> RgbImage:
        """The pixels of a segment: (h, w, 3) uint8 RGB, of the size of :meth:`segment_rect`; a new array.

        Args:
            column: Of the segment.
            row: Of the segment.
            data: What lies in its :meth:`ranges`.

        Raises:
            DecoderError: The bytes are damaged.
        """
        area = self.segment_rect(column, row)
        if not all(data):  # a segment that was never written
            return np.zeros((area.h, area.w, 3), np.uint8)
        if self._kind == "pillow":
            return np.ascontiguousarray(self._by_pillow(area, data)[: area.h, : area.w])
        values = self._raw(area, data) if self._kind == "raw" else self._inflated(row * self.columns + column, data)
        values = values[: area.h, : area.w]
        if values.dtype.itemsize == 2:
            values = values >> 8
        return bands_to_rgb(values.astype(np.uint8, copy=False), self._has_alpha, self._profile)

    # --- inside

    @property
    def _row_bytes(self) -> int:
        samples = self._samples if self._num_planes == 1 else 1
        return self.segment_w * samples * self._bytes_per_value

    @property
    def _segments_per_strip(self) -> int:
        return 1 if self._is_tiled else -(-self._strip_h // self.segment_h)

    @property
    def _has_alpha(self) -> bool:
        return 2 in _numbers_of(self._tags.get(338, ()))

    def _numbers(self, number: int) -> list[int]:
        """Of a segment in each plane that is needed."""
        per_plane = len(self._offsets) // self._num_planes
        return [plane * per_plane + number for plane in self._planes]

    @property
    def _planes(self) -> Sequence[int]:
        if self._num_planes == 1:
            return (0,)
        if self._kind == "pillow":
            return range(self._num_planes)
        with_alpha = self._has_alpha and self._num_planes in (2, 4)
        colors = range(3) if self._num_planes >= 3 else range(1)
        return (*colors, self._num_planes - 1) if with_alpha else tuple(colors)

    def _check(self, file_size: int) -> None:
        expected = -(-self.height // self._strip_h) if not self._is_tiled else self.rows * self.columns
        expected *= self._num_planes
        end = max((o + c for o, c in zip(self._offsets, self._counts, strict=False)), default=0)
        complete = len(self._offsets) >= expected > 0 and len(self._counts) >= expected
        short = self._kind == "raw" and self._segments_per_strip > 1 and self._lacks_rows()
        if not complete or end > file_size or short:
            raise ImageReadError(
                f"{self._path.name} is not complete.",
                f"{self._path} has {file_size:,} bytes and {len(self._offsets)} of {expected} pieces; "
                f"its pixels reach to byte {end:,}.",
                "The file was cut off: copy it again from where it came.",
            )

    def _lacks_rows(self) -> bool:
        """Whether an uncompressed strip is shorter than its rows."""
        per_plane = -(-self.height // self._strip_h)
        heights = [min(self._strip_h, self.height - n * self._strip_h) for n in range(per_plane)]
        heights *= self._num_planes
        return any(count < h * self._row_bytes for count, h in zip(self._counts, heights, strict=False))

    def _raw(self, area: Rect, data: Sequence[bytes]) -> NDArray[Any]:
        order = "<" if self._prefix == b"II" else ">"
        height = self.segment_h if self._is_tiled else area.h
        with decoder():
            planes = [
                np.frombuffer(d, f"{order}u{self._bytes_per_value}", height * self._row_bytes // self._bytes_per_value)
                for d in data
            ]
        shaped = [p.reshape(height, self.segment_w, -1) for p in planes]
        return shaped[0] if len(shaped) == 1 else np.concatenate(shaped, axis=2)

    def _inflated(self, number: int, data: Sequence[bytes]) -> NDArray[Any]:
        with decoder():
            planes = [
                np.asarray(self._page.decode(d, n)[0])[0] for d, n in zip(data, self._numbers(number), strict=True)
            ]
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)

    def _by_pillow(self, area: Rect, data: Sequence[bytes]) -> RgbImage:
        height = self.segment_h if self._is_tiled else area.h
        with decoder():
            image = Image.open(io.BytesIO(self._small_file(height, data)), formats=("TIFF",))
            image.load()
        return to_rgb(self._path, image, self._profile)

    def _small_file(self, height: int, data: Sequence[bytes]) -> bytes:
        """A TIFF file with nothing but one segment."""
        from PIL.TiffImagePlugin import ImageFileDirectory_v2  # not when the window starts

        directory = ImageFileDirectory_v2(prefix=self._prefix)
        for code, value in self._tags.items():
            if code == 347:
                directory.tagtype[code] = _UNDEFINED
            directory[code] = value
        directory[256], directory[257], directory[278] = self.segment_w, height, height
        # Pillow counts offsets from the end of the directory when it writes one.
        offsets = [sum(len(d) for d in data[:n]) for n in range(len(data))]
        directory[273], directory[279] = tuple(offsets), tuple(len(d) for d in data)
        order = "<" if self._prefix == b"II" else ">"
        header = self._prefix + struct.pack(order + "HI", 42, 8)
        return b"".join([header, directory.tobytes(8), *data])


def _kind(page: Any) -> str:
    """How segments are decoded: ``raw`` bytes, ``inflate`` (tifffile), or ``pillow``.

    ``whole`` if they cannot be: what is black and what is white depends on the range of the whole picture.
    """
    bits, samples = _numbers_of(page.bitspersample), int(page.samplesperpixel)
    tags = page.tags
    whole_numbers = set(_numbers_of(tags[339].value if 339 in tags else 1)) <= {1}
    if not whole_numbers or any(b not in (1, 2, 4, 8, 16) for b in bits):
        return "whole"
    photometric, compression = int(page.photometric), int(page.compression)
    is_plain = (
        set(bits) <= {8, 16}
        and len(set(bits)) == 1
        and ((photometric == _RGB and samples >= 3) or photometric == _BLACK_IS_ZERO)
        and _PREMULTIPLIED not in _numbers_of(page.extrasamples)
        and int(page.fillorder) == 1
        and int(page.predictor) in (1, 2)
    )
    if is_plain and compression == _UNCOMPRESSED:
        return "raw"
    separate_words = int(page.planarconfig) == 2 and samples > 1 and max(bits) > 8  # Pillow reads these wrongly
    if (is_plain and compression in _DEFLATE) or separate_words or samples > 4:
        return "inflate"
    return "pillow"


def _plain(value: Any) -> Any:
    """A colour table comes as an array."""
    return tuple(int(v) for v in value.ravel()) if isinstance(value, np.ndarray) else value


def _numbers_of(value: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),)


def _rows_at_a_time(strip_h: int, row_bytes: int, is_single: bool) -> int:
    """How many rows of uncompressed strips are read together; strips hold a whole number of such groups."""
    wanted = max(1, _RAW_SEGMENT_BYTES // row_bytes)
    if strip_h <= wanted or is_single:
        return min(strip_h, wanted)
    return max(n for n in range(1, wanted + 1) if strip_h % n == 0)
