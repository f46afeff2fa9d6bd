"""From an image file to RGB pixels: the one decoder for the screen, for training and for export.

Rules that hold everywhere: EXIF orientation is applied; 16 bits become 8 by their high byte; transparent
images are laid over white; of more than three colour bands the first three count. Pillow decodes; tifffile
takes the TIFF files that Pillow cannot read or reads wrongly.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.types import RgbImage

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
"""Suffixes (lower case) of files that are taken for images."""

MAX_PIXELS = 512 * 1024 * 1024
"""Largest image that is decoded as a whole, 1.5 GB in memory; also the guard against decompression bombs."""

# Pillow guards itself at its own limit of 89 megapixels, which aerial images reach honestly.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_SIXTEEN_BIT_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_ORIENTATION_TAG = 274
_EIGHT_BIT = frozenset({"L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"})

# What Pillow and tifffile raise on damaged files; found by reading their sources and by flipping bits.
_DECODE_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


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


def read_info(path: Path, page: int = 0) -> ImageInfo:
    """Size and kind of an image; reads the header only.

    Args:
        path: The file.
        page: Of a TIFF or animation, from 0.

    Raises:
        ImageReadError: The file is missing, damaged, too large, or not an image.
    """
    with _decoding(path), open(path, "rb") as stream:
        if _pillow_misreads(stream):
            return _tiff_info(path, page)
        try:
            image = Image.open(stream, formats=_FORMATS)
        except _DECODE_ERRORS:
            if _is_tiff(stream):
                return _tiff_info(path, page)
            raise
        with image:
            num_pages = _num_pages(image)
            _seek(path, image, page, num_pages)
            orientation = _orientation(image)
            _check_size(path, *image.size)
            width, height = image.size
            if orientation >= 5 and image.format != "TIFF":  # Pillow turns the size of a TIFF itself
                width, height = height, width
            return ImageInfo(width, height, orientation, _bits(image.mode), image.mode, num_pages)


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
        ImageReadError: The file is missing, damaged, too large, not an image, or of a kind that has no fixed
            conversion to 8 bits (32-bit integers, floating point).
        ValueError: ``max_side`` is below 1.
    """
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side must be at least 1, got {max_side}")
    with _decoding(path), open(path, "rb") as stream:
        if _pillow_misreads(stream):
            return _reduced(_read_tiff(path, page), max_side)
        try:
            with Image.open(stream, formats=_FORMATS) as image:
                return _read_pillow(path, image, page, max_side)
        except _DECODE_ERRORS:
            if _is_tiff(stream):
                return _reduced(_read_tiff(path, page), max_side)
            raise


@contextmanager
def open_raw(path: Path) -> Iterator[Image.Image]:
    """A file opened by Pillow for its stored values (masks); decode it inside the block.

    Raises:
        ImageReadError: The file is missing, damaged, too large, or not an image.
    """
    with _decoding(path), Image.open(path, formats=_FORMATS) as image:
        _check_size(path, *image.size)
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


def _read_pillow(path: Path, image: Image.Image, page: int, max_side: int | None) -> RgbImage:
    _seek(path, image, page, _num_pages(image))
    _check_size(path, *image.size)
    orientation = _orientation(image)
    if max_side is not None:
        image.draft(None, (max_side, max_side))  # a JPEG only; gives at least this size
    image.load()
    turned = image.format == "TIFF"  # Pillow turns the pixels of a TIFF itself
    pixels = _reduced(_to_rgb(path, image), max_side)
    return pixels if turned else oriented(pixels, orientation)


def _to_rgb(path: Path, image: Image.Image) -> RgbImage:
    if image.mode in _SIXTEEN_BIT_GREY:
        return _grey_to_rgb((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "1":
        return _grey_to_rgb(np.asarray(image.convert("L")))
    if image.mode not in _EIGHT_BIT:
        raise _unsupported_depth(path, image.mode)
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(white, with_alpha).convert("RGB"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _grey_to_rgb(grey: NDArray[np.uint8]) -> RgbImage:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _reduced(pixels: RgbImage, max_side: int | None) -> RgbImage:
    height, width = pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return pixels
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.array(small)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODE_ERRORS:
        return 1  # damaged EXIF data beside good pixels: shown as stored, as every viewer does
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _num_pages(image: Image.Image) -> int:
    if image.format == "MPO":  # a camera's JPEG with previews behind it
        return 1
    return int(getattr(image, "n_frames", 1))


def _seek(path: Path, image: Image.Image, page: int, num_pages: int) -> None:
    _check_page(path, page, num_pages)
    if page:
        image.seek(page)


def _check_page(path: Path, page: int, num_pages: int) -> None:
    if not 0 <= page < num_pages:
        raise ImageReadError(f"{path.name} has no page {page + 1}.", f"{path} has {num_pages} page(s).")


def _bits(mode: str) -> int:
    return {"1": 1, "I": 32, "F": 32}.get(mode, 16 if mode in _SIXTEEN_BIT_GREY else 8)


def _is_tiff(stream: Any) -> bool:
    stream.seek(0)
    return stream.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _pillow_misreads(stream: Any) -> bool:
    """Whether this is a TIFF with separate 16-bit planes: Pillow 13 reads them as if they were interleaved."""
    is_tiff = _is_tiff(stream)
    stream.seek(0)
    if not is_tiff:
        return False
    try:
        with Image.open(stream, formats=("TIFF",)) as image:
            tags = getattr(image, "tag_v2", {})
            separate = tags.get(284, 1) == 2 and tags.get(277, 1) > 1
            return bool(separate and max(tags.get(258, (8,))) > 8)
    except _DECODE_ERRORS:
        return True
    finally:
        stream.seek(0)


def _tiff_info(path: Path, page: int) -> ImageInfo:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        _check_page(path, page, len(tiff.pages))
        frame = tiff.pages[page].aspage()
        orientation = _tiff_orientation(frame)
        width, height = int(frame.imagewidth), int(frame.imagelength)
        _check_size(path, width, height)
        if orientation >= 5:
            width, height = height, width
        bits = frame.dtype.itemsize * 8 if frame.dtype is not None else 8
        return ImageInfo(width, height, orientation, bits, str(frame.dtype), len(tiff.pages))


def _read_tiff(path: Path, page: int) -> RgbImage:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        _check_page(path, page, len(tiff.pages))
        frame = tiff.pages[page].aspage()
        _check_size(path, int(frame.imagewidth), int(frame.imagelength))
        if frame.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise _unsupported_depth(path, str(frame.dtype))
        stored = frame.asarray()
        orientation = _tiff_orientation(frame)
        separate = int(frame.planarconfig) == 2 and stored.ndim == 3
        has_alpha = any(int(kind) in (1, 2) for kind in frame.extrasamples)
    if separate:
        stored = np.moveaxis(stored, 0, -1)
    if stored.dtype == np.uint16:
        stored = (stored >> 8).astype(np.uint8)
    return np.ascontiguousarray(oriented(_bands_to_rgb(stored, has_alpha), orientation))


def _bands_to_rgb(stored: NDArray[np.uint8], has_alpha: bool) -> RgbImage:
    bands = stored[:, :, None] if stored.ndim == 2 else stored
    colors = bands[:, :, :3] if bands.shape[2] >= 3 else np.repeat(bands[:, :, :1], 3, axis=2)
    if not has_alpha or bands.shape[2] not in (2, 4):
        return np.ascontiguousarray(colors)
    alpha = bands[:, :, -1:].astype(np.uint16)
    over_white = (colors * alpha + 255 * (255 - alpha) + 127) // 255
    return over_white.astype(np.uint8)


def _tiff_orientation(frame: Any) -> int:
    tag = frame.tags.get(_ORIENTATION_TAG)
    value = int(tag.value) if tag is not None else 1
    return value if 1 <= value <= 8 else 1


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{path} has {width} × {height} = {width * height / 1e6:,.0f} megapixels.")


def _too_large(path: Path, detail: str) -> ImageReadError:
    return ImageReadError(
        f"{path.name} is too large.",
        f"{detail} The limit is {MAX_PIXELS / 1e6:,.0f} megapixels.",
        "Cut the image into pieces, or check whether the file is damaged.",
    )


def _unsupported_depth(path: Path, mode: str) -> ImageReadError:
    return ImageReadError(
        f"{path.name} has pixels of a kind that cannot be shown as colours.",
        f"{path} holds values of type {mode}; which of them is black and which is white is not known.",
        "Convert it to 8 or 16 bits per channel.",
    )


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Say in words what a decoder's exception means."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageReadError(
            f"{path.name} is not there any more.",
            f"{path} was not found.",
            "It was moved, renamed or deleted; put it back, or read the folder again.",
        ) from error
    except PermissionError as error:
        raise ImageReadError(
            f"{path.name} may not be read.", f"{path}: {error.strerror}.", "Check the rights of the file."
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, f"{path}: {error}.") from error
    except MemoryError as error:
        raise ImageReadError(
            f"There is not enough memory for {path.name}.",
            f"{path}.",
            "Close other programs, or reduce the image.",
        ) from error
    except _DECODE_ERRORS as error:
        if _is_empty(path):
            title, detail = f"{path.name} is empty.", f"{path} has 0 bytes."
        else:
            title, detail = f"{path.name} could not be read as an image.", f"{path}: {error}."
        remedy = "The file is damaged or not an image: copy it again from where it came, or remove it."
        raise ImageReadError(title, detail, remedy) from error


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False
