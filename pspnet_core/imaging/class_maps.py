"""Class map files: one byte per pixel, the raw value is the class id, 255 = unlabelled."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pspnet_core.atomic import atomic_writer
from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassMapError, ImageReadError
from pspnet_core.imaging.read import open_raw
from pspnet_core.types import UNLABELLED, ClassMap

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})
"""Suffixes (lower case) of files that can hold a class map: lossless ones."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WHOLE_NUMBERS = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})

# A class map is made of areas. Nearly every pixel of a photograph differs from its neighbour, and it has most
# greys.
_PHOTO_MIN_VALUES = 96
_PHOTO_MAX_EQUAL_NEIGHBOURS = 0.5

_REMEDY = "Expected: one channel, 8 bits, pixel value = class id, 255 = unlabelled (PNG of mode P or L)."


def read_class_map(path: Path) -> ClassMap:
    """The raw values of a mask file, whatever its palette shows.

    Args:
        path: A PNG, TIFF or BMP of one channel: mode P, L or 1, or more bits where all values fit into 8.

    Returns:
        (H, W) uint8 class ids, as stored (no EXIF orientation), owned by the caller.

    Raises:
        ClassMapError: The file is missing or damaged, has colours or transparency, holds values over 255, or
            is evidently a photograph.
    """
    try:
        with open_raw(path) as image:
            mode, values, is_png = image.mode, np.array(image), image.format == "PNG"
    except ImageReadError as error:
        raise ClassMapError(
            f"The mask {path.name} could not be read.", f"{error.title} {error.detail}", error.remedy
        ) from error
    if is_png:
        _check_png(path)
    if mode in ("L", "P"):
        class_map = values
    elif mode == "1":
        class_map = values.astype(np.uint8)
    elif mode in _WHOLE_NUMBERS:
        if int(values.min()) < 0 or int(values.max()) > 255:
            raise ClassMapError(
                f"{path.name} is not a class map: it holds values from {values.min()} to {values.max()}.",
                f"{path}.",
                _REMEDY,
            )
        class_map = values.astype(np.uint8)
    else:
        raise ClassMapError(
            f"{path.name} is a picture with colours, not a class map.", f"{path}: mode {mode}.", _REMEDY
        )
    if mode == "L" and _looks_like_photo(class_map):
        raise ClassMapError(
            f"{path.name} looks like a grey photograph, not like a class map.",
            f"{path} holds {len(np.unique(class_map))} different values and hardly any even area.",
            _REMEDY,
        )
    return class_map


def write_class_map(path: Path, class_map: ClassMap, classes: ClassSet | None, software: str = "") -> None:
    """Write a class map as 8-bit PNG, atomically.

    Args:
        path: Where; its folders are made.
        class_map: (H, W) uint8 class ids.
        classes: Its colours become the palette; grey without a palette when None. The raw values are the
            same.

    Raises:
        StorageError: It could not be written.
        ValueError: Another shape or dtype.
    """
    if class_map.ndim != 2 or class_map.dtype != np.uint8:
        raise ValueError(f"expected a (H, W) uint8 class map, got {class_map.shape} {class_map.dtype}")
    image = Image.fromarray(class_map)
    if classes is not None:
        image.putpalette(classes.lut().tobytes())
    write_png(path, image, software)


def write_png(path: Path, image: Image.Image, software: str = "") -> None:
    """Write any image as PNG, atomically, with a text for its "Software" field. Raises: StorageError."""
    fields = PngInfo()
    if software:
        fields.add_text("Software", software)
    with atomic_writer(path) as stream:
        image.save(stream, "PNG", pnginfo=fields)


def ids_of(class_map: ClassMap) -> tuple[int, ...]:
    """The class ids that occur in a class map, ascending, without 255."""
    if not class_map.size:
        return ()
    counts = Image.fromarray(class_map).histogram()  # numpy's bincount takes three times as long
    return tuple(index for index in range(UNLABELLED) if counts[index])


def _check_png(path: Path) -> None:
    """Refuse a PNG with a wrong checksum or without an end: Pillow takes both, and ids would be wrong silently."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClassMapError(f"The mask {path.name} could not be read.", f"{path}: {error.strerror}.") from error
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        kind, end = data[position + 4 : position + 8], position + 12 + size
        if end > len(data) or zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            break
        if kind == b"IEND":
            return
        position = end
    raise ClassMapError(
        f"The mask {path.name} is damaged.",
        f"{path}: a checksum is wrong or the end is missing, near byte {position} of {len(data)}.",
        "Put back a copy of it, or delete it to begin this mask anew. It was not changed.",
    )


def _looks_like_photo(values: NDArray[np.uint8]) -> bool:
    if values.shape[1] < 2 or np.count_nonzero(np.bincount(values.ravel(), minlength=256)) < _PHOTO_MIN_VALUES:
        return False
    return bool((values[:, 1:] == values[:, :-1]).mean() < _PHOTO_MAX_EQUAL_NEIGHBOURS)
