"""Steps that change a whole image at once, worked out block by block with as few passes over the pixels as possible.

A brush compares before and after; here it is known beforehand which pixels change, and most blocks are uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Prediction, Provenance, ProvenanceMap, Rect
from pspnet_studio.model.protection import Protection

# Plain numbers: numpy compares an array with a member of an IntEnum as 64-bit integers, ten times as slowly.
_UNTOUCHED, _ACCEPTED = int(Provenance.UNTOUCHED), int(Provenance.ACCEPTED)

Planes = tuple[PlaneStore, PlaneStore]
"""Class ids and provenance."""

Change = Callable[[Planes], MaskPatch | None]
"""Changes planes and tells how; None where nothing was to be changed. For any thread."""

BLOCK_PX = 256
_STRIP_ROWS = 256
_SPARSE = 4
"""A block of which less than one part in this many changes is cut down to the box around its changes."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockChange:
    """What a step makes of one block.

    Attributes:
        rect: Where, in image pixels.
        classes: (rect.h, rect.w) uint8 class ids of the whole block afterwards.
        provenance: (rect.h, rect.w) uint8, afterwards.
        record: The same as a reversible record of only the changed pixels.
    """

    rect: Rect
    classes: ClassMap
    provenance: ProvenanceMap
    record: PatchBlock


def blocks_of(rect: Rect, bounds: Rect) -> Iterator[Rect]:
    """The blocks of an image, cut to it, that a rectangle touches."""
    rect = rect.intersect(bounds)
    for y in range(rect.y // BLOCK_PX * BLOCK_PX, rect.bottom, BLOCK_PX):
        for x in range(rect.x // BLOCK_PX * BLOCK_PX, rect.right, BLOCK_PX):
            yield Rect(x, y, BLOCK_PX, BLOCK_PX).intersect(bounds)


def filling(item_key: str, class_id: int, version: int | None) -> Change:
    """Give every unlabelled pixel a class by hand.

    Args:
        item_key: Of the record, as ``version``.
        class_id: Which class.
        version: That is on display.
    """

    def change(rect: Rect, classes: ClassMap, provenance: ProvenanceMap) -> BlockChange | None:
        return filled(rect, classes, provenance, class_id)

    return lambda planes: MaskPatch.of(item_key, "fill", _records(planes, change), version)


def accepting(
    item_key: str,
    shown: Prediction,
    version: int | None,
    protection: Protection,
    only_unlabelled: bool,
    class_id: int | None,
    min_confidence: int,
) -> Change:
    """Take over a prediction; arguments as of :func:`accepted`, :func:`wanted_of` and :func:`filling`."""

    def change(rect: Rect, classes: ClassMap, provenance: ProvenanceMap) -> BlockChange | None:
        wanted = wanted_of(shown, rect, class_id, min_confidence)
        predicted = shown.class_map[rect.slices]
        return accepted(rect, classes, provenance, predicted, only_unlabelled, protection, wanted)

    return lambda planes: MaskPatch.of(item_key, "accept", _records(planes, change), version)


def copied(planes: Planes, item_key: str, class_map: ClassMap) -> MaskPatch | None:
    """What gives every unlabelled pixel the class that another mask of the same size, (H, W) uint8, has there, if any.

    It changes nothing: see :func:`patching`.
    """

    def blocks() -> Iterator[PatchBlock]:
        for rect in blocks_of(planes[0].rect, planes[0].rect):
            classes, there = planes[0].read(rect), class_map[rect.slices]
            mask = (there != UNLABELLED) & (classes == UNLABELLED)
            changed = _changed(rect, mask, classes, planes[1].read(rect), there, Provenance.IMPORTED)
            if changed is not None:
                yield changed.record

    return MaskPatch.of(item_key, "copy mask", blocks())


def again(planes: Planes, found: MaskPatch) -> MaskPatch | None:
    """What a record of the same image, which may have been edited since, changes now; it changes nothing itself."""

    def block_now(block: PatchBlock) -> PatchBlock | None:
        classes, provenance = (plane.read(block.rect) for plane in planes)
        new_classes, new_provenance = classes.copy(), provenance.copy()
        new_classes[block.changed], new_provenance[block.changed] = block.new_class, block.new_provenance
        return PatchBlock.between(
            block.rect,
            old_class=classes,
            new_class=new_classes,
            old_provenance=provenance,
            new_provenance=new_provenance,
        )

    return MaskPatch.of(found.item_key, found.label, map(block_now, found.blocks))


def patching(find: Callable[[Planes], MaskPatch | None], protection: Protection, version: int | None) -> Change:
    """Do what a record says, where no pixel is protected.

    Args:
        find: Gives it for planes that it does not change.
        protection: Of the image.
        version: That is on display.
    """

    def change(planes: Planes) -> MaskPatch | None:
        if (found := find(planes)) is None:
            return None
        blocks = (_unprotected(block, planes[0], protection) for block in found.blocks)
        patch = MaskPatch.of(found.item_key, found.label, blocks, version)
        if patch is not None:
            patch.apply(*planes)
        return patch

    return change


def _unprotected(block: PatchBlock, class_plane: PlaneStore, protection: Protection) -> PatchBlock | None:
    if not protection.is_on:
        return block
    allowed = protection.allowed(class_plane.read(block.rect)[block.changed])
    if not allowed.any():
        return None
    changed = block.changed.copy()
    changed[block.changed] = allowed
    return PatchBlock(block.rect, changed, *(values[allowed] for values in block.planes))


def _records(
    planes: Planes, change: Callable[[Rect, ClassMap, ProvenanceMap], BlockChange | None]
) -> Iterator[PatchBlock]:
    """Change all blocks; ``change`` gets copies of both planes that it may keep."""
    bounds = planes[0].rect
    for rect in blocks_of(bounds, bounds):
        changed = change(rect, planes[0].read(rect), planes[1].read(rect))
        if changed is not None:
            planes[0].write(changed.rect, changed.classes)
            planes[1].write(changed.rect, changed.provenance)
            yield changed.record


def accepted(
    rect: Rect,
    classes: ClassMap,
    provenance: ProvenanceMap,
    predicted: ClassMap,
    only_unlabelled: bool,
    protection: Protection,
    wanted: BoolMask | None = None,
) -> BlockChange | None:
    """Take over the prediction on untouched and accepted pixels of a block; None when that changes nothing.

    Args:
        rect: Where the arrays lie in the image.
        classes: (rect.h, rect.w) uint8 class ids, a copy that is given away; so is ``provenance``.
        provenance: Provenance values.
        predicted: Class ids of the prediction, only read.
        only_unlabelled: Leave alone what has a class, that is: also what was accepted before.
        protection: Locked classes keep their pixels.
        wanted: (rect.h, rect.w), where alone; everywhere when not given.
    """
    is_untouched = not provenance.any()
    is_free = not only_unlabelled and not protection.locked and wanted is None
    if is_untouched and wanted is None and (is_free or classes.min() == UNLABELLED):
        return _replaced(rect, classes, provenance, predicted, Provenance.ACCEPTED)
    mask: BoolMask
    if only_unlabelled:
        mask = provenance == _UNTOUCHED
        mask &= classes == UNLABELLED
    else:
        mask = classes != predicted
        mask &= provenance == _ACCEPTED
        mask |= provenance == _UNTOUCHED
        if protection.locked:
            mask &= protection.unlocked(classes)
    if wanted is not None:
        mask &= wanted
    return _changed(rect, mask, classes, provenance, predicted, Provenance.ACCEPTED)


def wanted_of(prediction: Prediction, rect: Rect, class_id: int | None, min_confidence: int) -> BoolMask | None:
    """Where a prediction has one class and is sure enough (0 to 255); None where no condition is made."""
    wanted: BoolMask | None = None
    if class_id is not None:
        wanted = prediction.class_map[rect.slices] == class_id
    if min_confidence > 0:
        is_sure = prediction.confidence[rect.slices] >= min_confidence
        wanted = is_sure if wanted is None else wanted & is_sure
    return wanted


def acceptable(prediction: Prediction, class_plane: PlaneStore, provenance_plane: PlaneStore) -> NDArray[np.int64]:
    """(256, 256) pixels by class id and confidence that accepting would change; for any thread."""
    width, height = class_plane.width, class_plane.height
    counts = np.zeros(256 * 256, np.int64)
    for top in range(0, height, _STRIP_ROWS):
        rect = Rect(0, top, width, min(_STRIP_ROWS, height - top))
        provenance, predicted = provenance_plane.read(rect), prediction.class_map[rect.slices]
        changes = provenance == _UNTOUCHED
        changes |= (provenance == _ACCEPTED) & (class_plane.read(rect) != predicted)
        pairs = predicted[changes].astype(np.uint16) << 8 | prediction.confidence[rect.slices][changes]
        counts += np.bincount(pairs, minlength=256 * 256)
    return counts.reshape(256, 256)


def filled(rect: Rect, classes: ClassMap, provenance: ProvenanceMap, class_id: int) -> BlockChange | None:
    """Give the unlabelled pixels of a block a class by hand; None when there is none. Arguments as above."""
    new = np.broadcast_to(np.uint8(class_id), classes.shape)
    if classes.min() == UNLABELLED:
        return _replaced(rect, classes, provenance, new, Provenance.PAINTED)
    return _changed(rect, classes == UNLABELLED, classes, provenance, new, Provenance.PAINTED)


def _replaced(
    rect: Rect, classes: ClassMap, provenance: ProvenanceMap, new: ClassMap, source: Provenance
) -> BlockChange:
    """Every pixel changes: no mask is applied."""
    sources = np.broadcast_to(np.uint8(source), classes.shape)
    record = PatchBlock(
        rect,
        np.broadcast_to(np.True_, sources.shape),
        _small(classes.ravel()),
        _small(new.flatten()),
        _small(provenance.ravel()),
        np.broadcast_to(np.uint8(source), sources.size),
    )
    return BlockChange(rect, new, sources, record)


def _changed(
    rect: Rect, mask: BoolMask, classes: ClassMap, provenance: ProvenanceMap, new: ClassMap, source: Provenance
) -> BlockChange | None:
    """The pixels of ``mask`` change, each for certain."""
    num_changed = int(np.count_nonzero(mask))
    if num_changed == 0:
        return None
    if num_changed == mask.size:
        return _replaced(rect, classes, provenance, new, source)
    if num_changed * _SPARSE < mask.size:
        box = _box(mask)
        rect = Rect(rect.x + box.x, rect.y + box.y, box.w, box.h)
        classes, provenance, new = (array[box.slices].copy() for array in (classes, provenance, new))
        mask = mask[box.slices].copy()
    record = PatchBlock(
        rect,
        mask,
        _taken(classes, mask, num_changed),
        _taken(new, mask, num_changed),
        _taken(provenance, mask, num_changed),
        np.broadcast_to(np.uint8(source), num_changed),
    )
    _put(classes, new, mask)
    _put(provenance, np.uint8(source), mask)
    return BlockChange(rect, classes, provenance, record)


def _put(target: NDArray[np.uint8], values: NDArray[np.uint8] | np.uint8, mask: BoolMask) -> None:
    """``target[mask] = values[mask]`` in place; three times as fast, because it has no branches."""
    difference = target ^ values
    difference &= np.negative(mask.view(np.uint8))  # 0 or 255
    target ^= difference


def _taken(values: NDArray[np.uint8], mask: BoolMask, num_taken: int) -> NDArray[np.uint8]:
    """``values[mask]``, without picking where all are equal."""
    first = values[0, 0]
    if values.min() == first == values.max():
        return np.broadcast_to(first, num_taken)
    return _small(values[mask])


def _small(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same values, in one byte where all are equal."""
    first = values[0]
    return np.broadcast_to(first, values.shape) if values.min() == first == values.max() else values


def _box(mask: BoolMask) -> Rect:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Rect(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
