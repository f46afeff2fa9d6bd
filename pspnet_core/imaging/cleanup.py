"""Clean-ups of one or of several classes at once, for images of any size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pspnet_core.imaging import regions
from pspnet_core.imaging.areas import tight_area
from pspnet_core.imaging.changes import (
    RegionChange,
    allowed_pixels,
    block_changes,
    merged,
    new_classes_change,
    no_change,
)
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.morphology import near
from pspnet_core.imaging.regions import Replacement
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

Operation = Literal["holes", "islands", "grow", "shrink", "smooth"]

_BLOCK_PX = 2048
_MAX_RADIUS_PX = 100


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What is to be done to the regions of some classes.

    Attributes:
        operation: ``holes`` fills those of at most ``amount`` pixels, ``islands`` removes those of fewer than
            ``amount``; ``grow``, ``shrink`` and ``smooth`` work with a radius of ``amount`` pixels.
        amount: At least 1; a radius at most 100.
        class_ids: The classes, 0 to 254. Each is worked out on the map as it is; where two want the same pixel the
            first one gets it. Several classes grow together, into unlabelled pixels only, each as far as it is nearer.
        replacement: What pixels become that lose their class. Of several classes that shrink, it is always unlabelled:
            they would only change places.

    Raises:
        ValueError: A number is out of its range.
    """

    operation: Operation
    amount: int
    class_ids: tuple[int, ...]
    replacement: Replacement = "surrounding"

    def __post_init__(self) -> None:
        is_radius = self.operation in ("grow", "shrink", "smooth")
        if self.amount < 1 or (is_radius and self.amount > _MAX_RADIUS_PX):
            raise ValueError(f"{self.operation} by {self.amount} px")
        if not all(0 <= class_id < UNLABELLED for class_id in self.class_ids):
            raise ValueError(f"class ids are 0 to 254, got {self.class_ids}")

    @property
    def margin_px(self) -> int:
        """How far away a pixel may lie on which another one depends."""
        factor = {"holes": 1, "islands": 1, "grow": 1, "shrink": 2, "smooth": 4}[self.operation]
        return factor * self.amount + 2


def cleaned_up(class_map: ClassMap, task: CleanUp, allowed: BoolMask | None = None) -> RegionChange:
    """What a clean-up changes in a class map.

    Args:
        class_map: (H, W) uint8 class ids, 255 = unlabelled.
        task: What to do.
        allowed: (H, W) bool, the pixels that may change; all when not given.

    Returns:
        The change, in coordinates of the array; its arrays are owned by the caller.

    Raises:
        ValueError: A shape or dtype does not fit.
    """
    if task.operation == "grow" and len(task.class_ids) > 1:
        return _grown_together(class_map, task, allowed)
    present = np.bincount(class_map.ravel(), minlength=256)
    change = no_change()
    for class_id in task.class_ids:
        if present[class_id]:
            change = merged(_of_class(class_map, task, class_id, allowed), change)
    return change


def clean_up_blocks(
    read: Callable[[Rect], ClassMap],
    shape: tuple[int, int],
    task: CleanUp,
    locked_ids: frozenset[int] = frozenset(),
    only_unlabelled: bool = False,
    block_px: int = _BLOCK_PX,
) -> Iterator[RegionChange]:
    """What a clean-up changes in an image of any size, block by block.

    Args:
        read: Gives the class ids of a rectangle inside of the image, as ``PlaneStore.read`` does.
        shape: (H, W) of the image.
        task: What to do.
        locked_ids: Classes whose pixels stay as they are.
        only_unlabelled: Whether only pixels without a class may change.
        block_px: Side of the blocks; larger where the margin would be larger than half of it.

    Yields:
        One change per block in image coordinates, disjoint, also the empty ones.

    Raises:
        ValueError: A size is not positive.
    """

    def change(class_map: ClassMap) -> RegionChange:
        allowed = allowed_pixels(class_map, locked_ids, only_unlabelled) if locked_ids or only_unlabelled else None
        return cleaned_up(class_map, task, allowed)

    # A margin larger than its block would be read more often than it is worth.
    yield from block_changes(read, shape, change, task.margin_px, max(block_px, 2 * task.margin_px))


def _of_class(class_map: ClassMap, task: CleanUp, class_id: int, allowed: BoolMask | None) -> RegionChange:
    amount, replacement = task.amount, task.replacement
    if task.operation == "holes":
        return regions.fill_holes(class_map, class_id, amount, allowed)
    if task.operation == "islands":
        return regions.remove_islands(class_map, class_id, amount, replacement, allowed)
    if task.operation == "grow":
        return regions.grow(class_map, class_id, amount, allowed)
    if task.operation == "shrink":
        replacement = "unlabelled" if len(task.class_ids) > 1 else replacement
        return regions.shrink(class_map, class_id, amount, replacement, allowed)
    return regions.smooth(class_map, class_id, amount, replacement=replacement, allowed=allowed)


def _grown_together(class_map: ClassMap, task: CleanUp, allowed: BoolMask | None) -> RegionChange:
    """Unlabelled pixels near to one of the classes get the nearest one."""
    wanted = np.zeros(256, np.bool_)
    wanted[list(task.class_ids)] = True
    own: BoolMask = wanted[class_map]
    if not own.any():
        return no_change()
    gained = near(own, task.amount) & (class_map == UNLABELLED)
    rect, mask = tight_area(Rect.of_array(class_map), gained)
    if rect.is_empty:
        return no_change()
    margin = math.ceil(task.amount) + 1
    wide = Rect(rect.x - margin, rect.y - margin, rect.w + 2 * margin, rect.h + 2 * margin)
    wide = wide.intersect(Rect.of_array(class_map))
    part = np.ascontiguousarray(own[wide.slices])
    _, labels = cv2.distanceTransformWithLabels((~part).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros(int(labels.max()) + 1, np.uint8)
    nearest[labels[part]] = class_map[wide.slices][part]
    class_ids = nearest[labels][rect.y - wide.y : rect.bottom - wide.y, rect.x - wide.x : rect.right - wide.x]
    return new_classes_change(rect, mask, class_ids, class_map, allowed)
