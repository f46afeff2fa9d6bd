"""From pointer positions to pixels: brush segments and polygons as (rectangle, mask).

Points are (x, y) in image pixels; the centre of the pixel in column c and row r lies at (c + 0.5, r + 0.5).
Everything is clipped to the image: a rectangle may be empty, its mask then has the shape (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import empty_area, tight_area
from pspnet_core.imaging.runs import Ints, Runs
from pspnet_core.types import BoolMask, Rect

Point = tuple[float, float]
Floats = NDArray[np.float64]
FillRule = Literal["even-odd", "nonzero"]

# Below this a disc need not hold any pixel centre (the centre may be half a pixel diagonal away), so that a
# stroke would have gaps: such a brush paints the line of single pixels instead.
_THINNEST_DISC_PX = math.sqrt(2.0)

# Pixel centres at exactly the radius belong to the brush, whatever the rounding of the square root.
_TOLERANCE_PX = 1e-9


def brush_segment(p0: Point, p1: Point, diameter: float, shape: tuple[int, int]) -> tuple[Rect, BoolMask]:
    """The pixels that a round brush covers while it moves in a straight line.

    They are those whose centre is at most ``diameter / 2`` away from the segment (a capsule). A brush thinner
    than the diagonal of a pixel paints the gapless line from the pixel under ``p0`` to the pixel under
    ``p1``.

    Args:
        p0: Where the brush comes from.
        p1: Where it goes; equal to ``p0`` for a dab.
        diameter: In image pixels, over 0.
        shape: (H, W) of the image.

    Returns:
        The smallest rectangle around the painted pixels and a (rect.h, rect.w) bool mask, owned by the
        caller.

    Raises:
        ValueError: A coordinate is not finite or the diameter not positive.
    """
    _check_brush(p0, p1, diameter)
    if diameter < _THINNEST_DISC_PX:
        return pixel_line(p0, p1, shape)
    return brush_runs(p0, p1, diameter, shape).to_area()


def brush_runs(p0: Point, p1: Point, diameter: float, shape: tuple[int, int], without_start: bool = False) -> Runs:
    """The pixels of :func:`brush_segment`, row by row.

    The capsule is convex, hence each image row is one run, found in closed form: the cost is that of the rows.

    Args:
        p0: Where the brush comes from.
        p1: Where it goes; equal to ``p0`` for a dab.
        diameter: In image pixels, over 0.
        shape: (H, W) of the image.
        without_start: Leave out the pixels of the dab at ``p0``, which a stroke that goes on has painted before.

    Returns:
        The runs, clipped to the image.

    Raises:
        ValueError: A coordinate is not finite or the diameter not positive.
    """
    _check_brush(p0, p1, diameter)
    if diameter < _THINNEST_DISC_PX:
        return Runs.of_area(pixel_line(p0, p1, shape))
    radius = diameter / 2 + _TOLERANCE_PX
    first = max(0, math.ceil(min(p0[1], p1[1]) - radius - 0.5))
    last = min(shape[0] - 1, math.floor(max(p0[1], p1[1]) + radius - 0.5))
    rows = np.arange(first, max(first, last + 1))
    dab, left, right = _capsule_edges(rows, p0, p1, radius)
    starts, stops = _columns(left, right, shape[1])
    if not without_start or dab.stop <= dab.start:
        return Runs.of(rows, starts, stops)
    half = _half_widths(rows[dab], p0[1], radius)
    return Runs.around(rows, starts, stops, dab, *_columns(p0[0] - half, p0[0] + half, shape[1]))


def _check_brush(p0: Point, p1: Point, diameter: float) -> None:
    if not all(map(math.isfinite, (*p0, *p1, diameter))):
        raise ValueError(f"not finite: {p0}, {p1}, diameter {diameter}")
    if diameter <= 0:
        raise ValueError(f"diameter must be over 0, got {diameter}")


def polygon_mask(points: Sequence[Point], shape: tuple[int, int], rule: FillRule = "even-odd") -> tuple[Rect, BoolMask]:
    """The pixels whose centre lies in a polygon.

    The outline closes itself and may cross itself: by the even-odd rule what it encloses twice is outside, by
    the nonzero rule everything that it goes around is inside. A centre exactly on an edge belongs to the polygon on the
    right of it (or below, on a horizontal edge), so that polygons which share an edge neither overlap nor
    leave a gap.

    Args:
        points: Corners in order; fewer than three enclose nothing.
        shape: (H, W) of the image.
        rule: What is inside of an outline that crosses itself.

    Returns:
        The smallest rectangle around the pixels and a (rect.h, rect.w) bool mask, owned by the caller.

    Raises:
        ValueError: A coordinate is not finite.
    """
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if not np.isfinite(corners).all():
        raise ValueError("a corner is not finite")
    if len(corners) < 3:
        return empty_area()
    area = _pixels_between(corners.min(0), corners.max(0), shape)
    if area.is_empty:
        return empty_area()
    # At each crossing of a row with an edge everything to the right of it changes between outside and inside, or
    # is gone around once more or once less.
    rows, columns, turns = _crossings(corners, area)
    if rule == "even-odd":
        table = np.zeros((area.h, area.w + 1), np.uint8)
        np.bitwise_xor.at(table, (rows, columns), 1)
        np.bitwise_xor.accumulate(table, axis=1, out=table)
        inside: BoolMask = table[:, :-1].view(np.bool_)
    else:
        winding = np.zeros((area.h, area.w + 1), np.int32)
        np.add.at(winding, (rows, columns), turns)
        np.add.accumulate(winding, axis=1, out=winding)
        inside = winding[:, :-1] != 0
    return tight_area(area, inside)


def _capsule_edges(rows: Ints, p0: Point, p1: Point, radius: float) -> tuple[slice, Floats, Floats]:
    """Left and right edge of a capsule in image rows, all of which it meets.

    Returns:
        Which of the rows the disc at ``p0`` meets, and the edges, left > right where nothing is met.
    """
    (x0, y0), (x1, y1) = p0, p1
    left, right = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    dab = _rows_between(rows, y0 - radius, y0 + radius)
    for (cx, cy), met in ((p0, dab), (p1, _rows_between(rows, y1 - radius, y1 + radius))):
        half = _half_widths(rows[met], cy, radius)
        np.minimum(left[met], cx - half, out=left[met])
        np.maximum(right[met], cx + half, out=right[met])
    dx, dy = x1 - x0, y1 - y0
    if dy == 0:  # the discs meet the same rows, and the straight sides none
        return dab, left, right
    # The straight sides, from disc to disc at the radius on both hands of the way.
    step = radius / math.hypot(dx, dy)
    across_x, across_y = step * abs(dy), step * math.copysign(dx, dx * dy)
    for edge, side_x, side_y, better in (
        (left, -across_x, across_y, np.minimum),
        (right, across_x, -across_y, np.maximum),
    ):
        met = _rows_between(rows, min(y0, y1) + side_y, max(y0, y1) + side_y)
        x = (rows[met] + (0.5 - y0 - side_y)) * (dx / dy) + (x0 + side_x)
        np.clip(x, min(x0, x1) + side_x, max(x0, x1) + side_x, out=x)  # against rounding where it is all but flat
        better(edge[met], x, out=edge[met])
    return dab, left, right


def _rows_between(rows: Ints, top: float, bottom: float) -> slice:
    """Those of consecutive image rows whose centres lie between two heights."""
    if len(rows) == 0:
        return slice(0, 0)
    first, last = int(rows[0]), int(rows[-1])
    start = max(first, math.ceil(max(top, first) - 0.5))
    stop = min(last, math.floor(min(bottom, last + 1) - 0.5)) + 1
    return slice(start - first, max(start, stop) - first)


def _half_widths(rows: Ints, y: float, radius: float) -> Floats:
    """How far a disc with its centre at the height ``y`` reaches to both sides in rows that it meets."""
    squared = rows + (0.5 - y)
    squared *= squared
    np.subtract(radius * radius, squared, out=squared)
    np.maximum(squared, 0.0, out=squared)  # against rounding
    half: Floats = np.sqrt(squared, out=squared)
    return half


def _columns(left: Floats, right: Floats, width: int) -> tuple[Ints, Ints]:
    """First and last but one column whose centre lies between two edges, clipped to the image."""
    start, stop = np.ceil(left - 0.5), np.floor(right + 0.5)
    for edge in (start, stop):  # np.clip would take twice the time of a small brush
        np.maximum(edge, 0.0, out=edge)
        np.minimum(edge, width, out=edge)
    return start.astype(np.intp), stop.astype(np.intp)


def pixel_line(p0: Point, p1: Point, shape: tuple[int, int]) -> tuple[Rect, BoolMask]:
    """The line of single pixels from under ``p0`` to under ``p1``, each 8-connected to the one before.

    Args:
        p0: One end, in image pixels, finite.
        p1: The other end; the order does not matter.
        shape: (H, W) of the image.

    Returns:
        The smallest rectangle around the pixels that lie in the image and a (rect.h, rect.w) bool mask, owned by
        the caller.
    """
    x0, y0, x1, y1 = (math.floor(v) for v in (*p0, *p1))
    flat = abs(x1 - x0) >= abs(y1 - y0)
    a0, b0, a1, b1 = (x0, y0, x1, y1) if flat else (y0, x0, y1, x1)
    if a0 > a1:
        a0, b0, a1, b1 = a1, b1, a0, b0
    size_a, size_b = (shape[1], shape[0]) if flat else shape
    a = np.arange(max(0, a0), min(size_a - 1, a1) + 1)
    slope = (b1 - b0) / (a1 - a0) if a1 > a0 else 0.0
    b = np.floor(b0 + slope * (a - a0) + 0.5).astype(np.int64)
    kept = (b >= 0) & (b < size_b)
    if not kept.any():
        return empty_area()
    columns, rows = (a[kept], b[kept]) if flat else (b[kept], a[kept])
    rect = Rect(int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    mask = np.zeros((rect.h, rect.w), np.bool_)
    mask[rows - rect.y, columns - rect.x] = True
    return rect, mask


def _crossings(corners: Floats, area: Rect) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Where the centre lines of the rows of ``area`` cross edges.

    Returns:
        For each crossing its row and the first column whose pixel centre is not left of it (0 to area.w),
        both relative to ``area``, and 1 where the edge runs down, -1 where it runs up.
    """
    after = np.roll(corners, -1, axis=0)
    upward = (corners[:, 1] > after[:, 1])[:, None]
    top, low = np.where(upward, after, corners), np.where(upward, corners, after)
    # Half-open in y: a row through a corner meets one of its two edges, and never a horizontal edge.
    first = np.clip(np.ceil(top[:, 1] - 0.5), area.y, area.bottom).astype(np.int64)
    stop = np.clip(np.ceil(low[:, 1] - 0.5), area.y, area.bottom).astype(np.int64)
    num_rows = stop - first
    edge = np.repeat(np.arange(len(corners)), num_rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(num_rows) - num_rows, num_rows) + first[edge]
    rise = low[edge, 1] - top[edge, 1]
    x = top[edge, 0] + (row + 0.5 - top[edge, 1]) * ((low[edge, 0] - top[edge, 0]) / rise)
    column = np.clip(np.ceil(x - 0.5), area.x, area.right).astype(np.int64)
    return row - area.y, column - area.x, np.where(upward[edge, 0], -1, 1).astype(np.int32)


def _pixels_between(low: Floats, high: Floats, shape: tuple[int, int]) -> Rect:
    """The pixels of the image whose centres can lie between two corners of a box."""
    x, y = (max(0, math.ceil(float(v) - 0.5)) for v in low)
    right, bottom = (min(size, math.floor(float(v) + 0.5)) for v, size in zip(high, shape[::-1], strict=True))
    return Rect(x, y, max(0, right - x), max(0, bottom - y))
