"""Operations on the regions of one class: fill holes, remove islands, grow, shrink, smooth, convert.

Each takes a class map and says which pixels get which class, so that a document can apply it as one step; nothing is
changed in place. ``allowed`` holds back pixels, such as those of locked classes
(:func:`~pspnet_core.imaging.changes.allowed_pixels`). What lies outside of the array is no class: it encloses, erodes
and votes nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import tight_area
from pspnet_core.imaging.changes import (
    RegionChange,
    check_arguments,
    check_class_id,
    merged,
    new_classes_change,
    no_change,
    one_class_change,
)
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.flood import Connectivity
from pspnet_core.imaging.morphology import majority, near, opened_and_closed
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

Replacement = Literal["unlabelled", "surrounding"]
"""What pixels become that lose their class: class 255, or the class beside them."""

SmoothMethod = Literal["majority", "open-close"]


def fill_holes(class_map: ClassMap, class_id: int, max_px: int = 0, allowed: BoolMask | None = None) -> RegionChange:
    """Give a class the holes in its regions: what is enclosed by it, whatever it holds.

    A hole is a 4-connected region of other pixels that does not reach the border of the array.

    Args:
        class_map: (H, W) uint8.
        class_id: 0 to 255.
        max_px: Only holes of at most so many pixels; 0 for all.
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array.

    Raises:
        ValueError: A shape, dtype or number does not fit.
    """
    check_arguments(class_map, allowed, class_id)
    if max_px < 0:
        raise ValueError(f"max_px must be at least 0, got {max_px}")
    labels, sizes, boxes = _components(class_map != class_id, 4)
    height, width = class_map.shape
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] > 0)
    inside &= (boxes[:, 0] + boxes[:, 2] < width) & (boxes[:, 1] + boxes[:, 3] < height)
    if max_px:
        inside &= sizes <= max_px
    inside[0] = False
    return one_class_change(inside[labels], class_id, allowed)


def remove_islands(
    class_map: ClassMap,
    class_id: int,
    min_px: int,
    replacement: Replacement = "surrounding",
    allowed: BoolMask | None = None,
    connectivity: Connectivity = 8,
) -> RegionChange:
    """Take away the regions of a class that are too small.

    Args:
        class_map: (H, W) uint8.
        class_id: 0 to 255; with 255 unlabelled specks go.
        min_px: Regions of fewer pixels go.
        replacement: ``surrounding``: the class that most of the pixels beside the region have (255 counts like any,
            the lowest id wins a tie); a region with nothing beside it stays. ``unlabelled``: 255.
        allowed: (H, W) bool, the pixels that may change; all when not given.
        connectivity: What one region is.

    Returns:
        The change, in coordinates of the array.

    Raises:
        ValueError: A shape, dtype or number does not fit.
    """
    check_arguments(class_map, allowed, class_id)
    labels, sizes, _ = _components(class_map == class_id, connectivity)
    small = sizes < min_px
    small[0] = False
    new_class = np.full(len(sizes), UNLABELLED, np.uint8)
    if replacement == "surrounding":
        new_class = _classes_beside(class_map, labels, small, class_id)
    rect, mask = tight_area(Rect.of_array(class_map), small[labels])
    return new_classes_change(rect, mask, new_class[labels[rect.slices]], class_map, allowed)


def grow(class_map: ClassMap, class_id: int, radius_px: float, allowed: BoolMask | None = None) -> RegionChange:
    """Give a class all pixels whose centre is at most ``radius_px`` from that of a pixel of it.

    Args:
        class_map: (H, W) uint8.
        class_id: 0 to 255.
        radius_px: At least 0; 1 adds the pixels beside, not the diagonal ones.
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array.

    Raises:
        ValueError: A shape, dtype or number does not fit.
    """
    check_arguments(class_map, allowed, class_id, radius_px)
    rect, own = _with_margin(class_map, class_id, radius_px)
    return one_class_change(near(own, radius_px) & ~own, class_id, allowed, rect)


def shrink(
    class_map: ClassMap,
    class_id: int,
    radius_px: float,
    replacement: Replacement = "unlabelled",
    allowed: BoolMask | None = None,
) -> RegionChange:
    """Take from a class all pixels whose centre is at most ``radius_px`` from that of a pixel of another class.

    Args:
        class_map: (H, W) uint8.
        class_id: 0 to 255.
        radius_px: At least 0.
        replacement: ``surrounding``: the class of the nearest pixel of another class (255 counts like any; nearest by
            the lengths of steps in a 5 x 5 grid, at most 2 % off).
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array.

    Raises:
        ValueError: A shape, dtype or number does not fit.
    """
    check_arguments(class_map, allowed, class_id, radius_px)
    rect, own = _with_margin(class_map, class_id, radius_px)
    lost = own & near(~own, radius_px)
    return _taken_away(class_map, rect, own, lost, replacement, allowed)


def smooth(
    class_map: ClassMap,
    class_id: int,
    radius_px: int,
    method: SmoothMethod = "majority",
    replacement: Replacement = "surrounding",
    allowed: BoolMask | None = None,
) -> RegionChange:
    """Smooth the border of a class.

    Args:
        class_map: (H, W) uint8.
        class_id: 0 to 255.
        radius_px: 1 to 100. ``majority``: each pixel takes the class if more than half of the pixels in the square of
            2 radius + 1 pixels around it have it, and loses it if fewer have. ``open-close``: what a disc of that
            radius cannot reach from inside of the class is lost, then what it cannot reach from outside is added.
        method: See above.
        replacement: What pixels become that lose the class: that of the nearest pixel that had another one, or 255.
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array.

    Raises:
        ValueError: A shape, dtype or number does not fit.
    """
    check_arguments(class_map, allowed, class_id, radius_px)
    if not 1 <= radius_px <= 100:
        raise ValueError(f"radius_px must be 1 to 100, got {radius_px}")
    rect, own = _with_margin(class_map, class_id, 2 * radius_px)
    if rect.is_empty:
        return no_change()
    after = majority(own, radius_px) if method == "majority" else opened_and_closed(own, radius_px)
    gained = after & ~own
    lost = _taken_away(class_map, rect, own, own & ~after, replacement, allowed)
    won = one_class_change(gained, class_id, allowed, rect)
    return merged(won, lost)


def convert(class_map: ClassMap, from_id: int, to_id: int, allowed: BoolMask | None = None) -> RegionChange:
    """Give the pixels of one class another one.

    Args:
        class_map: (H, W) uint8.
        from_id: 0 to 255.
        to_id: 0 to 255; 255 takes the class away.
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array.

    Raises:
        ValueError: A shape, dtype or number does not fit.
    """
    check_arguments(class_map, allowed, from_id)
    check_class_id(to_id)
    if from_id == to_id:
        return no_change()
    return one_class_change(class_map == from_id, to_id, allowed)


def _components(
    mask: BoolMask, connectivity: Connectivity
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """Numbers of the connected regions (0: not in the mask), how many pixels each has, and (n, 4) x, y, w, h."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    stats = np.asarray(stats)
    return np.asarray(labels), stats[:, cv2.CC_STAT_AREA].astype(np.int64), stats[:, :4]


def _classes_beside(
    class_map: ClassMap, labels: NDArray[np.int32], small: BoolMask, class_id: int
) -> NDArray[np.uint8]:
    """For each small region the most frequent class of the pixels that share a side with it, counted per side.

    The class itself where there is nothing beside it (the region then stays as it is).
    """
    around = tight_area(Rect.of_array(class_map), small[labels])[0]
    outer = Rect(around.x - 1, around.y - 1, around.w + 2, around.h + 2).intersect(Rect.of_array(class_map))
    numbers, classes = labels[outer.slices], class_map[outer.slices]
    codes = []
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:-1], np.s_[1:]), (np.s_[1:], np.s_[:-1]),
    ):  # fmt: skip
        number, beside = numbers[here], classes[there]
        counts = small[number] & (beside != class_id)
        codes.append(number[counts].astype(np.int64) * 256 + beside[counts])
    pairs, sides = np.unique(np.concatenate(codes), return_counts=True)
    order = np.lexsort((pairs % 256, -sides, pairs // 256))
    region, first = np.unique(pairs[order] // 256, return_index=True)
    out = np.full(len(small), class_id, np.uint8)
    out[region] = (pairs[order][first] % 256).astype(np.uint8)
    return out


def _taken_away(
    class_map: ClassMap,
    rect: Rect,
    own: BoolMask,
    lost: BoolMask,
    replacement: Replacement,
    allowed: BoolMask | None,
) -> RegionChange:
    """The change that takes the pixels ``lost`` of ``rect`` from a class whose pixels there are ``own``."""
    if not lost.any():
        return no_change()
    classes = np.full(lost.shape, UNLABELLED, np.uint8)
    if replacement == "surrounding":
        _, labels = cv2.distanceTransformWithLabels(own.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        nearest = np.zeros(int(labels.max()) + 1, np.uint8)
        nearest[labels[~own]] = class_map[rect.slices][~own]
        classes = nearest[labels]
    return new_classes_change(rect, lost, classes, class_map, allowed)


def _with_margin(class_map: ClassMap, class_id: int, margin_px: float) -> tuple[Rect, BoolMask]:
    """The rectangle around a class with a margin, and the pixels of the class in it."""
    own = class_map == class_id
    rect, _ = tight_area(Rect.of_array(class_map), own)
    if rect.is_empty:
        return rect, np.zeros((0, 0), np.bool_)
    margin = math.ceil(margin_px) + 1
    wider = Rect(rect.x - margin, rect.y - margin, rect.w + 2 * margin, rect.h + 2 * margin)
    wider = wider.intersect(Rect.of_array(class_map))
    return wider, np.ascontiguousarray(own[wider.slices])
