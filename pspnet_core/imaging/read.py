"""From an image file to RGB pixels: the one decoder for the screen, for training and for export.

Rules that hold everywhere: EXIF orientation is applied; colours are brought to sRGB by the file's profile; 16 bits
become 8 by their high byte, other numbers as :mod:`~pspnet_core.imaging.rgb` tells; transparent images are laid over
white; of more than three colour bands the first three count. Pillow decodes; tifffile takes the TIFF files that Pillow
cannot read or reads wrongly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import (
    MAX_TILED_PIXELS,
    DecoderError,
    check_page,
    check_size,
    decoder,
    decoding,
)
from pspnet_core.imaging.medical import MEDICAL_SUFFIXES, is_medical, read_slice, read_volume
from pspnet_core.imaging.png_chunks import exif_in_png
from pspnet_core.imaging.rgb import SIXTEEN_BIT_GREY, bands_to_rgb, to_eight_bits, to_rgb
from pspnet_core.imaging.tiff_chain import chain, is_tiff
from pspnet_core.imaging.tiff_file import open_tiff_page
from pspnet_core.types import RgbImage

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}) | MEDICAL_SUFFIXES
"""Suffixes (lower case) of files that are taken for images."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_ORIENTATION_TAG, _BITS_TAG = 274, 258
_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known about an image file before its pixels are decoded.

    Attributes:
        width: In pixels, as displayed (EXIF orientation applied).
        height: In pixels, as displayed.
        orientation: EXIF orientation 1 to 8; 1 when there is none.
        bits: Per channel as stored: 1, 8, 16 or 32.
        mode: Pillow's mode, or numpy's dtype where Pillow cannot read the file.
        num_pages: Pages of a TIFF, frames of an animation, else 1.
    """

    width: int
    height: int
    orientation: int
    bits: int
    mode: str
    num_pages: int

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) before the orientation was applied: the size a program sees that ignores EXIF."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def is_image_name(path: str | Path) -> bool:
    """Whether a file is taken for an image, by its name."""
    name = os.fspath(path).lower()
    return os.path.splitext(name)[1] in IMAGE_SUFFIXES or name.endswith(".nii.gz")


def read_info(path: Path, page: int = 0) -> ImageInfo:
    """Size and kind of an image; reads the header only.

    Args:
        path: The file.
        page: Of a TIFF or animation, from 0.

    Raises:
        ImageReadError: The file is missing, damaged, too large, or not an image.
    """
    if is_medical(path):
        volume = read_volume(path)
        check_page(path, page, volume.num_slices)
        return ImageInfo(volume.width, volume.height, 1, volume.bits, "volume", volume.num_slices)
    with decoding(path), open(path, "rb") as stream:
        if _pillow_misreads(stream):
            return _tiff_info(path, page)
        try:
            with decoder():
                image = Image.open(stream, formats=_FORMATS)
        except DecoderError:
            if is_tiff(stream):
                return _tiff_info(path, page)
            raise
        with image:
            num_pages = _num_pages(path, image, stream)
            _seek(path, image, page, num_pages)
            bits = _bits(image)
            orientation = _orientation(image, stream)
            check_size(path, *image.size, MAX_TILED_PIXELS if image.format == "TIFF" else None)
            width, height = image.size
            if orientation >= 5 and image.format != "TIFF":  # Pillow turns the size of a TIFF itself
                width, height = height, width
            return ImageInfo(width, height, orientation, bits, image.mode, num_pages)


def read_bits(path: Path, page: int = 0) -> int:
    """Bits per channel as :attr:`ImageInfo.bits`; never decodes anything.

    Raises:
        ImageReadError: As :func:`read_info`.
    """
    if is_medical(path):
        return min(8, read_volume(path).bits)  # how it comes to 8 bits is not to be chosen
    with decoding(path), open(path, "rb") as stream:
        try:
            with decoder():
                image = Image.open(stream, formats=_FORMATS)
        except DecoderError:
            if is_tiff(stream):
                return _tiff_info(path, page).bits
            raise
        with image:
            _seek(path, image, page, _num_pages(path, image, stream))
            return _bits(image)


def read_image(path: Path, page: int = 0, max_side: int | None = None) -> RgbImage:
    """The pixels of an image.

    Args:
        path: The file.
        page: Of a TIFF or animation, from 0.
        max_side: Reduce so that neither side is longer than this; a JPEG is then decoded at a fraction of its
            size, which takes a fraction of the time. Never enlarges.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous, displayed orientation, owned by the caller.

    Raises:
        ImageReadError: The file is missing, damaged, too large, not an image, or holds complex numbers.
        ValueError: ``max_side`` is below 1.
    """
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side must be at least 1, got {max_side}")
    if is_medical(path):
        return _reduced(read_slice(path, page), max_side)
    with decoding(path), open(path, "rb") as stream:
        if _pillow_misreads(stream):
            return _reduced(_read_tiff(path, page), max_side)
        try:
            with decoder():
                image = Image.open(stream, formats=_FORMATS)
            with image:
                return _read_pillow(path, image, stream, page, max_side)
        except DecoderError:
            if is_tiff(stream):
                return _reduced(_read_tiff(path, page), max_side)
            raise


def read_draft(path: Path, page: int = 0, min_side: int = 400) -> RgbImage | None:
    """A JPEG at one half, one quarter or one eighth of its size, in a fraction of the time.

    Args:
        path: The file.
        page: As of :func:`read_image`.
        min_side: The longest side of the result is at least this long.

    Returns:
        (h, w, 3) uint8 RGB, displayed orientation, owned by the caller; None for other formats and small images.

    Raises:
        ImageReadError: As :func:`read_image`.
    """
    with decoding(path), open(path, "rb") as stream:
        if stream.read(2) != _JPEG_START:
            return None
        stream.seek(0)
        with decoder():
            image = Image.open(stream, formats=("JPEG",))
        with image:
            longest = max(image.size)
            parts = next((n for n in (8, 4, 2) if longest // n >= min_side), 1)
            return None if parts == 1 else _read_pillow(path, image, stream, page, -(-longest // parts))


@contextmanager
def open_raw(path: Path) -> Iterator[Image.Image]:
    """A file decoded by Pillow for its stored values (masks).

    Raises:
        ImageReadError: The file is missing, damaged, too large, or not an image.
    """
    with decoding(path), decoder():
        image = Image.open(path, formats=_FORMATS)
    with image:
        with decoding(path):
            check_size(path, *image.size, MAX_TILED_PIXELS)  # one byte a pixel
            with decoder():
                image.load()
        yield image


def oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn a stored image or mask (H, W, ...) as EXIF orientation 1 to 8 says; a contiguous copy unless it is
    1.

    Source: Exif 2.32, section 4.6.4, tag 274 (orientation of row 0 and column 0).
    """
    if orientation == 1:
        return array
    if not 2 <= orientation <= 8:
        raise ValueError(f"an EXIF orientation is 1 to 8, got {orientation}")
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _read_pillow(path: Path, image: Image.Image, stream: BinaryIO, page: int, max_side: int | None) -> RgbImage:
    _seek(path, image, page, _num_pages(path, image, stream))
    check_size(path, *image.size)
    orientation = _orientation(image, stream)
    with decoder():
        if max_side is not None:
            image.draft(None, (max_side, max_side))  # a JPEG only; gives at least this size
        image.load()
        if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
            image = ImageChops.invert(image)  # Pillow takes all inks for those of Adobe's programs
    turned = image.format == "TIFF"  # Pillow turns the pixels of a TIFF itself
    pixels = _reduced(to_rgb(path, image), max_side)
    return pixels if turned else oriented(pixels, orientation)


def _reduced(pixels: RgbImage, max_side: int | None) -> RgbImage:
    height, width = pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return pixels
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.array(small)


def _orientation(image: Image.Image, stream: BinaryIO) -> int:
    try:
        with decoder():
            if image.format == "PNG" and "exif" not in image.info:
                found = exif_in_png(stream)
                if found is not None:
                    image.info["exif"] = b"Exif\0\0" + found
            # Not its own way for a PNG, which decodes it to the end to see whether EXIF data lie behind the pixels.
            value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    except DecoderError:
        return 1  # damaged EXIF data beside good pixels: shown as stored, as every viewer does
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _num_pages(path: Path, image: Image.Image, stream: BinaryIO) -> int:
    if image.format == "MPO":  # a camera's JPEG with previews behind it
        return 1
    if image.format == "TIFF":
        before = stream.tell()
        num_pages = len(chain(path, stream))
        stream.seek(before)
        return max(1, num_pages)
    with decoder():
        return int(getattr(image, "n_frames", 1))


def _seek(path: Path, image: Image.Image, page: int, num_pages: int) -> None:
    check_page(path, page, num_pages)
    if page:
        with decoder():
            image.seek(page)


def _bits(image: Image.Image) -> int:
    # Colours of 16 bits have Pillow's modes of 8: it takes their high bytes while it decodes.
    with decoder():
        is_deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        if is_deep or 16 in tuple(getattr(image, "tag_v2", {}).get(_BITS_TAG, ())):
            return 16
    return {"1": 1, "I": 32, "F": 32}.get(image.mode, 16 if image.mode in SIXTEEN_BIT_GREY else 8)


def _pillow_misreads(stream: BinaryIO) -> bool:
    """Whether this is a TIFF with separate 16-bit planes: Pillow 13 reads them as if they were interleaved."""
    if not is_tiff(stream):
        return False
    try:
        with decoder(), Image.open(stream, formats=("TIFF",)) as image:
            tags = getattr(image, "tag_v2", {})
            planes, samples, bits = tags.get(284, 1), tags.get(277, 1), tuple(tags.get(_BITS_TAG, (8,)))
    except DecoderError:
        return True
    finally:
        stream.seek(0)
    return planes == 2 and samples != 1 and any(depth not in range(9) for depth in bits)


def _tiff_info(path: Path, page: int) -> ImageInfo:
    with open_tiff_page(path, page) as (found, _):
        check_size(path, found.width, found.height, MAX_TILED_PIXELS)
        width, height = found.width, found.height
        if found.orientation >= 5:
            width, height = height, width
        bits = found.dtype.itemsize * 8 if found.dtype is not None else 8
        return ImageInfo(width, height, found.orientation, bits, str(found.dtype), found.num_pages)


class TiffValues(NamedTuple):
    """A page of a TIFF as tifffile decodes it.

    Attributes:
        values: (H, W) or (H, W, bands) of any real type, displayed orientation, owned by the caller.
        has_alpha: Whether the last band is alpha.
        profile: ICC profile of the colours.
        nodata: The value that stands for "nothing was measured".
    """

    values: NDArray[Any]
    has_alpha: bool
    profile: bytes | None
    nodata: float | None


def tiff_values(path: Path, page: int) -> TiffValues:
    """A page of a TIFF as tifffile decodes it.

    Raises:
        DecoderError: tifffile cannot decode it.
        ImageReadError: It is too large, or is no picture.
    """
    with open_tiff_page(path, page) as (found, frame):
        check_size(path, found.width, found.height)
        with decoder():
            stored = np.asarray(frame.asarray())
    if found.is_separate and stored.ndim == 3:
        stored = np.moveaxis(stored, 0, -1)
    if stored.ndim not in (2, 3) or stored.shape[:2] != (found.height, found.width) or not stored.size:
        raise ImageReadError(
            f"{path.name} is not a picture.",
            f"{path} holds values of shape {stored.shape}; its header says {found.width} × {found.height} pixels.",
            "Convert it to a plain TIFF.",
        )
    return TiffValues(oriented(stored, found.orientation), found.has_alpha, found.profile, found.nodata)


def _read_tiff(path: Path, page: int) -> RgbImage:
    found = tiff_values(path, page)
    stored = to_eight_bits(path, found.values, found.nodata)
    return bands_to_rgb(stored, found.has_alpha, found.profile)
