"""What a decoder's exceptions mean, in words, and the limits that all images are held to."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, PngImagePlugin

from pspnet_core.errors import ImageReadError

PIXELS_VARIABLE, METADATA_VARIABLE = "PSPNET_STUDIO_MAX_MEGAPIXELS", "PSPNET_STUDIO_MAX_METADATA_MB"
"""Names of the environment variables that raise the limits."""


def _number_in(variable: str, otherwise: int) -> int:
    """A whole number of an environment variable; ``otherwise`` where it holds none above 0."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() and int(text) > 0 else otherwise


MAX_PIXELS = _number_in(PIXELS_VARIABLE, 0) * 1_000_000 or 512 * 1024 * 1024
"""Largest image that is decoded as a whole, 1.5 GB in memory; also the guard against decompression bombs."""

MAX_TILED_PIXELS = 2 * MAX_PIXELS
"""Largest image that is read by pieces, and largest class map: one byte a pixel."""

MAX_METADATA_MB = _number_in(METADATA_VARIABLE, 16)
"""Of texts and colour profiles in a PNG, unpacked; colour profiles of printers have one or two."""

# Pillow guards itself at its own limits of 89 megapixels, which aerial images reach honestly, and 1 MB of metadata.
Image.MAX_IMAGE_PIXELS = MAX_TILED_PIXELS
PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA_MB * 1_000_000
PngImagePlugin.MAX_TEXT_MEMORY = 4 * PngImagePlugin.MAX_TEXT_CHUNK

# What Pillow and tifffile raise on damaged files; found by reading their sources and by flipping bits. Only
# `decoder` catches them, around nothing but calls of the two: the same of our own would be a fault of ours.
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


class DecoderError(Exception):
    """A decoder could not go on.

    Attributes:
        reason: What it raised.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def decoder() -> Iterator[None]:
    """Goes around calls of Pillow and tifffile, and nothing else. Raises: DecoderError."""
    try:
        yield
    except _DECODE_ERRORS as error:
        raise DecoderError(error) from error


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Say in words why a file could not be opened or decoded. Raises: ImageReadError."""
    try:
        yield
    except DecoderError as error:
        raise _in_words(path, error.reason) from error.reason
    except (OSError, MemoryError) as error:
        raise _in_words(path, error) from error


def _in_words(path: Path, error: BaseException) -> ImageReadError:
    match error:
        case FileNotFoundError():
            return ImageReadError(
                f"{path.name} is not there any more.",
                f"{path} was not found.",
                "It was moved, renamed or deleted; put it back, or read the folder again.",
            )
        case PermissionError():
            return ImageReadError(
                f"{path.name} may not be read.", f"{path}: {error.strerror}.", "Check the rights of the file."
            )
        case Image.DecompressionBombError():
            return _too_large(path, f"{path}: {error}.", MAX_PIXELS)
        case MemoryError():
            return ImageReadError(
                f"There is not enough memory for {path.name}.",
                f"{path}.",
                "Close other programs, or reduce the image.",
            )
        case ValueError() if "MAX_TEXT" in str(error) or "too much memory used in text" in str(error).lower():
            return ImageReadError(
                f"The texts and profiles in {path.name} are too large.",
                f"{path}: {error}. The limit is {MAX_METADATA_MB} MB for each.",
                f"Check whether the file is damaged, or start with {METADATA_VARIABLE} set to more megabytes.",
            )
    if _is_empty(path):
        title, detail = f"{path.name} is empty.", f"{path} has 0 bytes."
    else:
        title, detail = f"{path.name} could not be read as an image.", f"{path}: {error}."
    remedy = "The file is damaged or not an image: copy it again from where it came, or remove it."
    return ImageReadError(title, detail, remedy)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def check_page(path: Path, page: int, num_pages: int) -> None:
    """Raises: ImageReadError (there is no such page)."""
    if not 0 <= page < num_pages:
        raise ImageReadError(f"{path.name} has no page {page + 1}.", f"{path} has {num_pages} page(s).")


def check_size(path: Path, width: int, height: int, limit: int | None = None) -> None:
    """Raises: ImageReadError (there are more pixels than ``limit``, :data:`MAX_PIXELS` when not given)."""
    limit = MAX_PIXELS if limit is None else limit
    if width * height > limit:
        raise _too_large(path, f"{path} has {width} × {height} = {width * height / 1e6:,.0f} megapixels.", limit)


def _too_large(path: Path, detail: str, limit: int) -> ImageReadError:
    return ImageReadError(
        f"{path.name} is too large.",
        f"{detail} The limit is {limit / 1e6:,.0f} megapixels.",
        f"Save it as a tiled TIFF (up to {MAX_TILED_PIXELS / 1e6:,.0f} megapixels), cut it into pieces, check whether "
        f"the file is damaged, or start with {PIXELS_VARIABLE} set to more megapixels.",
    )


def unsupported_depth(path: Path, mode: str) -> ImageReadError:
    """The error for values of which no picture can be made."""
    return ImageReadError(
        f"{path.name} has pixels of a kind that cannot be shown as colours.",
        f"{path} holds values of type {mode}.",
        "Convert it to real numbers, best to 8 or 16 bits per channel.",
    )
