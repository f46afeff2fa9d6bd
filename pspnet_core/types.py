"""Small shared types: rectangles, array aliases, provenance, predictions.

Arrays are indexed [row, column]; points are (x, y) in image pixels with pixel centres at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNLABELLED = 255
"""Class id of an unlabelled pixel: never in a loss, never in a metric."""

RgbImage = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, displayed orientation."""

ClassMap = NDArray[np.uint8]
"""(H, W) uint8 class ids, 255 = unlabelled."""

ProvenanceMap = NDArray[np.uint8]
"""(H, W) uint8 of :class:`Provenance` values."""

BoolMask = NDArray[np.bool_]
"""(H, W) bool."""


class Provenance(IntEnum):
    """Where a pixel's class comes from. A prediction may change only ``UNTOUCHED`` and ``ACCEPTED``."""

    UNTOUCHED = 0
    ACCEPTED = 1
    PAINTED = 2
    ERASED = 3
    IMPORTED = 4


class Rect(NamedTuple):
    """A half-open pixel rectangle: columns ``x .. x + w - 1``, rows ``y .. y + h - 1``."""

    x: int
    y: int
    w: int
    h: int

    @property
    def right(self) -> int:
        """First column after the rectangle."""
        return self.x + self.w

    @property
    def bottom(self) -> int:
        """First row after the rectangle."""
        return self.y + self.h

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.w <= 0 or self.h <= 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array: ``array[rect.slices]``."""
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def intersect(self, other: Rect) -> Rect:
        """Common part; empty (w = h = 0) when there is none."""
        # Called some dozen times for each move of the pointer: unpacked and compared by hand, it takes a third.
        x, y, w, h = self
        other_x, other_y, other_w, other_h = other
        right, bottom = x + w, y + h
        if other_x + other_w < right:
            right = other_x + other_w
        if other_y + other_h < bottom:
            bottom = other_y + other_h
        if other_x > x:
            x = other_x
        if other_y > y:
            y = other_y
        return Rect(x, y, right - x, bottom - y) if right > x and bottom > y else Rect(x, y, 0, 0)

    def union(self, other: Rect) -> Rect:
        """Smallest rectangle around both; an empty one does not count."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Rect(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    @staticmethod
    def of_array(array: NDArray[np.generic]) -> Rect:
        """The whole of an array of shape (H, W, ...)."""
        return Rect(0, 0, int(array.shape[1]), int(array.shape[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says about a whole image.

    Attributes:
        class_map: (H, W) uint8 class ids (argmax), never 255.
        confidence: (H, W) uint8, round(255 x maximum probability).
        margin: (H, W) uint8, round(255 x (highest - second highest probability)), where it was asked for.
        cell_px: Side of the squares of one class and confidence that it consists of; 1 where pixels differ.
    """

    class_map: ClassMap
    confidence: NDArray[np.uint8]
    margin: NDArray[np.uint8] | None = None
    cell_px: float = 1.0

    def __post_init__(self) -> None:
        assert self.class_map.shape == self.confidence.shape
        assert self.class_map.dtype == np.uint8
        assert self.confidence.dtype == np.uint8
        assert self.margin is None or self.margin.shape == self.class_map.shape
