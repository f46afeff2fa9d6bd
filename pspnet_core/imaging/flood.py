"""Connected regions that grow tile by tile: a small region of a gigapixel plane costs only the tiles it lies in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pspnet_core.errors import SelectionError
from pspnet_core.imaging.areas import Area, empty_area, pixel_under, tight_area, united
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.planes import TILE_PX
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import BoolMask, ClassMap, Rect

Connectivity = Literal[4, 8]
"""Neighbours of a pixel: those that share a side, or also those that share a corner."""

MAX_PIXELS = 1 << 28
"""Largest region that is followed when the caller sets no bound: 16384 x 16384 pixels, one byte each."""

_Key = tuple[int, int]
_Places = NDArray[np.int64]


def connected_tiles(
    matches: Callable[[Rect], BoolMask],
    seed: Point,
    shape: tuple[int, int],
    *,
    max_pixels: int = MAX_PIXELS,
    connectivity: Connectivity = 4,
) -> list[Area]:
    """The connected region of matching pixels around a point, in pieces.

    Args:
        matches: Gives for a rectangle inside of the image a (rect.h, rect.w) bool mask of the pixels that may
            belong; asked for whole tiles of 512 px, some more than once, and only for those that the region touches
            or lies beside.
        seed: (x, y) in image pixels.
        shape: (H, W) of the image.
        max_pixels: The largest region that is wanted.
        connectivity: 4: pixels that share a side are connected; 8: also those that share a corner.

    Returns:
        One area per tile, from top left to bottom right; none where the seed lies outside of the image or does not
        match. They are disjoint and owned by the caller.

    Raises:
        SelectionError: The region has more than ``max_pixels`` pixels.
        ValueError: The seed is not finite, or the connectivity neither 4 nor 8.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, got {connectivity}")
    bounds = Rect(0, 0, shape[1], shape[0])
    start = pixel_under(seed, bounds)
    if start is None:
        return []
    reached: dict[_Key, BoolMask] = {}
    pending: dict[_Key, list[_Places]] = {(start[0] // TILE_PX, start[1] // TILE_PX): [np.array([start])]}
    total = 0
    while pending:
        key = next(iter(pending))  # first in, first out: a tile waits until all its neighbours have reached it
        entries = np.concatenate(pending.pop(key))
        tile = _tile(key, bounds)
        fresh = _fresh(matches(tile), reached.get(key), entries - (tile.y, tile.x), connectivity)
        if fresh is None:
            continue
        total += int(np.count_nonzero(fresh))
        if total > max_pixels:
            raise _too_large(max_pixels)
        reached[key] = reached[key] | fresh if key in reached else fresh
        for neighbour, places in _exits(fresh, key, connectivity):
            beside = _tile(neighbour, bounds)
            if neighbour in reached:
                rows, columns = (places - (beside.y, beside.x)).T
                places = places[~reached[neighbour][rows, columns]]
            if len(places) and not beside.is_empty:
                pending.setdefault(neighbour, []).append(places)
    return [tight_area(_tile(key, bounds), reached[key]) for key in sorted(reached)]


def flood_tiles(
    read: Callable[[Rect], ClassMap],
    seed: Point,
    shape: tuple[int, int],
    *,
    max_pixels: int = MAX_PIXELS,
    connectivity: Connectivity = 4,
) -> list[Area]:
    """The connected region of the class under a point, in pieces; for regions of any size.

    Args:
        read: Gives the class ids of a rectangle inside of the image, as ``PlaneStore.read`` does.
        seed: (x, y) in image pixels.
        shape: (H, W) of the image.
        max_pixels: The largest region that is wanted.
        connectivity: 4, so that a fill does not slip through a diagonal line, or 8.

    Returns:
        One area per tile of 512 px, disjoint, owned by the caller; none where the seed lies outside of the image.

    Raises:
        SelectionError: The region has more than ``max_pixels`` pixels.
        ValueError: The seed is not finite, or the connectivity neither 4 nor 8.
    """
    start = pixel_under(seed, Rect(0, 0, shape[1], shape[0]))
    if start is None:
        return []
    class_id = int(read(Rect(start[1], start[0], 1, 1))[0, 0])

    def matches(rect: Rect) -> BoolMask:
        same: BoolMask = read(rect) == class_id
        return same

    return connected_tiles(matches, seed, shape, max_pixels=max_pixels, connectivity=connectivity)


def flood_region(
    read: Callable[[Rect], ClassMap],
    seed: Point,
    shape: tuple[int, int],
    *,
    max_pixels: int = MAX_PIXELS,
    connectivity: Connectivity = 4,
) -> Area:
    """The connected region of the class under a point as one area.

    Args:
        read: Gives the class ids of a rectangle inside of the image, as ``PlaneStore.read`` does.
        seed: (x, y) in image pixels.
        shape: (H, W) of the image.
        max_pixels: Bounds the region and also the rectangle around it, which the mask covers: a thin region that
            winds through a large image is better asked for in pieces (:func:`flood_tiles`).
        connectivity: 4 or 8.

    Returns:
        Rectangle and mask, owned by the caller; empty where the seed lies outside of the image.

    Raises:
        SelectionError: The region or the rectangle around it has more than ``max_pixels`` pixels.
        ValueError: The seed is not finite, or the connectivity neither 4 nor 8.
    """
    return _joined(flood_tiles(read, seed, shape, max_pixels=max_pixels, connectivity=connectivity), max_pixels)


def component_at(
    class_map: ClassMap, point: Point, allowed: BoolMask | None = None, *, connectivity: Connectivity = 4
) -> Area:
    """The connected region of one class of a prediction (or any class map in memory) at a point.

    Args:
        class_map: (H, W) uint8.
        point: (x, y) in its pixels.
        allowed: (H, W) bool, the pixels that may belong, such as those that show the prediction; all when not given.
        connectivity: 4 or 8.

    Returns:
        Rectangle and mask, owned by the caller; empty where the point lies outside or is not allowed.

    Raises:
        ValueError: A shape does not fit, the point is not finite, or the connectivity neither 4 nor 8.
    """
    if allowed is not None and allowed.shape != class_map.shape:
        raise ValueError(f"allowed {allowed.shape} does not fit the class map {class_map.shape}")
    height, width = class_map.shape
    start = pixel_under(point, Rect(0, 0, width, height))
    if start is None:
        return empty_area()
    class_id = int(class_map[start])

    def matches(rect: Rect) -> BoolMask:
        same: BoolMask = class_map[rect.slices] == class_id
        return same if allowed is None else same & allowed[rect.slices]

    size = height * width
    return _joined(connected_tiles(matches, point, (height, width), max_pixels=size, connectivity=connectivity), size)


def _tile(key: _Key, bounds: Rect) -> Rect:
    return Rect(key[1] * TILE_PX, key[0] * TILE_PX, TILE_PX, TILE_PX).intersect(bounds)


def _fresh(
    matching: BoolMask, reached: BoolMask | None, entries: _Places, connectivity: Connectivity
) -> BoolMask | None:
    """What is connected, inside of one tile, to the places (row, column) at which the region enters it.

    None when that is nothing, or nothing that was not reached before.
    """
    open_ = matching if reached is None else matching & ~reached
    rows, columns = entries.T
    if not open_[rows, columns].any():
        return None
    if open_.all():
        return np.ones(open_.shape, np.bool_)
    _, labels = cv2.connectedComponents(open_.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S)
    entered = np.zeros(int(labels.max()) + 1, np.bool_)
    entered[labels[rows, columns]] = True
    entered[0] = False  # what does not match
    fresh: BoolMask = entered[labels]
    return fresh


def _exits(fresh: BoolMask, key: _Key, connectivity: Connectivity) -> Iterator[tuple[_Key, _Places]]:
    """The tiles beside, each with the places (row, column) in the image at which the region may go on there."""
    row, column = key
    top, left = row * TILE_PX, column * TILE_PX
    bottom, right = top + fresh.shape[0], left + fresh.shape[1]
    for beside, at, line in (
        ((row - 1, column), top - 1, fresh[0]),
        ((row + 1, column), bottom, fresh[-1]),
        ((row, column - 1), left - 1, fresh[:, 0]),
        ((row, column + 1), right, fresh[:, -1]),
    ):
        along = np.flatnonzero(line)
        if len(along) == 0:
            continue
        if connectivity == 8:
            along = np.unique(np.clip(np.concatenate([along - 1, along, along + 1]), 0, len(line) - 1))
        across = np.full(len(along), at)
        if beside[0] == row:
            yield beside, np.stack([along + top, across], axis=1)
        else:
            yield beside, np.stack([across, along + left], axis=1)
    if connectivity == 8:
        for down, at_row, inner_row in ((-1, top - 1, 0), (1, bottom, -1)):
            for aside, at_column, inner_column in ((-1, left - 1, 0), (1, right, -1)):
                if fresh[inner_row, inner_column]:
                    yield (row + down, column + aside), np.array([[at_row, at_column]])


def _joined(areas: list[Area], max_pixels: int) -> Area:
    if not areas:
        return empty_area()
    around = Rect(0, 0, 0, 0)
    for rect, _ in areas:
        around = around.union(rect)
    if around.w * around.h > max_pixels:
        raise _too_large(max_pixels)
    return united(areas)


def _too_large(max_pixels: int) -> SelectionError:
    return SelectionError(
        f"The region has more than {max_pixels:,} pixels.",
        "That is as much as can be selected in one step.",
        "Divide it with a line of the brush, or use the rectangle.",
    )
