"""What an operation changes in a class map, as a document can apply it in one step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pspnet_core.imaging.areas import Area, relative, tight_area
from pspnet_core.imaging.cv import cv2
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect


class RegionChange(NamedTuple):
    """Which pixels get which class.

    Attributes:
        rect: The smallest rectangle around the changed pixels.
        mask: (rect.h, rect.w) bool, the pixels that change.
        class_ids: (rect.h, rect.w) uint8, their new class; anything outside of ``mask``.
    """

    rect: Rect
    mask: BoolMask
    class_ids: ClassMap

    @property
    def num_pixels(self) -> int:
        """How many pixels change."""
        return int(np.count_nonzero(self.mask))

    def shifted(self, x: int, y: int) -> RegionChange:
        """The same change, ``x`` columns further right and ``y`` rows further down."""
        if self.rect.is_empty:
            return self
        return self._replace(rect=Rect(self.rect.x + x, self.rect.y + y, self.rect.w, self.rect.h))


def allowed_pixels(class_map: ClassMap, locked_ids: Iterable[int] = (), only_unlabelled: bool = False) -> BoolMask:
    """The pixels that may be changed.

    Args:
        class_map: (H, W) uint8 class ids, 255 = unlabelled.
        locked_ids: Classes whose pixels stay as they are, 0 to 255.
        only_unlabelled: Whether only pixels without a class may change.

    Returns:
        (H, W) bool, owned by the caller.

    Raises:
        ValueError: An id is not 0 to 255.
    """
    check_arguments(class_map, None)
    table = np.full(256, 0 if only_unlabelled else 1, np.uint8)
    table[UNLABELLED] = 1
    for class_id in locked_ids:
        check_class_id(class_id)
        table[class_id] = 0
    allowed: BoolMask = np.asarray(cv2.LUT(np.ascontiguousarray(class_map), table)).view(np.bool_)
    return allowed


def changes_in_blocks(
    read: Callable[[Rect], ClassMap],
    shape: tuple[int, int],
    change: Callable[[ClassMap], RegionChange],
    margin_px: int,
    block_px: int = 2048,
) -> list[RegionChange]:
    """The same change of an image of any size, block by block, without its whole class map in memory.

    Exact if a pixel depends on nothing further away than the margin: ``radius_px`` for grow, twice that for shrink and
    4 ``radius_px`` for smooth (with its replacement), 0 for convert, ``min_px`` + 1 for islands, ``max_px`` + 1 for
    holes of at most ``max_px``. Holes of any size need the whole class map.

    Args:
        read: Gives the class ids of a rectangle inside of the image, as ``PlaneStore.read`` does.
        shape: (H, W) of the image.
        change: One of the operations of :mod:`~pspnet_core.imaging.regions`, with its other arguments bound; gets a
            block with its margin, of which it can work out what is allowed.
        margin_px: How far around each block is read.
        block_px: Side of the blocks.

    Returns:
        The changes in image coordinates, disjoint, those without pixels left out. All are worked out before any is
        applied: one does not see another.

    Raises:
        ValueError: A size is not positive or the margin negative.
    """
    parts = block_changes(read, shape, change, margin_px, block_px)
    return [part for part in parts if not part.rect.is_empty]


def block_changes(
    read: Callable[[Rect], ClassMap],
    shape: tuple[int, int],
    change: Callable[[ClassMap], RegionChange],
    margin_px: int,
    block_px: int = 2048,
) -> Iterator[RegionChange]:
    """:func:`changes_in_blocks`, one block after the other, also those in which nothing changes.

    Raises:
        ValueError: A size is not positive or the margin negative.
    """
    if margin_px < 0 or block_px < 1:
        raise ValueError(f"margin_px must be at least 0 and block_px at least 1, got {margin_px} and {block_px}")
    bounds = Rect(0, 0, shape[1], shape[0])
    for y in range(0, bounds.h, block_px):
        for x in range(0, bounds.w, block_px):
            block = Rect(x, y, block_px, block_px).intersect(bounds)
            around = Rect(x - margin_px, y - margin_px, block_px + 2 * margin_px, block_px + 2 * margin_px)
            around = around.intersect(bounds)
            yield _cut(change(read(around)).shifted(around.x, around.y), block)


def one_class_change(mask: BoolMask, class_id: int, allowed: BoolMask | None, rect: Rect | None = None) -> RegionChange:
    """The change that gives pixels one class.

    Args:
        mask: (rect.h, rect.w) bool, the pixels.
        class_id: 0 to 255.
        allowed: (H, W) bool of the whole array, the pixels that may change; all when not given.
        rect: Where the mask lies in the array; the whole when not given.

    Returns:
        The change, in coordinates of the array; its arrays are owned by the caller.
    """
    place = Rect.of_array(mask) if rect is None else rect
    if allowed is not None:
        mask = mask & allowed[place.slices]
    tight, cut = tight_area(place, mask)
    return RegionChange(tight, cut, np.full(cut.shape, class_id, np.uint8))


def new_classes_change(
    rect: Rect, mask: BoolMask, class_ids: ClassMap, class_map: ClassMap, allowed: BoolMask | None
) -> RegionChange:
    """The change that gives pixels a class each; those that have it already are left out.

    Args:
        rect: The part of the array that is looked at.
        mask: (rect.h, rect.w) bool, the pixels.
        class_ids: (rect.h, rect.w) uint8, what they become.
        class_map: (H, W) uint8, what the whole array is.
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array; its arrays are owned by the caller.
    """
    mask = mask & (class_map[rect.slices] != class_ids)
    if allowed is not None:
        mask &= allowed[rect.slices]
    area = tight_area(rect, mask)
    return RegionChange(*area, class_ids[relative(area[0], rect).slices].copy()) if area[1].size else no_change()


def merged(one: RegionChange, other: RegionChange) -> RegionChange:
    """Two changes of different pixels as one."""
    rect = one.rect.union(other.rect)
    mask, class_ids = np.zeros((rect.h, rect.w), np.bool_), np.zeros((rect.h, rect.w), np.uint8)
    for change in (one, other):
        if not change.rect.is_empty:
            place = relative(change.rect, rect).slices
            mask[place] |= change.mask
            np.copyto(class_ids[place], change.class_ids, where=change.mask)
    return RegionChange(rect, mask, class_ids)


def _cut(change: RegionChange, rect: Rect) -> RegionChange:
    """The part of a change that lies in ``rect``."""
    inner = change.rect.intersect(rect)
    if inner.is_empty:
        return no_change()
    place = relative(inner, change.rect).slices
    area: Area = tight_area(inner, change.mask[place])
    class_ids = change.class_ids[place][relative(area[0], inner).slices] if area[1].size else area[1].view(np.uint8)
    return RegionChange(*area, class_ids.copy())


def no_change() -> RegionChange:
    """A change of no pixel."""
    return RegionChange(Rect(0, 0, 0, 0), np.zeros((0, 0), np.bool_), np.zeros((0, 0), np.uint8))


def check_class_id(class_id: int) -> None:
    """Refuse what is no class id. Raises: ValueError."""
    if not 0 <= class_id <= 255:
        raise ValueError(f"a class id is 0 to 255, got {class_id}")


def check_arguments(class_map: ClassMap, allowed: BoolMask | None, class_id: int = 0, radius_px: float = 0) -> None:
    """Refuse arguments of an operation that do not fit. Raises: ValueError."""
    if class_map.ndim != 2 or class_map.dtype != np.uint8 or class_map.size == 0:
        raise ValueError(f"expected a (H, W) uint8 class map, got {class_map.shape} {class_map.dtype}")
    if allowed is not None and (allowed.shape != class_map.shape or allowed.dtype != np.bool_):
        raise ValueError(f"allowed {allowed.shape} {allowed.dtype} does not fit the class map {class_map.shape}")
    check_class_id(class_id)
    if not (math.isfinite(radius_px) and radius_px >= 0):
        raise ValueError(f"radius_px must be at least 0, got {radius_px}")
