"""Outlines of any length and shapes of any size, worked out in pieces."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from pspnet_core.imaging.areas import Area
from pspnet_core.imaging.strokes import FillRule, Point, polygon_mask
from pspnet_core.types import Rect, RgbImage

_TILE_PX = 1024
_STEP_PX = 1.5  # between the points of a path that is moved to edges,
_STEPS_PER_RADIUS = 12  # or this part of the way they may move: far ways are wanted where little is seen of the image
_PIECE, _OVERLAP = 160, 24  # points
_MARGIN_PX = 6  # what is looked at beyond the way a point may move


def in_tiles(part: Callable[[float, float, tuple[int, int]], Area], bounds: Rect) -> Iterator[Area]:
    """A shape in tiles, so that no mask is larger than 1024 x 1024 pixels.

    Args:
        part: The shape moved by so many columns and rows, as an area of an image (H, W) of this size.
        bounds: The pixels of the image around all of it.

    Yields:
        Disjoint areas in image coordinates, owned by the caller; none is empty.
    """
    for tile in _tiles(bounds):
        rect, mask = part(-tile.x, -tile.y, (tile.h, tile.w))
        if not rect.is_empty:
            yield Rect(rect.x + tile.x, rect.y + tile.y, rect.w, rect.h), mask


def polygon_tiles(points: Sequence[Point], shape: tuple[int, int], rule: FillRule) -> Iterator[Area]:
    """The pixels whose centre lies in a polygon, in tiles; see :func:`~pspnet_core.imaging.strokes.polygon_mask`.

    Args:
        points: Corners in order, finite.
        shape: (H, W) of the image.
        rule: What is inside of an outline that crosses itself.

    Yields:
        Disjoint areas in image coordinates, owned by the caller.
    """
    if len(points) < 3:
        return
    for tile in _tiles(_around(points, 0).intersect(Rect(0, 0, shape[1], shape[0]))):
        area = polygon_mask(points, shape, rule, tile)
        if not area[0].is_empty:
            yield area


def snapped_outline(
    read: Callable[[Rect], RgbImage], shape: tuple[int, int], points: Sequence[Point], radius_px: float
) -> list[Point]:
    """Move a closed path to the edges of the image along it, piece by piece.

    Pieces overlap by 24 points on both sides; only what lies around a piece is read.

    Args:
        read: Gives the (h, w, 3) uint8 RGB pixels of a rectangle inside of the image.
        shape: (H, W) of the image.
        points: (x, y) in image pixels, in order; the last is joined to the first.
        radius_px: How far a point may move, at least 0.

    Returns:
        Points about 1.5 px, or a twelfth of the radius, apart; ``points`` with fewer than three or a radius below 1.

    Raises:
        ValueError: A coordinate is not finite, or the radius negative.
    """
    from pspnet_core.imaging.snap import resampled_path, snap_path  # OpenCV: not before somebody snaps

    if len(points) < 3 or radius_px < 1:
        return list(points)
    path = resampled_path(points, max(_STEP_PX, radius_px / _STEPS_PER_RADIUS), closed=True)
    bounds = Rect(0, 0, shape[1], shape[0])
    num = len(path)
    is_short = num <= _PIECE + 2 * _OVERLAP
    moved: list[Point] = []
    for start in range(0, num, num if is_short else _PIECE):
        stop = num if is_short else min(num, start + _PIECE)
        before = 0 if is_short else _OVERLAP
        piece = [path[at % num] for at in range(start - before, stop + before)]
        rect = _around(piece, radius_px + _MARGIN_PX).intersect(bounds)
        if not rect.is_empty:
            piece = snap_path(read(rect), rect, piece, radius_px, closed=is_short)
        moved += piece[before : before + stop - start]
    return moved


def _tiles(bounds: Rect) -> Iterator[Rect]:
    for y in range(bounds.y, bounds.bottom, _TILE_PX):
        for x in range(bounds.x, bounds.right, _TILE_PX):
            yield Rect(x, y, _TILE_PX, _TILE_PX).intersect(bounds)


def _around(points: Sequence[Point], margin_px: float) -> Rect:
    """A rectangle of whole pixels around points and a margin."""
    xs, ys = zip(*points, strict=True)
    x, y = math.floor(min(xs) - margin_px), math.floor(min(ys) - margin_px)
    return Rect(x, y, math.ceil(max(xs) + margin_px) - x, math.ceil(max(ys) + margin_px) - y)
