"""Both planes of the open image, what they were before the edit under way, and strokes that are still to be written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore, fill_runs
from pspnet_core.imaging.runs import Runs
from pspnet_core.memory import give_back_free_memory
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, Rect
from pspnet_studio.model.whole_image import Planes, blocks_of

_MANY_BLOCKS = 512
"""An edit of more blocks leaves behind as many times 128 KB."""


class EditedPlanes:
    """Class ids and provenance. Pixels of a brush are written once somebody looks, or when the hand has time.

    Whoever asks for a plane finds everything in it: what waits is written first. So a move of the brush costs only what
    is seen of it at once.

    Args:
        classes: Class ids, 255 = unlabelled; owned by this object from now on.
        provenance: Provenance values, of the same size; owned by this object from now on.
    """

    def __init__(self, classes: PlaneStore, provenance: PlaneStore) -> None:
        assert classes.rect == provenance.rect
        self.rect = classes.rect
        self._classes, self._provenance = classes, provenance
        self._before: dict[Rect, tuple[ClassMap, NDArray[np.uint8]]] = {}
        self._waiting: list[tuple[Runs, int]] = []

    @property
    def classes(self) -> PlaneStore:
        """Class ids as they are now."""
        self.catch_up()
        return self._classes

    @property
    def provenance(self) -> PlaneStore:
        """Provenance as it is now."""
        self.catch_up()
        return self._provenance

    def catch_up(self) -> None:
        """Write what was put off; costs next to nothing when there is none."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for runs, class_id in waiting:
            self.remember(runs.rect)
            fill_runs(runs, (self._classes, class_id), (self._provenance, painted_provenance(class_id)))

    def paint(self, runs: Runs, class_id: int) -> None:
        """Give the pixels of ``runs``, which lie in the image, a class by hand; 255 erases them by hand."""
        self._waiting.append((runs, class_id))

    def remember(self, rect: Rect) -> None:
        """Keep how the blocks under ``rect`` are now, those of which it is not known yet; before they are changed."""
        for block in blocks_of(rect, self.rect):
            if block not in self._before:
                self._before[block] = (self._classes.peek(block), self._provenance.peek(block))

    def committed(self) -> Planes:
        """Snapshots of both planes as they were before the edit under way."""
        classes, provenance = self.classes.snapshot(), self.provenance.snapshot()
        for rect, (old_classes, old_provenance) in self._before.items():
            classes.write(rect, old_classes)
            provenance.write(rect, old_provenance)
        return classes, provenance

    def take(self, planes: Planes) -> None:
        """Become what snapshots of both planes were made into, which are given away."""
        self.classes.take(planes[0])
        self.provenance.take(planes[1])

    def close(self, item_key: str, label: str, version: int | None) -> MaskPatch | None:
        """End the edit under way: what it changed as one record, None when that is nothing."""
        self.catch_up()
        before, self._before = self._before, {}
        blocks = (
            PatchBlock.between(
                rect,
                old_class=classes,
                new_class=self._classes.read(rect),
                old_provenance=provenance,
                new_provenance=self._provenance.read(rect),
            )
            for rect, (classes, provenance) in before.items()
        )
        patch = MaskPatch.of(item_key, label, blocks, version)
        if len(before) > _MANY_BLOCKS:
            before.clear()
            give_back_free_memory()
        return patch

    def roll_back(self) -> list[Rect]:
        """End the edit under way and put back what it changed; returns where that was."""
        self.catch_up()
        before, self._before = self._before, {}
        for rect, (classes, provenance) in before.items():
            self._classes.write(rect, classes)
            self._provenance.write(rect, provenance)
        return list(before)


def painted_provenance(class_id: int) -> Provenance:
    """Provenance of pixels that got a class by hand."""
    return Provenance.ERASED if class_id == UNLABELLED else Provenance.PAINTED
