"""Images that are read by pieces and at reduced sizes."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np

from pspnet_core.types import Rect, RgbImage

_SMALLEST_LEVEL_PX = 512


FileVersion = tuple[int, int, int]
"""What changes when a file is written again."""


class ImageSource(Protocol):
    """An RGB image with levels: level 0 is full size, each next one half of the one before, rounded up."""

    @property
    def width(self) -> int:
        """Of level 0, in pixels."""
        ...

    @property
    def height(self) -> int:
        """Of level 0, in pixels."""
        ...

    @property
    def num_levels(self) -> int:
        """At least 1."""
        ...

    def read(self, rect: Rect, level: int = 0) -> RgbImage:
        """The part of ``rect`` (in pixels of that level) that lies in the image: (h, w, 3) uint8 RGB."""
        ...


def num_levels_of(width: int, height: int) -> int:
    """How many levels an image of this size has: until the longest side is at most 512 px."""
    count, longest = 1, max(width, height)
    while longest > _SMALLEST_LEVEL_PX:
        longest = (longest + 1) // 2
        count += 1
    return count


def level_size(width: int, height: int, level: int) -> tuple[int, int]:
    """(width, height) of a level."""
    return -(-width >> level), -(-height >> level)


class ArraySource:
    """An image in memory as an :class:`ImageSource`; smaller levels are made when they are first asked for.

    Several threads may read at the same time.

    Args:
        image: (H, W, 3) uint8 RGB; kept, not copied, and never changed.
        file_version: Of the file before it was read; None where it comes from none.

    Raises:
        ValueError: Another shape or dtype.
    """

    def __init__(self, image: RgbImage, file_version: FileVersion | None = None) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"expected a (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
        self.file_version = file_version
        self._levels = [image]
        self._num_levels = num_levels_of(image.shape[1], image.shape[0])
        self._lock = threading.Lock()

    @property
    def image(self) -> RgbImage:
        """The whole of level 0, (H, W, 3) uint8 RGB; not to be written to."""
        return self._levels[0]

    @property
    def width(self) -> int:
        """Of level 0, in pixels."""
        return int(self._levels[0].shape[1])

    @property
    def height(self) -> int:
        """Of level 0, in pixels."""
        return int(self._levels[0].shape[0])

    @property
    def num_levels(self) -> int:
        """Levels until the longest side is at most 512 px."""
        return self._num_levels

    def read(self, rect: Rect, level: int = 0) -> RgbImage:
        """The part of ``rect`` (in pixels of that level) that lies in the image.

        Returns:
            (h, w, 3) uint8 RGB; a view of the image, not to be written to.

        Raises:
            ValueError: There is no such level.
        """
        if not 0 <= level < self._num_levels:
            raise ValueError(f"level must be 0 to {self._num_levels - 1}, got {level}")
        with self._lock:
            while len(self._levels) <= level:
                self._levels.append(_halved(self._levels[-1]))
        image = self._levels[level]
        return image[rect.intersect(Rect.of_array(image)).slices]


def _halved(image: RgbImage) -> RgbImage:
    """Means of 2 x 2 pixels; an odd last row or column is paired with itself."""
    even = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge").astype(np.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((total + 2) >> 2).astype(np.uint8)
