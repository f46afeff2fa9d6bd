"""Regions of a class map as polygons and masks, and back.

Outlines run along the sides of pixels, so corners are whole numbers and a polygon that is filled by the rule "a pixel
belongs to it when its centre lies inside" gives exactly the pixels that it was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.class_maps import ids_of
from pspnet_core.imaging.strokes import polygon_mask
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

ShapeKind = Literal["auto", "polygon", "mask"]
"""Polygons, masks, or polygons where a region has no hole."""

Ring = NDArray[np.float64]
"""(n, 2) corners x, y in image pixels; the last is joined to the first."""

_ABSURD_PX = 1e7
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_START = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])  # x, y of the corner of a pixel where each of its sides begins


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Connected pixels of one class (by their sides), or all pixels of it.

    Attributes:
        class_id: Of the class.
        rect: The smallest rectangle around it.
        mask: (rect.h, rect.w) bool.
        num_pixels: In it.
    """

    class_id: int
    rect: Rect
    mask: BoolMask
    num_pixels: int


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A region as it is written.

    Attributes:
        region: What it was made of.
        polygon: One outline, holes reached by cuts of no width; None where it is a mask.
    """

    region: Region
    polygon: Ring | None


def regions_of(class_map: ClassMap, connected: bool = True) -> list[Region]:
    """The regions of all classes, largest first, so that what is painted later lies on top.

    Args:
        class_map: (H, W) uint8.
        connected: One for each connected region; else one for each class.
    """
    from pspnet_core.imaging.cv import cv2  # not before there are shapes: class maps are exported without it

    found: list[Region] = []
    for class_id in ids_of(class_map):
        own = class_map == class_id
        box = _box(own)
        if not connected:
            mask = own[box.slices].copy()
            found.append(Region(class_id, box, mask, int(np.count_nonzero(mask))))
            continue
        crop = np.ascontiguousarray(own[box.slices]).view(np.uint8)
        num, labels, stats, _ = cv2.connectedComponentsWithStats(crop, connectivity=4, ltype=cv2.CV_32S)
        for number in range(1, num):
            x, y, w, h, num_pixels = (int(v) for v in stats[number])
            mask = labels[y : y + h, x : x + w] == number
            found.append(Region(class_id, Rect(box.x + x, box.y + y, w, h), mask, num_pixels))
    found.sort(key=lambda region: (-region.num_pixels, region.class_id, region.rect.y, region.rect.x))
    return found


def shape_of(region: Region, kind: ShapeKind = "auto", tolerance_px: float = 0.0) -> Shape | None:
    """A region as polygon or mask.

    Args:
        region: A connected one.
        kind: What is wanted.
        tolerance_px: How far a corner that is left out may lie from the outline; 0 keeps every pixel.

    Returns:
        None when the polygon encloses nothing any more at this tolerance.
    """
    if kind == "mask":
        return Shape(region, None)
    rings = outlines(region.mask)
    if kind == "auto" and len(rings) > 1:
        return Shape(region, None)
    if tolerance_px > 0:
        rings = [ring for ring in (_simplified(ring, tolerance_px) for ring in rings) if len(ring) >= 3]
        if not rings:
            return None
    polygon = rings[0] if len(rings) == 1 else bridged(rings)
    return Shape(region, polygon + (region.rect.x, region.rect.y))


def outlines(mask: BoolMask) -> list[Ring]:
    """Outlines of a connected region in coordinates of its mask: around it first, then around each hole.

    Where two of its pixels touch at a corner only, the outline keeps them apart.

    Args:
        mask: (h, w) bool, connected by sides of pixels.
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.bool_)
    padded[1:-1, 1:-1] = mask
    width = padded.shape[1]
    flat = padded.ravel()
    inside = np.flatnonzero(flat)
    step = (-width, 1, width, -1)  # to the pixel beyond the upper, right, lower and left side
    sides = [inside[~flat[inside + beyond]] for beyond in step]
    codes = np.concatenate([pixels * 4 + side for side, pixels in enumerate(sides)])
    following = []
    for side, pixels in enumerate(sides):
        ahead = pixels + step[(side + 1) % 4]
        diagonal = ahead + step[side]
        turns_right, goes_on = ~flat[ahead], flat[ahead] & ~flat[diagonal]
        following.append(
            np.where(
                turns_right,
                pixels * 4 + (side + 1) % 4,
                np.where(goes_on, ahead * 4 + side, diagonal * 4 + (side + 3) % 4),
            )
        )
    order = np.argsort(codes)
    codes = codes[order]
    after = np.searchsorted(codes, np.concatenate(following)[order])
    rings = [_corners(codes[cycle], width) for cycle in _cycles(after.tolist())]
    rings.sort(key=lambda ring: -_signed_area(ring))
    return rings


def bridged(rings: list[Ring]) -> Ring:
    """One outline for a region with holes: each is reached along a row by a cut of no width.

    Args:
        rings: As :func:`outlines` gives them; simplified ones may be reached askew.
    """
    whole = rings[0]
    for hole in sorted(rings[1:], key=lambda ring: (ring[:, 0].min(), ring[:, 1].min())):
        first = np.lexsort((hole[:, 1], hole[:, 0]))[0]  # the upper one of the leftmost corners
        turned = np.roll(hole, -int(first), axis=0)
        x, y = turned[0]
        position, entry = _to_the_left(whole, float(x), float(y))
        whole = np.concatenate(
            [whole[: position + 1], [entry], turned, turned[:1], [entry], whole[position + 1 :]]
        )  # fmt: skip
    return whole


def polygon_area(points: Iterable[Iterable[float]], height: int, width: int) -> tuple[Rect, BoolMask]:
    """The pixels whose centre lies in a polygon; what it encloses twice is outside.

    Args:
        points: Corners x, y in order.
        height: Of the image.
        width: Likewise.

    Raises:
        ValueError: These are no points, or one lies absurdly far away.
    """
    corners = np.asarray(points, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"expected points x, y, got an array of shape {corners.shape}")
    if not np.isfinite(corners).all() or np.abs(corners).max(initial=0) > _ABSURD_PX:
        raise ValueError("a corner is not finite, or absurdly far away")
    return polygon_mask(corners.tolist(), (height, width))


def paint(class_map: ClassMap, rect: Rect, mask: BoolMask, class_id: int) -> int:
    """Give the pixels of an area a class; how many had another one.

    Args:
        class_map: (H, W) uint8, changed.
        rect: Inside of it.
        mask: (rect.h, rect.w) bool.
        class_id: 0 to 254.
    """
    if rect.is_empty:
        return 0
    part = class_map[rect.slices]
    num_over = int(np.count_nonzero(mask & (part != UNLABELLED) & (part != class_id)))
    part[mask] = class_id
    return num_over


def painted(shapes: Iterable[Shape], height: int, width: int) -> ClassMap:
    """The class map that a reader gets of shapes, one over the other."""
    class_map = np.full((height, width), UNLABELLED, np.uint8)
    for shape in shapes:
        rect, mask = shape.region.rect, shape.region.mask
        if shape.polygon is not None:
            rect, mask = polygon_area(shape.polygon.tolist(), height, width)
        paint(class_map, rect, mask, shape.region.class_id)
    return class_map


def _box(mask: BoolMask) -> Rect:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Rect(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)


def _cycles(after: list[int]) -> Iterator[list[int]]:
    seen = bytearray(len(after))
    for start in range(len(after)):
        if seen[start]:
            continue
        cycle, at = [], start
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = after[at]
        yield cycle


def _corners(codes: NDArray[np.int64], width: int) -> Ring:
    """Corners of a cycle of sides; those between two sides of one direction are left out."""
    pixels, side = np.divmod(codes, 4)
    turns = side != np.roll(side, 1)
    rows, columns = np.divmod(pixels[turns], width)
    start = _START[side[turns]]
    return np.stack([columns - 1 + start[:, 0], rows - 1 + start[:, 1]], axis=1).astype(np.float64)


def _signed_area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _simplified(ring: Ring, tolerance_px: float) -> Ring:
    from pspnet_core.imaging.cv import cv2

    points = cv2.approxPolyDP(ring.astype(np.float32).reshape(-1, 1, 2), tolerance_px, True)
    return np.asarray(points, np.float64).reshape(-1, 2)


def _to_the_left(ring: Ring, x: float, y: float) -> tuple[int, NDArray[np.float64]]:
    """The piece of an outline that is met first on the way to the left along row y, and where."""
    nexts = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], nexts[:, 1]), np.maximum(ring[:, 1], nexts[:, 1])
    # The row of pixels below y is the one that is walked through.
    crossing = (low <= y) & (high > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(crossing, (y - ring[:, 1]) / (nexts[:, 1] - ring[:, 1]), 0.0)
    at = ring[:, 0] + share * (nexts[:, 0] - ring[:, 0])
    candidates = np.flatnonzero(crossing & (at <= x))
    if not len(candidates):  # simplified away: any corner will do
        position = int(np.argmin(np.hypot(ring[:, 0] - x, ring[:, 1] - y)))
        return position, ring[position]
    position = int(candidates[np.argmax(at[candidates])])
    return position, np.array([at[position], y])
