"""What follows the hand: features of the open image (torch lane), and a head that is fitted to its strokes (live lane).

The fit needs numpy alone, and has a lane of its own: a training step in the torch lane would keep the hand waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, ClassMap, Prediction, Provenance, Rect

if TYPE_CHECKING:
    from pspnet_core.imaging.source import ImageSource
    from pspnet_core.inference.features import FeatureExtractor, ImageFeatures
    from pspnet_core.inference.kept_rows import KeptRows
    from pspnet_core.inference.live_head import Answer
    from pspnet_core.inference.logits import LogitGrid

logger = logging.getLogger(__name__)

_BY_HAND = (int(Provenance.PAINTED), int(Provenance.IMPORTED))
_ERASED = int(Provenance.ERASED)
_BLOCK_CELLS, _NEARLY_ALL = 64, 0.8
_WORTH_CELLS = 40  # of the 4096 of a block: one in a hundred
_REST_S, _REST_STEPS = 0.01, 6
_STRIP = 1 << 22  # pixels that are looked at in one go


class FeatureEngine:
    """Keeps the network that features come from; lives in the torch lane only."""

    def __init__(self) -> None:
        self._extractor: FeatureExtractor | None = None

    def steps(self, image: ImageSource) -> Iterator[Any]:
        """Yield progress and, last, ``ImageFeatures``.

        Raises:
            CheckpointError: The weights are missing or damaged.
            ImageReadError: The image cannot be read.
        """
        if self._extractor is None:
            from pspnet_core.inference.features import FeatureExtractor

            self._extractor = FeatureExtractor()
        yield from self._extractor.steps(image)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the overlay shall show.

    Attributes:
        prediction: None where nothing speaks for two classes: the version's own prediction stays.
        changed: Where its classes differ from what is on screen; None = anywhere.
        painted: (cells) uint8, the classes that are on screen once this is shown.
    """

    prediction: Prediction | None
    changed: tuple[Rect, ...] | None
    painted: ClassMap | None


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What a fit starts from, taken on the GUI thread.

    Attributes:
        class_plane: As it is now.
        provenance_plane: As it is now.
        changed: Where they may differ from what the fit before saw.
        shown: The answer that is on screen, as far as it was given by the same fit and nothing else came between.
    """

    class_plane: PlaneStore
    provenance_plane: PlaneStore
    changed: Sequence[Rect]
    shown: Shown | None


class LiveFit:
    """The head of the open image and the cells that its strokes mark; lives in the live lane only.

    Args:
        features: Of the image.
        prior: What the current version says, if there is one.
        kept: Rows of earlier images, if there are any.
        num_images: From which the version learned; None where nobody knows.
    """

    def __init__(
        self, features: ImageFeatures, prior: LogitGrid | None, kept: KeptRows | None, num_images: int | None = None
    ) -> None:
        from pspnet_core.inference.live_head import LiveHead
        from pspnet_core.inference.live_trust import trust_in

        self._features = features
        self._head = LiveHead(features, UNLABELLED, prior, kept, trust_in(num_images))
        self._prior, self._has_kept = prior, kept is not None
        self._marked: ClassMap = np.full(features.grid, UNLABELLED, np.uint8)
        self._erased: ClassMap = np.full(features.grid, UNLABELLED, np.uint8)
        self._was_erased = np.zeros(features.grid, np.bool_)  # also where nobody knows what was erased
        self._painted: ClassMap | None = None
        self._answered: ClassMap = np.full(features.grid, UNLABELLED, np.uint8)  # what was shown in each cell

    def set_prior(self, prior: LogitGrid | None, num_images: int | None = None) -> None:
        """Another version predicts, which learned from so many images (None where nobody knows)."""
        from pspnet_core.inference.live_trust import trust_in

        self._prior = prior
        self._head.set_prior(prior, trust_in(num_images))

    def set_kept(self, kept: KeptRows | None) -> None:
        """Replace the rows of earlier images."""
        self._head.set_kept(kept)
        self._has_kept = kept is not None

    def refit(self, marks: Marks) -> Iterator[Shown | None]:
        """Look at what changed, fit, and yield the answer: at once, and again when it has settled."""
        from pspnet_core.inference.live_sharpen import best_of, fine

        for rect in marks.changed:
            self._look_at(marks, rect)
        self._painted = None if marks.shown is None else marks.shown.painted
        ids = set(np.unique(self._marked).tolist()) - {UNLABELLED}
        says_something = ids or (self._erased != UNLABELLED).any()
        if not (self._has_kept or (says_something and self._prior is not None) or len(ids) >= 2):
            self._answered = self._head.prior_classes()  # a new array: what was given may be the old one
            yield Shown(None, None, None)
            return
        answer = self._head.answer(self._marked, self._erased)
        if answer is None or len(answer.class_ids) < 2:
            self._answered = self._head.prior_classes()  # a new array: what was given may be the old one
            yield Shown(None, None, None)
            return
        yield self._quick(answer, _WORTH_CELLS)
        for _ in range(_REST_STEPS):  # the window paints first, and the hand may have gone on
            time.sleep(_REST_S)
            yield None
        settled = self._head.settled(answer)
        if self._features.grid == (answer.height, answer.width):
            if settled is not answer:
                yield self._quick(settled, 1)
            else:
                yield self._quick(answer, 1)
            return
        answer = settled
        for prediction in fine(answer.planes, answer.class_ids, answer.height, answer.width):
            if prediction is None:
                yield None
            else:
                self._answered = best_of(answer.planes, answer.class_ids)[0]
                yield Shown(prediction, None, self._answered)

    def rows(self, marks: Marks | None = None) -> KeptRows | None:
        """What this image leaves for later ones, after a look at what changed; None when nothing is marked."""
        if marks is not None:
            for rect in marks.changed:
                self._look_at(marks, rect)
        return self._head.marked_rows(self._marked) if (self._marked != UNLABELLED).any() else None

    # --- inside

    def _quick(self, answer: Answer, min_cells: int) -> Shown:
        from pspnet_core.inference.live_sharpen import best_of, coarse

        self._answered, confidence = best_of(answer.planes, answer.class_ids)
        prediction = coarse(self._answered, confidence, answer.height, answer.width)
        changed = self._differences(min_cells)
        return Shown(prediction, changed, self._painted)

    def _differences(self, min_cells: int) -> tuple[Rect, ...] | None:
        """Blocks of the image in which so many cells have another class than what is painted; None for nearly all.

        To repaint a block for a handful of cells would take the time of those where much has changed; they are painted
        with the second look.
        """
        if self._painted is None:
            self._painted = self._answered
            return None
        rows, columns = self._features.grid
        differs = (self._painted != self._answered).view(np.uint8)
        counts = np.add.reduceat(differs, np.arange(0, rows, _BLOCK_CELLS), axis=0, dtype=np.int32)
        counts = np.add.reduceat(counts, np.arange(0, columns, _BLOCK_CELLS), axis=1)
        if (counts >= min_cells).mean() > _NEARLY_ALL:
            self._painted = self._answered
            return None
        whole = Rect(0, 0, columns, rows)
        corners = (np.argwhere(counts >= min_cells) * _BLOCK_CELLS).tolist()
        cells = [Rect(x, y, _BLOCK_CELLS, _BLOCK_CELLS).intersect(whole) for y, x in corners]
        self._painted = self._painted.copy()
        for block in cells:
            self._painted[block.slices] = self._answered[block.slices]
        return tuple(self._features.pixels_of(block) for block in cells)

    def _look_at(self, marks: Marks, rect: Rect) -> None:
        cells = self._features.cells_in(rect)
        rows = max(1, _STRIP * self._features.grid[0] // (self._features.height * self._features.width))
        for top in range(cells.y, cells.bottom, rows):
            self._look_at_cells(marks, Rect(cells.x, top, cells.w, min(rows, cells.bottom - top)))

    def _look_at_cells(self, marks: Marks, cells: Rect) -> None:
        pixels = self._features.pixels_of(cells)
        provenance = marks.provenance_plane.read(pixels)
        here, erased_here = self._marked[cells.slices], self._erased[cells.slices]
        was_erased = self._was_erased[cells.slices]
        if not provenance.any():
            here[:] = erased_here[:] = UNLABELLED
            was_erased[:] = False
            return
        is_erased = np.where(provenance == _ERASED, np.uint8(0), np.uint8(UNLABELLED))
        is_erased = self._features.reduced(is_erased, cells) == 0
        # What was there before says what it is not: the hand's own class, or what the overlay showed. Of a cell that
        # has long been erased this is not known any more: what is shown there now came later.
        before = np.where(here != UNLABELLED, here, self._answered[cells.slices])
        taken = np.where(was_erased, erased_here, before)
        erased_here[:] = np.where(is_erased, taken, np.uint8(UNLABELLED))
        was_erased[:] = is_erased
        classes = marks.class_plane.read(pixels)
        classes[(provenance != _BY_HAND[0]) & (provenance != _BY_HAND[1])] = UNLABELLED
        here[:] = self._features.reduced(classes, cells)


def keep_rows(folder: Path, item_key: str, kept: KeptRows | None) -> None:
    """Write the rows of an image; a failure costs nothing but help on later images, and is only logged."""
    from pspnet_core.inference.live_rows import write_rows

    try:
        write_rows(folder, item_key, kept)
    except PspnetError as error:
        logger.warning("rows of %s are not kept: %s", item_key, error)


def read_kept(folder: Path, item_key: str, class_ids: Sequence[int]) -> KeptRows | None:
    """Rows of the images of a project but this one."""
    from pspnet_core.inference.live_rows import read_rows

    return read_rows(folder, item_key, class_ids)
