"""Changes of regions that were worked out elsewhere, made in a document as one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, Rect
from pspnet_studio.model.document import Document

if TYPE_CHECKING:
    from pspnet_core.imaging.changes import RegionChange  # OpenCV comes with it: not when the window starts


def apply_changes(document: Document, label: str, changes: Iterable[RegionChange]) -> bool:
    """Make changes by hand as one step; False when they change nothing."""
    document.begin_edit(label)
    for rect, mask, class_ids in changes:
        erased = mask & (class_ids == UNLABELLED)
        for part, provenance in ((mask & ~erased, Provenance.PAINTED), (erased, Provenance.ERASED)):
            if part.any():
                document.write(rect, part, class_ids, provenance)
    return document.commit_edit()


def apply_patch(document: Document, patch: MaskPatch) -> bool:
    """Do what a record says as one step of the open image; False when that changes nothing."""
    document.begin_edit(patch.label)
    for block in patch.blocks:
        class_ids = document.class_plane.read(block.rect)
        class_ids[block.changed] = block.new_class
        for provenance in np.unique(block.new_provenance):
            mask = np.zeros(block.changed.shape, np.bool_)
            mask[block.changed] = block.new_provenance == provenance
            document.write(block.rect, mask, class_ids, Provenance(int(provenance)))
    return document.commit_edit()


def copy_onto_unlabelled(document: Document, class_map: ClassMap) -> bool:
    """Give unlabelled pixels the classes of another mask of the same size, as one step; False when nothing changes.

    Raises:
        ValueError: It is of another size.
    """
    if class_map.shape != (document.rect.h, document.rect.w):
        raise ValueError(f"a mask {class_map.shape} does not fit the image {document.rect}")
    document.begin_edit("copy mask")
    for rect in _blocks(document.rect):
        there = class_map[rect.slices]
        mask = (there != UNLABELLED) & (document.class_plane.read(rect) == UNLABELLED)
        if mask.any():
            document.write(rect, mask, np.ascontiguousarray(there), Provenance.IMPORTED)
    return document.commit_edit()


def _blocks(bounds: Rect, side: int = 512) -> Iterator[Rect]:
    for y in range(0, bounds.h, side):
        for x in range(0, bounds.w, side):
            yield Rect(x, y, side, side).intersect(bounds)
