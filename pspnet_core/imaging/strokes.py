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

# So many rows of a capsule are sooner found one by one: a small brush would pay for each call of numpy, not for rows.
_FEW_ROWS = 72

# Left edges, counted with a minus, and right edges: sign, least and greatest share of the image's width.
_SIDES = [np.array([side] * 2).reshape(4, 1) for side in ((-1.0, 1.0), (-1.0, 0.0), (0.0, 1.0))]

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
        without_start: The pixels of the dab at ``p0``, which a stroke that goes on has painted before, may be left out;
            where they are many, they are.

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
    if last < first or max(p0[0], p1[0]) + radius < 0 or min(p0[0], p1[0]) - radius > shape[1]:
        return Runs.of_lists([], [], [])
    if last - first < _FEW_ROWS:
        return _few_capsule_rows(range(first, last + 1), p0, p1, radius, shape[1])
    rows = np.arange(first, last + 1)
    edges = _capsule_edges(rows, p0, p1, radius, shape[1], without_start)
    if not without_start:
        return Runs.of(rows, -edges[0], edges[1])
    return Runs.around(rows, -edges[0], edges[1], -edges[2], edges[3])


def _check_brush(p0: Point, p1: Point, diameter: float) -> None:
    if not all(map(math.isfinite, (*p0, *p1, diameter))):
        raise ValueError(f"not finite: {p0}, {p1}, diameter {diameter}")
    if diameter <= 0:
        raise ValueError(f"diameter must be over 0, got {diameter}")


def polygon_mask(
    points: Sequence[Point], shape: tuple[int, int], rule: FillRule = "even-odd", within: Rect | None = None
) -> tuple[Rect, BoolMask]:
    """The pixels whose centre lies in a polygon.

    The outline closes itself and may cross itself: by the even-odd rule what it encloses twice is outside, by
    the nonzero rule everything that it goes around is inside. A centre exactly on an edge belongs to the polygon on the
    right of it (or below, on a horizontal edge), so that polygons which share an edge neither overlap nor
    leave a gap.

    Args:
        points: Corners in order; fewer than three enclose nothing.
        shape: (H, W) of the image.
        rule: What is inside of an outline that crosses itself.
        within: Only its pixels are looked at, and found as without it; the whole image when not given.

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
    if within is not None:
        area = area.intersect(within)
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


def _few_capsule_rows(rows: range, p0: Point, p1: Point, radius: float, width: int) -> Runs:
    """As :func:`_capsule_edges`, one row after the other, by the same sums; columns clipped to ``width``."""
    (x, y), dx, dy = p0, p1[0] - p0[0], p1[1] - p0[1]
    touch, per_height = _touch(dx, dy, radius)
    square = radius * radius
    kept, starts, stops = [], [], []
    for row in rows:
        above = row + (0.5 - y)
        part = (above - touch) * per_height  # of the way, at which the disc stands
        part = 0.0 if part < 0 else min(part, 1.0)
        half = above - part * dy
        half = square - half * half
        start = max(0, -math.floor(math.sqrt(max(half, 0.0)) - (part * dx + x) + 0.5))
        part = (above + touch) * per_height
        part = 0.0 if part < 0 else min(part, 1.0)
        half = above - part * dy
        half = square - half * half
        stop = min(width, math.floor(part * dx + x + math.sqrt(max(half, 0.0)) + 0.5))
        if stop > start:
            kept.append(row)
            starts.append(start)
            stops.append(stop)
    return Runs.of_lists(kept, starts, stops)


def _touch(dx: float, dy: float, radius: float) -> tuple[float, float]:
    """How high over a row stands the middle of the disc that ends farthest left there, and way per height.

    On the right, it stands as far below.
    """
    if dy:
        return math.copysign(radius / math.hypot(dx, dy) * dx, dx * dy), 1 / dy
    return math.copysign(math.inf, dx), 1.0  # on the left the disc that is farthest left, on the right the other one


def _capsule_edges(rows: Ints, p0: Point, p1: Point, radius: float, width: int, with_dab: bool) -> Ints:
    """First column of a capsule in image rows that it meets, with a minus, and first column after it.

    On one side, a row of the capsule ends where the disc that moves along ends farthest out there. That one has its
    middle at a fixed height from the row, that of the point where the straight side touches it, or stands at an end.

    Args:
        rows: (n,).
        p0: One end of the way.
        p1: The other end.
        radius: Of the disc.
        width: Of the image, to which columns are clipped.
        with_dab: Whether to give those of the disc at ``p0``, too; 0 and 0 in rows that it does not meet.

    Returns:
        (2, n), or (4, n) with the dab.
    """
    dx, dy = p1[0] - p0[0], p1[1] - p0[1]
    height, inverse = _touch(dx, dy, radius)
    ends = [(height, inverse, dx, dy), (-height, inverse, dx, dy)]
    if with_dab:
        ends += [(0.0, 0.0, 0.0, 0.0)] * 2
    touch, per_height, along_x, along_y = np.array(ends).T[:, :, None]
    sign, low, high = (side[: len(ends)] for side in _SIDES)
    # Few passes over small arrays: this is what a small brush costs.
    above = rows + (0.5 - p0[1])
    part = (above - touch) * per_height  # of the way, at which the disc stands
    np.maximum(part, 0.0, out=part)
    np.minimum(part, 1.0, out=part)
    half = above - part * along_y
    half *= half
    np.subtract(radius * radius, half, out=half)
    part *= along_x
    part += p0[0]
    part *= sign
    if with_dab:
        misses = half[3] < 0
        part[2, misses], part[3, misses] = math.inf, -math.inf
    np.maximum(half, 0.0, out=half)  # against rounding
    part += np.sqrt(half, out=half)
    part += 0.5
    np.floor(part, out=part)
    np.maximum(part, low * width, out=part)
    np.minimum(part, high * width, out=part)
    columns: Ints = part.astype(np.intp)
    return columns


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
