"""The hold-out of a run, scored while it learns, each process its part."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from pspnet_core.inference.calibration import Calibration
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.training.data import LabelledCache, LabelledImage
from pspnet_core.training.distributed import Group
from pspnet_core.training.evaluation import evaluate_images
from pspnet_core.training.events import Evaluated, Phase, TrainEvent, rounded


class HoldOut:
    """Held-out images and the latest scores on them.

    Args:
        items: To measure on; may be none.
        cache: Loads them.
        device: Where to compute.
        seed: Of the pixels that the temperature is found on.
        group: The processes that share the images.

    Attributes:
        scores: Of the latest evaluation, plain JSON values; empty before the first.
        temperature: Of the weights that were scored last.
        evaluation_s: Seconds of the longest evaluation.
    """

    def __init__(
        self, items: Sequence[LabelledImage], cache: LabelledCache, device: str, seed: int, group: Group
    ) -> None:
        # A stable order without meaning, so that a part of it is a fair sample.
        ordered = sorted(items, key=lambda item: crc32(item.key.encode()))
        self._items = group.part(ordered)
        self._is_empty = not ordered
        self._cache, self._device, self._seed, self._group = cache, device, seed, group
        self.scores: dict[str, Any] = {}
        self.temperature = 1.0
        self.evaluation_s = 0.0

    def __bool__(self) -> bool:
        return not self._is_empty

    def evaluate(self, checkpoint: Checkpoint, step: int, limit_s: float) -> Generator[TrainEvent, None, Evaluated]:
        """Score ``checkpoint``; yields signs of life.

        Args:
            checkpoint: As it is after ``step`` steps.
            step: Steps done.
            limit_s: The first time decides how many images fit into so many seconds; later ones measure on the same.
        """
        start_s = time.monotonic()
        is_first = not self.scores
        calibration = Calibration(self._seed)
        evaluation = evaluate_images(
            checkpoint,
            self._items,
            self._cache,
            self._device,
            lambda: is_first and time.monotonic() - start_s > limit_s,
            calibration=calibration,
        )
        matrix, count = yield from _as_phases(evaluation)
        self._items = self._items[:count]
        matrix, total = self._together(matrix, count)
        self.evaluation_s = max(self.evaluation_s, time.monotonic() - start_s)
        self.temperature = calibration.temperature()
        self.scores = {
            "mean_iou": rounded(matrix.mean_iou),
            "pixel_accuracy": rounded(matrix.pixel_accuracy),
            "iou": {str(i): rounded(v) for i, v in matrix.iou_by_id.items()},
            "holdout_images": total,
            "evaluated_step": step,
            "temperature": rounded(self.temperature),
        }
        return Evaluated(step, matrix.mean_iou, matrix.iou_by_id)

    def to_json(self) -> dict[str, Any]:
        """What a run that goes on later has to know. Of several processes it holds the part of the first."""
        return {
            "scores": self.scores,
            "temperature": self.temperature,
            "evaluation_s": self.evaluation_s,
            "count": len(self._items),
        }

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on from :meth:`to_json`. Raises: KeyError, TypeError, ValueError."""
        self.scores = dict(told["scores"])
        self.temperature, self.evaluation_s = float(told["temperature"]), float(told["evaluation_s"])
        self._items = self._items[: int(told["count"])] if self.scores else self._items

    def _together(self, matrix: ConfusionMatrix, count: int) -> tuple[ConfusionMatrix, int]:
        """The counts of all processes."""
        if self._group.size == 1:
            return matrix, count
        counts = matrix.counts
        *values, total = self._group.sum([*counts.reshape(-1).tolist(), count])  # exact up to 2^53
        return ConfusionMatrix.from_counts(matrix.class_ids, np.array(values).reshape(counts.shape)), int(total)


def _as_phases(
    evaluation: Generator[float, None, tuple[ConfusionMatrix, int]],
) -> Generator[TrainEvent, None, tuple[ConfusionMatrix, int]]:
    while True:
        try:
            fraction = next(evaluation)
        except StopIteration as stop:
            matrix, count = stop.value
            return matrix, count
        yield Phase("evaluate", fraction)
