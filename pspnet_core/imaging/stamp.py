"""How a PNG that this program wrote is told from any other: its "Software" field names a checksum of its pixels."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import decoder, decoding
from pspnet_core.imaging.read import open_raw

SOFTWARE = "PSPNet Studio"
_STAMP = re.compile(rf"{SOFTWARE} (\S+) [0-9a-f]{{8}}")


def stamp(kind: str, pixels: NDArray[Any]) -> str:
    """Text for the "Software" field of a PNG with these pixels.

    Args:
        kind: What wrote it, such as ``export``: files of one kind do not pass for those of another.
        pixels: As they are stored, uint8.
    """
    return f"{SOFTWARE} {kind} {zlib.crc32(np.ascontiguousarray(pixels).tobytes()):08x}"


def is_stamped(path: Path, kind: str) -> bool:
    """Whether the file is a PNG that was written with :func:`stamp` and still has the same pixels."""
    try:
        with open_raw(path) as image:
            return bool(image.info.get("Software") == stamp(kind, np.asarray(image)))
    except ImageReadError:
        return False


def claimed_kind(path: Path) -> str | None:
    """The kind on the stamp of a PNG, whether or not its pixels are the same still: nothing is decoded."""
    try:
        with decoding(path), decoder():
            image = Image.open(path, formats=("PNG",))
    except ImageReadError:
        return None
    with image:
        text = str(image.info.get("Software", ""))  # it stands before the pixels
    found = _STAMP.fullmatch(text)
    return found[1] if found is not None else None


def stamped_kind(path: Path) -> str | None:
    """The kind on the stamp of a PNG that still has the same pixels; None for every other file."""
    kind = claimed_kind(path)
    return kind if kind is not None and is_stamped(path, kind) else None
