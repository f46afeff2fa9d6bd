"""Rectangle, ellipse, lasso and the square brush as (rectangle, mask).

Points are (x, y) in image pixels; the centre of the pixel in column c and row r lies at (c + 0.5, r + 0.5). A pixel
belongs to a shape when its centre does. Everything is clipped to the image; what holds no centre is the empty area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pspnet_core.imaging.areas import Area, area_of_runs, empty_area
from pspnet_core.imaging.runs import Ints, Runs
from pspnet_core.imaging.strokes import Point, pixel_line, polygon_mask

# Centres exactly on an ellipse belong to it, whatever the rounding of the square root.
_TOLERANCE = 1e-9

_GRID = 1 << 24  # steps of a pixel


def whole_pixels(p0: Point, p1: Point) -> tuple[Point, Point]:
    """The corners of the pixels under two points and all between: top left and bottom right, whole numbers.

    A rectangle or an ellipse that is drawn from one pixel to another holds both of them with these corners.

    Raises:
        ValueError: A coordinate is not finite.
    """
    _check_finite(p0, p1)
    (x0, x1), (y0, y1) = sorted((p0[0], p1[0])), sorted((p0[1], p1[1]))
    return (math.floor(x0), math.floor(y0)), (math.floor(x1) + 1, math.floor(y1) + 1)


def square_corner(p0: Point, p1: Point) -> Point:
    """The corner nearest to ``p1`` on the same side of ``p0`` that makes the box between them a square.

    Raises:
        ValueError: A coordinate is not finite.
    """
    _check_finite(p0, p1)
    side = max(abs(p1[0] - p0[0]), abs(p1[1] - p0[1]))
    return p0[0] + math.copysign(side, p1[0] - p0[0]), p0[1] + math.copysign(side, p1[1] - p0[1])


def rectangle(p0: Point, p1: Point, shape: tuple[int, int]) -> Area:
    """The pixels whose centre lies in an upright rectangle.

    Centres exactly on the left and upper side belong to it, those on the right and lower side do not, as of a
    polygon: rectangles that share a side neither overlap nor leave a gap.

    Args:
        p0: A corner.
        p1: The opposite corner, on any side of ``p0``.
        shape: (H, W) of the image.

    Returns:
        The rectangle clipped to the image and a (rect.h, rect.w) mask that is True everywhere, owned by the caller.

    Raises:
        ValueError: A coordinate is not finite.
    """
    _check_finite(p0, p1)
    (x0, x1), (y0, y1) = sorted((p0[0], p1[0])), sorted((p0[1], p1[1]))
    first, stop = max(0, math.ceil(y0 - 0.5)), min(shape[0], math.ceil(y1 - 0.5))
    if first >= stop:
        return empty_area()
    rows = np.ones(stop - first)
    return area_of_runs(first, rows * math.ceil(x0 - 0.5), rows * math.ceil(x1 - 0.5), shape)


def ellipse(p0: Point, p1: Point, shape: tuple[int, int]) -> Area:
    """The pixels whose centre lies in the upright ellipse that touches the four sides of a box, or on it.

    In a box of d by d pixels it is the dab of the round brush of diameter d.

    Args:
        p0: A corner of the box.
        p1: The opposite corner, on any side of ``p0``; a box without width or height holds nothing.
        shape: (H, W) of the image.

    Returns:
        The smallest rectangle around the pixels and a (rect.h, rect.w) bool mask, owned by the caller.

    Raises:
        ValueError: A coordinate is not finite.
    """
    _check_finite(p0, p1)
    (x0, x1), (y0, y1) = sorted((p0[0], p1[0])), sorted((p0[1], p1[1]))
    half_w, half_h = (x1 - x0) / 2, (y1 - y0) / 2
    if half_w <= 0 or half_h <= 0:
        return empty_area()
    first = max(0, math.ceil(y0 - _TOLERANCE - 0.5))
    last = min(shape[0] - 1, math.floor(y1 + _TOLERANCE - 0.5))
    if first > last:
        return empty_area()
    across = (np.arange(first, last + 1) + 0.5 - (y0 + y1) / 2) / half_h
    half = half_w * np.sqrt(np.maximum(1.0 - across * across, 0.0)) + _TOLERANCE
    centre = (x0 + x1) / 2
    return area_of_runs(first, np.ceil(centre - half - 0.5), np.floor(centre + half - 0.5) + 1, shape)


def lasso(points: Sequence[Point], shape: tuple[int, int]) -> Area:
    """The pixels whose centre a freehand path goes around, once its ends are joined by a straight line.

    Other than in a polygon (even-odd rule) what the hand goes around twice, as where the end of the path crosses its
    beginning, is inside (nonzero rule).

    Args:
        points: The path; fewer than three points enclose nothing.
        shape: (H, W) of the image.

    Returns:
        The smallest rectangle around the pixels and a (rect.h, rect.w) bool mask, owned by the caller.

    Raises:
        ValueError: A coordinate is not finite.
    """
    return polygon_mask(points, shape, "nonzero")


def square_segment(p0: Point, p1: Point, side: float, shape: tuple[int, int]) -> Area:
    """The pixels that an upright square brush covers while it moves in a straight line.

    The square is half-open (its left and upper side do not belong to it), so that one of n px covers n by n pixels
    wherever it stands, that of 1 px the pixel under the point. A brush of at most 1 px paints the gapless line of
    single pixels. What the square sweeps is convex, hence each image row is one run, found in closed form.

    Args:
        p0: Where the middle of the brush comes from.
        p1: Where it goes; equal to ``p0`` for a dab.
        side: In image pixels, over 0.
        shape: (H, W) of the image.

    Returns:
        The smallest rectangle around the painted pixels and a (rect.h, rect.w) bool mask, owned by the caller.

    Raises:
        ValueError: A coordinate is not finite or the side not positive.
    """
    return square_runs(p0, p1, side, shape).to_area()


def square_runs(p0: Point, p1: Point, side: float, shape: tuple[int, int], without_start: bool = False) -> Runs:
    """The pixels of :func:`square_segment`, row by row.

    Args:
        p0: Where the middle of the brush comes from.
        p1: Where it goes; equal to ``p0`` for a dab.
        side: In image pixels, over 0.
        shape: (H, W) of the image.
        without_start: Leave out the pixels of the dab at ``p0``, which a stroke that goes on has painted before.

    Returns:
        The runs, clipped to the image.

    Raises:
        ValueError: A coordinate is not finite or the side not positive.
    """
    _check_finite(p0, p1)
    if not (math.isfinite(side) and side > 0):
        raise ValueError(f"side must be over 0, got {side}")
    if side <= 1:
        return Runs.of_area(pixel_line(p0, p1, shape))
    # On this grid sums are exact: else rounding could give the square one row more on one side.
    start, end = ((_on_grid(x), _on_grid(y)) for x, y in (p0, p1))
    rows, starts, stops = _square_edges(start, end, side, shape)
    if not without_start:
        return Runs.of(rows, starts, stops)
    own, *dab = _square_edges(start, start, side, shape)
    near, far = np.zeros_like(rows), np.zeros_like(rows)
    if len(own):
        first = int(own[0] - rows[0])
        near[first : first + len(own)], far[first : first + len(own)] = dab
    return Runs.around(rows, starts, stops, near, far)


def _square_edges(p0: Point, p1: Point, side: float, shape: tuple[int, int]) -> tuple[Ints, Ints, Ints]:
    """Rows, first columns and first columns after the pixels that a square sweeps; clipped to the image."""
    (x0, y0), (x1, y1) = sorted((p0, p1), key=lambda point: point[1])
    half = side / 2
    first = max(0, math.floor(y0 - half - 0.5) + 1)
    last = min(shape[0] - 1, math.floor(y1 + half - 0.5))
    rows = np.arange(first, max(first, last + 1))
    centres = rows + 0.5
    if y1 > y0:
        # The part of the way, 0 to 1, on which the square covers the height of each row.
        enters = np.clip((centres - half - y0) / (y1 - y0), 0.0, 1.0)
        leaves = np.clip((centres + half - y0) / (y1 - y0), 0.0, 1.0)
    else:
        enters, leaves = np.zeros(len(centres)), np.ones(len(centres))
    at_entry, at_exit = x0 + enters * (x1 - x0), x0 + leaves * (x1 - x0)
    left, right = np.minimum(at_entry, at_exit) - half, np.maximum(at_entry, at_exit) + half
    start, stop = np.clip(np.floor(left - 0.5) + 1, 0, shape[1]), np.clip(np.floor(right - 0.5) + 1, 0, shape[1])
    return rows, start.astype(np.intp), stop.astype(np.intp)


def _on_grid(value: float) -> float:
    return round(value * _GRID) / _GRID


def _check_finite(*points: Point) -> None:
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError(f"not finite: {points}")
