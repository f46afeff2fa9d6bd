"""A page of a TIFF file by tifffile, for those that Pillow cannot read or reads wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pspnet_core.imaging.decoding import check_page, decoder
from pspnet_core.imaging.rgb import NODATA_TAG, nodata_of
from pspnet_core.imaging.tiff_chain import chain

_ORIENTATION_TAG, _PROFILE_TAG = 274, 34675


@dataclass(frozen=True, slots=True)
class TiffPage:
    """A page as tifffile sees it; sizes and pixels as stored."""

    num_pages: int
    width: int
    height: int
    dtype: np.dtype[Any] | None
    orientation: int
    is_separate: bool
    has_alpha: bool
    profile: bytes | None
    nodata: float | None


@contextmanager
def open_tiff_page(path: Path, page: int) -> Iterator[tuple[TiffPage, Any]]:
    """What is known of a page of a TIFF, and tifffile's own object for it.

    Raises:
        DecoderError: The file is damaged, or no TIFF.
        ImageReadError: There is no such page, or there are too many.
        OSError: The file cannot be read.
    """
    import tifffile

    with open(path, "rb") as stream:
        num_pages = len(chain(path, stream))  # where the pages lead in circles tifffile would, too
    with decoder():
        tiff = tifffile.TiffFile(path)
    with tiff:
        check_page(path, page, num_pages)
        with decoder():
            frame = tiff.pages[page].aspage()
            tag = frame.tags.get(_ORIENTATION_TAG)
            orientation = int(tag.value) if tag is not None else 1
            found = TiffPage(
                num_pages,
                int(frame.imagewidth),
                int(frame.imagelength),
                frame.dtype,
                orientation if 1 <= orientation <= 8 else 1,
                int(frame.planarconfig) == 2,
                any(int(kind) in (1, 2) for kind in frame.extrasamples),
                profile_of(frame),
                nodata_of(frame.tags[NODATA_TAG].value) if NODATA_TAG in frame.tags else None,
            )
        yield found, frame


def profile_of(frame: Any) -> bytes | None:
    """The ICC profile of tifffile's page; None where there is none."""
    if _PROFILE_TAG not in frame.tags:
        return None
    value = frame.tags[_PROFILE_TAG].value
    return bytes(value) if isinstance(value, bytes | bytearray | tuple | list | np.ndarray) else None
