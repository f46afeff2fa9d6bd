"""Two versions measured on the same pixels, which neither learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from functools import partial

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.training.data import LabelledCache, LabelledImage
from pspnet_core.training.evaluation import evaluate_images
from pspnet_core.training.events import Phase, TrainEvent, rounded
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.holdout import block_mask
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

Scores = tuple[float | None, float | None]
"""Mean IoU of the new and of the old version; both None when there is no pixel to compare them on."""


class Comparison:
    """The current version and the new one on pixels of the classes that both know and that neither learned from.

    Args:
        old: The current version.
        exposure: What it learned from.
        holdout: Images with the pixels labelled that are held out from the new version.
        classes: Of the new version.
        device: Where to compute.
    """

    def __init__(
        self, old: Checkpoint, exposure: Exposure, holdout: Sequence[LabelledImage], classes: ClassSet, device: str
    ) -> None:
        self._old, self._device = old, device
        self._common = tuple(i for i in classes.indices if i in old.classes)
        self._items = unlearned_only(holdout, self._common, exposure)
        self._cache = LabelledCache(classes)
        self._old_mean_iou: float | None = None
        self.cost_s = 0.0

    def score_old(self, deadline: float) -> Generator[TrainEvent, None, None]:
        """Score the current version; after the deadline the images so far must do, for the new one, too."""
        start = time.monotonic()
        self._old_mean_iou, count = yield from self._score(self._old, lambda: time.monotonic() > deadline)
        self._items = self._items[:count]
        self.cost_s = time.monotonic() - start

    def score_new(self, new: Checkpoint) -> Generator[TrainEvent, None, Scores]:
        """Mean IoU of the new version and of the old one."""
        mean_iou, _ = yield from self._score(new, lambda: False)
        return mean_iou, self._old_mean_iou

    def _score(
        self, checkpoint: Checkpoint, enough: Callable[[], bool]
    ) -> Generator[TrainEvent, None, tuple[float | None, int]]:
        evaluation = evaluate_images(checkpoint, self._items, self._cache, self._device, enough)
        while True:
            try:
                fraction = next(evaluation)
            except StopIteration as stop:
                matrix, count = stop.value
                return rounded(matrix.mean_iou_of(self._common)), count
            yield Phase("compare", fraction)


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
