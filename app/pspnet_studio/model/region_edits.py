"""Changes of regions that were worked out elsewhere, made in a document as one step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pspnet_core.types import UNLABELLED, Provenance
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
