"""Points, paths and areas moved to the edges of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import Area, check_pixels, empty_area, mask_within, relative, tight_area
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.morphology import near
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import BoolMask, Rect, RgbImage

Floats = NDArray[np.float32]

_BLUR_PX = 1.0  # Gaussian sigma
_MARGIN_PX = 5  # what blur and gradient see around a pixel
_STEP_PX = 0.5  # of the places that a point of a path tries
_LARGEST_JUMP = 2  # in steps, from one point of a path to the next


def snap_point(pixels: RgbImage, rect: Rect, point: Point, radius_px: float, min_contrast: float = 2.0) -> Point:
    """Move a point to the strongest edge close to it.

    An edge is where the brightest change of a channel is a maximum across it; its place is found between the pixels.
    Strength counts less with distance, down to nothing just beyond the radius: the point does not slide along an edge.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB; only those around the point are looked at.
        rect: Where they lie in the image.
        point: (x, y) in image pixels.
        radius_px: How far it may move, at least 0.
        min_contrast: Change of a channel, in values of 0 to 255 per pixel, that makes an edge.

    Returns:
        (x, y) on an edge at most ``radius_px`` away; ``point`` where there is none.

    Raises:
        ValueError: The pixels do not fit the rectangle, or a number is not finite or negative.

    Source: place between the pixels: F. Devernay, "A Non-Maxima Suppression Method for Edge Detection with Sub-Pixel
        Accuracy", INRIA RR-2724, 1995.
    """
    check_pixels(rect, pixels)
    _check_numbers([point], radius_px)
    around = _around(np.array([point]), radius_px + _MARGIN_PX).intersect(rect)
    if around.is_empty:
        return point
    gx, gy = _gradient(pixels[relative(around, rect).slices])
    strength = np.hypot(gx, gy)
    rows, columns = np.nonzero(strength > min_contrast)
    if len(rows) == 0:
        return point
    here = strength[rows, columns]
    dx, dy = gx[rows, columns] / here, gy[rows, columns] / here
    before, after = _sampled(strength, columns - dx, rows - dy), _sampled(strength, columns + dx, rows + dy)
    bend = before - 2 * here + after
    offset = np.divide(0.5 * (before - after), bend, out=np.zeros_like(here), where=bend < 0)
    x = around.x + columns + 0.5 + offset * dx
    y = around.y + rows + 0.5 + offset * dy
    distance = np.hypot(x - point[0], y - point[1])
    slack = here * np.float32(1e-4)
    peak = (here >= before - slack) & (here >= after - slack) & (bend < 0) & (distance <= radius_px)
    if not peak.any():
        return point
    worth = np.where(peak, here * (1 - (distance / (radius_px + 1)) ** 2), -1)
    best = int(np.argmax(worth))
    return float(x[best]), float(y[best])


def snap_path(
    pixels: RgbImage,
    rect: Rect,
    points: Sequence[Point],
    radius_px: float,
    closed: bool = False,
    stiffness: float = 1.0,
) -> list[Point]:
    """Move a path to the edges along it.

    Each point may move across the path by at most the radius, neighbours by about the same way: of all such paths the
    one that crosses the largest change of the image wins (by dynamic programming). So the points should lie about a
    pixel or two apart (:func:`resampled_path`).

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB.
        rect: Where they lie in the image.
        points: (x, y) in image pixels, in order.
        radius_px: How far a point may move, at least 0.
        closed: Whether the last point is joined to the first.
        stiffness: What half a pixel of difference between neighbours costs, in values of 0 to 255 per pixel.

    Returns:
        As many points in the same order.

    Raises:
        ValueError: The pixels do not fit the rectangle, or a number is not finite or negative.

    Source: A. A. Amini, T. E. Weymouth and R. C. Jain, "Using Dynamic Programming for Solving Variational Problems in
        Vision", TPAMI 1990.
    """
    check_pixels(rect, pixels)
    _check_numbers(points, radius_px)
    num_steps = math.floor(radius_px / _STEP_PX)
    if len(points) < 3 or num_steps == 0:
        return list(points)
    array = np.asarray(points, np.float64)
    if closed:  # twice around: in the middle the ends do not matter
        array = np.concatenate([array, array])
    around = _around(array, radius_px + _MARGIN_PX).intersect(rect)
    if around.is_empty:
        return list(points)
    normals = _normals(array, closed)
    shifts = np.arange(-num_steps, num_steps + 1) * _STEP_PX
    places = array[:, None] + shifts[:, None] * normals[:, None]
    gx, gy = _gradient(pixels[relative(around, rect).slices])
    x, y = places[..., 0] - around.x - 0.5, places[..., 1] - around.y - 0.5
    change = np.abs(_sampled(gx, x, y) * normals[:, :1] + _sampled(gy, x, y) * normals[:, 1:])
    change[(x < -0.5) | (y < -0.5) | (x > around.w - 0.5) | (y > around.h - 0.5)] = 0
    chosen = _best_chain(change - 0.01 * np.abs(shifts), stiffness)
    result = places[np.arange(len(array)), chosen]
    if closed:
        half, quarter = len(points), len(points) // 2
        result = np.concatenate([result[half : half + quarter], result[quarter:half]])
    return [(float(px), float(py)) for px, py in result]


def resampled_path(points: Sequence[Point], step_px: float, closed: bool = False) -> list[Point]:
    """The same path told by points at equal distances.

    Args:
        points: (x, y) in order.
        step_px: About how far apart, over 0.
        closed: Whether the last point is joined to the first.

    Returns:
        Points on the path; of an open one the first and the last are kept.

    Raises:
        ValueError: The step is not over 0 or a coordinate not finite.
    """
    _check_numbers(points, 0)
    if not (math.isfinite(step_px) and step_px > 0):
        raise ValueError(f"step_px must be over 0, got {step_px}")
    if len(points) < 2:
        return list(points)
    array = np.asarray([*points, points[0]] if closed else points, np.float64)
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(array, axis=0).T))])
    if way[-1] == 0:
        return [points[0]]
    num = max(1, round(way[-1] / step_px))
    at = np.linspace(0, way[-1], num + 1)[: num if closed else None]
    return [(float(np.interp(t, way, array[:, 0])), float(np.interp(t, way, array[:, 1]))) for t in at]


def snap_area(pixels: RgbImage, rect: Rect, area: Area, radius_px: float) -> Area:
    """Move the border of an area to the edges close to it.

    What is further inside or outside than the radius stays; the band between is flooded from both sides, so that they
    meet where the image changes most.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB.
        rect: Where they lie in the image; of the area only what lies in it is returned.
        area: The area; thin parts of it may go.
        radius_px: How far the border may move; at most a little over half of the way to the innermost pixel.

    Returns:
        Rectangle and mask, owned by the caller.

    Raises:
        ValueError: The pixels do not fit the rectangle, or the radius is not finite or negative.

    Source: F. Meyer, "Color Image Segmentation", 1992 (watershed by flooding from markers, cv2.watershed).
    """
    check_pixels(rect, pixels)
    _check_numbers([], radius_px)
    margin = math.ceil(radius_px) + 2
    outer = Rect(area[0].x - margin, area[0].y - margin, area[0].w + 2 * margin, area[0].h + 2 * margin)
    outer = outer.intersect(rect)
    if outer.is_empty or area[0].is_empty:
        return empty_area()
    mask = mask_within(area, outer)
    if radius_px < 1 or not mask.any():
        return tight_area(outer, mask)
    depth = np.asarray(cv2.distanceTransform(np.pad(mask, 1, mode="edge").view(np.uint8), cv2.DIST_L2, 5))[1:-1, 1:-1]
    core = depth > min(radius_px, 0.6 * float(depth.max()))
    beyond = ~near(mask, radius_px)
    if not beyond.any():
        return tight_area(outer, mask)
    return tight_area(outer, _flooded(pixels[relative(outer, rect).slices], core, beyond))


def _around(points: NDArray[np.float64], margin_px: float) -> Rect:
    """A rectangle of whole pixels around (n, 2) points and a margin."""
    left, top = (math.floor(value - margin_px) for value in points.min(axis=0))
    right, bottom = (math.ceil(value + margin_px) for value in points.max(axis=0))
    return Rect(left, top, right - left, bottom - top)


def _flooded(pixels: RgbImage, inside: BoolMask, outside: BoolMask) -> BoolMask:
    """What the flood from ``inside`` reaches before that from ``outside``."""
    # cv2.watershed gives nothing to the outermost pixels: they get a border of copies.
    image = cv2.copyMakeBorder(np.ascontiguousarray(pixels), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    markers = np.pad(inside.astype(np.int32) + 2 * outside.astype(np.int32), 1, mode="edge")
    flooded = np.asarray(cv2.watershed(image, markers))[1:-1, 1:-1]
    won: BoolMask = flooded == 1
    # The line where the floods meet goes to the side whose colour close by is more like its own.
    rows, columns = np.nonzero(flooded == -1)
    if len(rows):
        to_inside, to_outside = (_contrast_to(pixels, flooded == n, rows, columns) for n in (1, 2))
        won[rows, columns] = to_inside < to_outside
    return won


def _contrast_to(
    pixels: RgbImage, side: BoolMask, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far the colour of each pixel is from the mean of those of ``side`` in the 5 x 5 around it."""
    total, num = np.zeros((len(rows), 3)), np.zeros(len(rows))
    for down in range(-2, 3):
        for aside in range(-2, 3):
            y, x = rows + down, columns + aside
            there = (y >= 0) & (x >= 0) & (y < side.shape[0]) & (x < side.shape[1])
            y, x = np.where(there, y, 0), np.where(there, x, 0)
            counts = there & side[y, x]
            total += np.where(counts[:, None], pixels[y, x], 0)
            num += counts
    mean = total / np.maximum(num, 1)[:, None]
    distance: NDArray[np.float64] = np.linalg.norm(pixels[rows, columns] - mean, axis=1)
    distance[num == 0] = np.inf
    return distance


def _gradient(pixels: RgbImage) -> tuple[Floats, Floats]:
    """Change per pixel in x and y of the channel that changes most at each pixel: two (h, w) float32."""
    smooth = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), _BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    gx, gy = (
        np.asarray(cv2.Scharr(smooth, cv2.CV_32F, x, 1 - x, scale=1 / 32, borderType=cv2.BORDER_REPLICATE))
        for x in (1, 0)
    )
    strongest = np.argmax(gx * gx + gy * gy, axis=2)[..., None]
    return np.take_along_axis(gx, strongest, 2)[..., 0], np.take_along_axis(gy, strongest, 2)[..., 0]


def _sampled(values: Floats, x: NDArray[np.floating], y: NDArray[np.floating]) -> Floats:
    """Values between the pixels, bilinear; ``x`` and ``y`` count from the centre of the first pixel."""
    height, width = values.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(np.int64), max(0, width - 2)), np.minimum(y.astype(np.int64), max(0, height - 2))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = values[top, left] * (1 - fx) + values[top, right] * fx
    lower = values[bottom, left] * (1 - fx) + values[bottom, right] * fx
    between: Floats = upper * (1 - fy) + lower * fy
    return between


def _normals(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """(n, 2) unit vectors across a path; where it does not move, upright."""
    if closed:
        along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    else:
        along = np.gradient(points, axis=0)
    length = np.hypot(along[:, 0], along[:, 1])
    standing = length < 1e-9
    along[standing], length[standing] = (1.0, 0.0), 1.0
    return np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]


def _best_chain(worth: NDArray[np.float64], stiffness: float) -> NDArray[np.int64]:
    """For each of n points one of its k places, so that the worth less the jumps between neighbours is largest."""
    num, num_places = worth.shape
    jumps = np.arange(-_LARGEST_JUMP, _LARGEST_JUMP + 1)
    costs = stiffness * jumps.astype(np.float64) ** 2
    came_from = np.zeros((num, num_places), np.int64)
    total = worth[0].astype(np.float64)
    for at in range(1, num):
        padded = np.pad(total, _LARGEST_JUMP, constant_values=-np.inf)
        options = np.stack([padded[_LARGEST_JUMP + jump : _LARGEST_JUMP + jump + num_places] for jump in jumps])
        options -= costs[:, None]
        best = np.argmax(options, axis=0)
        came_from[at] = np.arange(num_places) + jumps[best]
        total = options[best, np.arange(num_places)] + worth[at]
    chain = np.empty(num, np.int64)
    chain[-1] = int(np.argmax(total))
    for at in range(num - 1, 0, -1):
        chain[at - 1] = came_from[at, chain[at]]
    return chain


def _check_numbers(points: Sequence[Point], radius_px: float) -> None:
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError("a coordinate is not finite")
    if not (math.isfinite(radius_px) and radius_px >= 0):
        raise ValueError(f"radius_px must be at least 0, got {radius_px}")
