"""Opening an image so that something is seen at once: first a reduced picture, then the image itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.read import read_draft, read_image, read_info
from pspnet_core.imaging.source import ArraySource, FileVersion
from pspnet_core.imaging.tiff_source import NotInPiecesError, TiffSource
from pspnet_core.memory import available_memory
from pspnet_core.types import RgbImage

WHOLE_PX = 100_000_000
"""Images of up to so many pixels are decoded as a whole."""

PREVIEW_PX = 1024
"""Longest side of a reduced picture, about."""

_TIFF_SUFFIXES = (".tif", ".tiff")

_WORTH_PX = 2_000_000
"""Below this the whole image is there as soon as a reduced one."""

_DECODING_BYTES = 7  # a pixel: Pillow's four and our three


@dataclass(frozen=True, slots=True, eq=False)
class OpenStep:
    """What is known of an image so far.

    Attributes:
        width: In pixels, as displayed.
        height: In pixels, as displayed.
        preview: (h, w, 3) uint8 RGB, a reduced picture of all of it; None when there is none.
        source: The image itself; None when it is still to come.
    """

    width: int
    height: int
    preview: RgbImage | None
    source: ArraySource | TiffSource | None


def open_steps(path: Path, page: int = 0, whole_px: int = WHOLE_PX) -> Iterator[OpenStep]:
    """Open an image in one or two steps; the last one has the source.

    JPEG files are first decoded at a fraction of their size, TIFF files give one of their small pictures or a blurred
    one. TIFF files of more than ``whole_px`` pixels are read by pieces where they are made of small ones.

    Args:
        path: The file.
        page: Of a TIFF or animation, from 0.
        whole_px: Up to so many pixels are decoded as a whole.

    Raises:
        ImageReadError: The file is missing, damaged, cut off, too large, not an image, or of values that cannot be
            shown, or the memory does not suffice.
    """
    version = file_version(path)
    info = read_info(path, page)
    num_px = info.width * info.height
    is_tiff = path.suffix.lower() in _TIFF_SUFFIXES
    if is_tiff and num_px > whole_px:
        pieces = tiff_source(path, page)
        if pieces is not None:
            yield OpenStep(info.width, info.height, pieces.sketch(PREVIEW_PX), pieces)
            return
    check_memory(path, info.width, info.height)
    if num_px > _WORTH_PX:
        preview = _tiff_preview(path, page) if is_tiff else read_draft(path, page)
        if preview is not None:
            yield OpenStep(info.width, info.height, preview, None)
    source = ArraySource(read_image(path, page), version)
    yield OpenStep(source.width, source.height, None, source)


def open_source(path: Path, page: int = 0, whole_px: int = WHOLE_PX) -> ArraySource | TiffSource:
    """An image that is decoded as a whole, or read by pieces where it is a large TIFF file.

    Args and Raises: as :func:`open_steps`.
    """
    version = file_version(path)
    info = read_info(path, page)
    if info.width * info.height > whole_px and path.suffix.lower() in _TIFF_SUFFIXES:
        pieces = tiff_source(path, page)
        if pieces is not None:
            return pieces
    check_memory(path, info.width, info.height)
    return ArraySource(read_image(path, page), version)


def read_small(path: Path, page: int, max_side: int) -> RgbImage:
    """A small picture of an image for a list, as quickly as its format allows.

    A large TIFF file gives one of its own small pictures or a blurred one: it is not decoded as a whole for this.

    Args:
        path: The file.
        page: Of a TIFF or animation, from 0.
        max_side: Neither side is longer.

    Returns:
        (h, w, 3) uint8 RGB, displayed orientation.

    Raises:
        ImageReadError: As :func:`open_steps`.
    """
    if path.suffix.lower() in _TIFF_SUFFIXES:
        info = read_info(path, page)
        pieces = tiff_source(path, page) if info.width * info.height > _WORTH_PX else None
        if pieces is not None:
            return pieces.sketch(max_side)
    return read_image(path, page, max_side)


def tiff_source(path: Path, page: int = 0) -> TiffSource | None:
    """A TIFF file by pieces; None when it is not made of small ones.

    Raises:
        ImageReadError: The file is missing, damaged, cut off, or too large.
    """
    version = file_version(path)
    try:
        source = TiffSource(path, page)
    except NotInPiecesError:
        return None
    source.file_version = version
    return source


def _tiff_preview(path: Path, page: int) -> RgbImage | None:
    """One of the file's small pictures, or a blurred one; None where the decoder of whole images has to decide."""
    try:
        pieces = tiff_source(path, page)
        return None if pieces is None else pieces.sketch(PREVIEW_PX)
    except ImageReadError:
        return None


def check_memory(path: Path, width: int, height: int) -> None:
    """Raises: ImageReadError (decoding an image of this size would need more memory than there is)."""
    needed, available = width * height * _DECODING_BYTES, available_memory()
    if available is not None and needed > available:
        raise ImageReadError(
            f"There is not enough memory for {path.name}.",
            f"{path} has {width} × {height} pixels: decoding it takes {needed / 1e9:.1f} GB, "
            f"{available / 1e9:.1f} GB are free.",
            "Close other programs, or save it as a tiled TIFF: that is read by pieces.",
        )


def file_version(path: Path) -> FileVersion | None:
    """What changes when a file is written again; None when there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
