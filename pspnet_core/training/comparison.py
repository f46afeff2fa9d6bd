"""Two versions measured on the same held-out pixels."""

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
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

Scores = tuple[float | None, float | None]
"""Mean IoU of the new and of the old version, None where there is none."""


class Comparison:
    """The current version and the new one on the same held-out pixels of the classes that both know.

    Args:
        old: The current version.
        holdout: Images with the held-out pixels labelled.
        classes: Of the new version.
        device: Where to compute.
    """

    def __init__(self, old: Checkpoint, holdout: Sequence[LabelledImage], classes: ClassSet, device: str) -> None:
        self._old, self._device = old, device
        self._common = tuple(i for i in classes.indices if i in old.classes)
        self._items = _only(holdout, self._common)
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


def _only(items: Sequence[LabelledImage], class_ids: tuple[int, ...]) -> list[LabelledImage]:
    """The same images with only these classes labelled."""
    keep = np.full(256, UNLABELLED, np.uint8)
    keep[list(class_ids)] = class_ids

    def load(item: LabelledImage) -> tuple[RgbImage, ClassMap]:
        image, class_map = item.load()
        return image, keep[class_map]

    return [LabelledImage(i.key, partial(load, i)) for i in items]
