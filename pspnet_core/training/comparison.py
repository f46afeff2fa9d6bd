"""Two versions measured on the same pixels, which neither learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence, Set
from functools import partial
from zlib import crc32

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.inference.predictor import Predicted, Predictor, WindowDone
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.training.data import LabelledCache, LabelledImage
from pspnet_core.training.events import Phase, TrainEvent
from pspnet_core.training.evidence import MIN_IMAGES, Counts, Evidence, cell_of, compare, count
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.holdout import block_mask, block_rects
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

_Blocks = dict[tuple[str, int, int], Counts]


class Comparison:
    """The current version and the new one on pixels of the classes that both know and that neither learned from.

    They are of images that neither learned from at all. Only where there are none, places in images count that both
    learned from otherwise; never images that one alone learned from: it knows their colours and light.

    Args:
        old: The current version.
        exposure: What it learned from.
        learned: Keys of the images that the new version learns from.
        holdout: Images with the pixels labelled that are held out from the new version.
        classes: Of the new version.
        device: Where to compute.
    """

    def __init__(
        self,
        old: Checkpoint,
        exposure: Exposure,
        learned: Set[str],
        holdout: Sequence[LabelledImage],
        classes: ClassSet,
        device: str,
    ) -> None:
        self._old, self._device = old, device
        self._common = tuple(i for i in classes.indices if i in old.classes)
        # In a stable order without meaning, so that the first of them are a fair sample.
        ordered = sorted(holdout, key=lambda item: crc32(item.key.encode()))
        unseen = [item for item in ordered if item.key not in learned | exposure.trained]
        shared = [item for item in ordered if item.key in learned & exposure.trained]
        self._is_of_unseen = bool(unseen)
        self._items = unlearned_only(unseen or shared, self._common, exposure)
        self._cache = LabelledCache(classes)
        self._old_counts: _Blocks = {}
        self.cost_s = 0.0

    def score_old(self, deadline: float) -> Generator[TrainEvent, None, None]:
        """Score the current version; after the deadline the images so far must do, for the new one, too.

        Five images are scored whatever it takes: fewer tell little of how images differ.

        Args:
            deadline: Of the clock ``time.monotonic``.
        """
        start = time.monotonic()
        self._old_counts, number = yield from self._score(self._old, lambda: time.monotonic() > deadline)
        self._items = self._items[:number]
        self.cost_s = time.monotonic() - start

    def score_new(self, new: Checkpoint) -> Generator[TrainEvent, None, Evidence | None]:
        """The new version against the old one; None when there is no pixel to compare them on."""
        counts, _ = yield from self._score(new, lambda: False)
        return compare(self._old_counts, counts, self._common, self._is_of_unseen)

    def _score(
        self, checkpoint: Checkpoint, enough: Callable[[], bool]
    ) -> Generator[TrainEvent, None, tuple[_Blocks, int]]:
        """Counts of each block, and the number of images."""
        counts: _Blocks = {}
        if not self._items:
            return counts, 0
        predictor = Predictor(checkpoint, self._device)
        for number, item in enumerate(self._items):
            image, class_map = self._cache.get(item)
            yield Phase("compare", number / len(self._items))
            for event in predictor.predict_windows(image):
                if isinstance(event, WindowDone):
                    yield Phase("compare", (number + event.done / event.total) / len(self._items))
                elif isinstance(event, Predicted):
                    counts |= self._counts(item.key, class_map, event.prediction.class_map)
            if len({key for key, _, _ in counts}) >= MIN_IMAGES and enough():
                return counts, number + 1
        return counts, len(self._items)

    def _counts(self, key: str, class_map: ClassMap, prediction: ClassMap) -> _Blocks:
        return {
            (key, cell_of(rect, class_map.shape), number): count(class_map, prediction, rect, self._common)
            for number, rect in enumerate(block_rects(class_map.shape))
            if (class_map[rect.slices] != UNLABELLED).any()
        }


def unlearned_only(
    items: Sequence[LabelledImage], class_ids: tuple[int, ...], exposure: Exposure
) -> list[LabelledImage]:
    """The same images with only these classes labelled, and only what was not learned from."""
    keep = np.full(256, UNLABELLED, np.uint8)
    keep[list(class_ids)] = class_ids

    def load(item: LabelledImage, blocks: frozenset[int] | None) -> tuple[RgbImage, ClassMap]:
        image, class_map = item.load()
        class_map = keep[class_map]
        if blocks is not None:
            class_map[~block_mask(class_map.shape, blocks)] = UNLABELLED
        return image, class_map

    found = [(item, exposure.unlearned(item.key)) for item in items]
    return [LabelledImage(i.key, partial(load, i, blocks)) for i, blocks in found if blocks is None or blocks]
