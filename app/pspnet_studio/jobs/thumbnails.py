"""Small pictures for the list of images, newest request first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pspnet_core.errors import PspnetError
from pspnet_core.types import RgbImage

_MAX_REQUESTS = 128
_MAX_ASPECT = 2.0


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture, or why there is none.

    Attributes:
        key: Key of the item.
        image: (S, S, 3) uint8 RGB, the middle square; None when the file could not be read.
        error: What went wrong, or None.
    """

    key: str
    image: RgbImage | None
    error: PspnetError | None = None


class ThumbnailRequests:
    """What is wanted, filled by the GUI thread and emptied by the io lane; the newest one comes first.

    Beyond 128 requests the oldest are forgotten: their rows were scrolled away long ago.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[str, tuple[Path, int]] = {}

    def add(self, key: str, path: Path, page: int) -> list[str]:
        """Ask for the picture of an item; returns the keys that were forgotten for it."""
        with self._lock:
            self._requests.pop(key, None)
            self._requests[key] = (path, page)
            forgotten = list(self._requests)[: max(0, len(self._requests) - _MAX_REQUESTS)]
            for old in forgotten:
                del self._requests[old]
            return forgotten

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._requests.clear()

    def take(self) -> tuple[str, Path, int] | None:
        """The newest request, which is no longer in the queue; None when there is none."""
        with self._lock:
            if not self._requests:
                return None
            key, (path, page) = self._requests.popitem()
            return key, path, page

    def __len__(self) -> int:
        with self._lock:
            return len(self._requests)


def thumbnails(requests: ThumbnailRequests, size_px: int) -> Iterator[Thumbnail]:
    """Read what is asked for until nothing is left; an unreadable file is a Thumbnail with its error.

    Args:
        requests: May be added to meanwhile.
        size_px: Side of the square in which the pictures are shown, in device pixels.
    """
    from pspnet_core.imaging.opening import read_small

    while (request := requests.take()) is not None:
        key, path, page = request
        try:
            image = read_small(path, page, round(size_px * _MAX_ASPECT))
        except PspnetError as error:
            yield Thumbnail(key, None, error)
        else:
            yield Thumbnail(key, _middle_square(image, size_px))


def _middle_square(image: RgbImage, size_px: int) -> RgbImage:
    """The middle square of (H, W, 3), subsampled so that its side is below twice ``size_px``."""
    h, w = image.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    step = max(1, side // size_px)
    return np.ascontiguousarray(image[top : top + side : step, left : left + side : step])
