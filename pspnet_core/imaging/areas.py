"""Sets of pixels as (rectangle, mask), in image coordinates: what every tool of the canvas works out.

The rectangle is the smallest one around the pixels; with no pixel it is ``Rect(0, 0, 0, 0)`` and the mask has the
shape (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import BoolMask, Rect

Area = tuple[Rect, BoolMask]
"""A rectangle in the image and a (rect.h, rect.w) bool mask of the pixels in it that belong."""


def empty_area() -> Area:
    """No pixel at all."""
    return Rect(0, 0, 0, 0), np.zeros((0, 0), np.bool_)


def tight_area(rect: Rect, mask: BoolMask) -> Area:
    """The pixels of ``mask`` in the smallest rectangle around them.

    Args:
        rect: Where the mask lies in the image.
        mask: (rect.h, rect.w) bool.

    Returns:
        Rectangle and mask, owned by the caller.

    Raises:
        ValueError: The shape does not fit the rectangle.
    """
    check_fits(rect, mask, np.bool_)
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return empty_area()
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return Rect(rect.x + left, rect.y + top, right - left, bottom - top), mask[top:bottom, left:right].copy()


def area_of_runs(first_row: int, start: NDArray[np.float64], end: NDArray[np.float64], shape: tuple[int, int]) -> Area:
    """An area of which each image row is one run of pixels.

    Args:
        first_row: Image row of the first run, 0 to H - 1; the others follow below and stay in the image.
        start: (n,) first column of each run, whole numbers; may lie outside of the image.
        end: (n,) first column after it; not above ``start`` where the row has no pixel.
        shape: (H, W) of the image.

    Returns:
        Rectangle and mask, owned by the caller, clipped to the image.
    """
    start, end = np.clip(start, 0, shape[1]), np.clip(end, 0, shape[1])
    rows = np.flatnonzero(start < end)
    if len(rows) == 0:
        return empty_area()
    used = slice(int(rows[0]), int(rows[-1]) + 1)
    x, right = int(start[rows].min()), int(end[rows].max())
    columns = np.arange(x, right, dtype=np.int32)
    begin, stop = start[used].astype(np.int32)[:, None], end[used].astype(np.int32)[:, None]
    mask: BoolMask = (columns >= begin) & (columns < stop)
    return Rect(x, first_row + used.start, right - x, used.stop - used.start), mask


def mask_within(area: Area, rect: Rect) -> BoolMask:
    """The part of an area that lies in ``rect``, as a mask of that rectangle: (rect.h, rect.w) bool, a copy."""
    out = np.zeros((rect.h, rect.w), np.bool_)
    common = area[0].intersect(rect)
    if not common.is_empty:
        out[relative(common, rect).slices] = area[1][relative(common, area[0]).slices]
    return out


def united(areas: Sequence[Area]) -> Area:
    """The pixels of any of the areas. The mask covers the rectangle around all of them."""
    around = Rect(0, 0, 0, 0)
    for rect, _ in areas:
        around = around.union(rect)
    mask = np.zeros((around.h, around.w), np.bool_)
    for rect, part in areas:
        if not rect.is_empty:
            mask[relative(rect, around).slices] |= part
    return around, mask


def without(area: Area, other: Area) -> Area:
    """The pixels of ``area`` that are not in ``other``."""
    return tight_area(area[0], area[1] & ~mask_within(other, area[0]))


def common(area: Area, other: Area) -> Area:
    """The pixels that are in both areas."""
    rect = area[0].intersect(other[0])
    return tight_area(rect, mask_within(area, rect) & mask_within(other, rect))


def pixel_under(point: tuple[float, float], rect: Rect) -> tuple[int, int] | None:
    """Row and column, counted from the corner of ``rect``, of the pixel under a point of the image; None outside.

    Raises:
        ValueError: The point is not finite.
    """
    if not all(map(math.isfinite, point)):
        raise ValueError(f"not finite: {point}")
    column, row = math.floor(point[0]) - rect.x, math.floor(point[1]) - rect.y
    return (row, column) if 0 <= row < rect.h and 0 <= column < rect.w else None


def num_pixels(area: Area) -> int:
    """How many pixels belong to the area."""
    return int(np.count_nonzero(area[1]))


def relative(rect: Rect, outer: Rect) -> Rect:
    """``rect`` in coordinates that begin at the corner of ``outer``."""
    return Rect(rect.x - outer.x, rect.y - outer.y, rect.w, rect.h)


def check_fits(rect: Rect, array: NDArray[np.generic], dtype: type[np.generic]) -> None:
    """Refuse an array (h, w) or (h, w, 3) that does not fit the rectangle it is said to lie in.

    Raises:
        ValueError: Its shape or dtype does not fit.
    """
    if array.shape[:2] != (rect.h, rect.w) or array.dtype != dtype:
        raise ValueError(f"expected ({rect.h}, {rect.w}) {np.dtype(dtype)} for {rect}, got {array.shape} {array.dtype}")


def check_pixels(rect: Rect, pixels: NDArray[np.uint8]) -> None:
    """Refuse anything but the (rect.h, rect.w, 3) uint8 RGB pixels of a rectangle that is not empty.

    Raises:
        ValueError: It is something else.
    """
    if rect.is_empty or pixels.shape != (rect.h, rect.w, 3) or pixels.dtype != np.uint8:
        raise ValueError(f"expected the RGB pixels of {rect} as uint8, got {pixels.shape} {pixels.dtype}")
