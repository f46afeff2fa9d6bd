"""Training as a generator of events."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any
from zlib import crc32

import numpy as np

from pspnet_core.devices import is_out_of_memory, numerics_for, out_of_memory, resolve_device, set_threads
from pspnet_core.errors import TrainingError
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.training.augment import random_crop
from pspnet_core.training.config import TrainConfig
from pspnet_core.training.data import LabelledCache, LabelledImage
from pspnet_core.training.evaluation import evaluate_images
from pspnet_core.training.events import Evaluated, FinishEarly, Finished, Phase, Step, TrainEvent, rounded
from pspnet_core.training.learner import Learner
from pspnet_core.training.sampler import AnchorSampler
from pspnet_core.training.schedule import Clock, lr_factor
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

_READ_SHARE = 0.1  # of a time budget, for reading images before the first step
_EVALUATION_SHARE = 0.025  # of a time budget, for one evaluation
_EVALUATION_PERIOD = 0.28  # of the progress
_FIRST_EVALUATION = 0.2
_TRIES_PER_CROP = 10

NOTHING_LEARNED = (
    "Training ended before it had learned anything.",
    "Not one step was done.",
    "Give it more time.",
)


def fit(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train a network.

    Yields at least every 200 ms or so on one CPU thread. Closing the generator cancels and frees everything.
    :class:`FinishEarly`, thrown into it, makes it yield :class:`Finished` with what was learned so far.

    Yields:
        :class:`Phase` as a sign of life, :class:`Step`, :class:`Evaluated`, and :class:`Finished` as the last.

    Raises:
        TrainingError: The data are unusable (the message names the image), the loss is not a number, or it was
            finished before the first step.
        CheckpointError: The initial weights are missing.
        DeviceError: The device is not there, or memory ran out.
        ValueError: The name of the device is not possible.
    """
    yield (yield from train(config))


def train(config: TrainConfig) -> Generator[TrainEvent, None, Finished]:
    """As :func:`fit`, with the last event as the value of the generator."""
    set_threads(config.num_threads)
    run = _Run(config)
    try:
        with suppress(FinishEarly):  # the result so far is what was asked for
            yield from run.train()
        return run.finished()
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(run.device, "training") from error
        raise


class _Run:
    """State of one training run. It lives in the generator's frame and is freed with it."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._clock = Clock(config.seconds, config.steps)
        self._rng = np.random.default_rng(config.seed)
        self.device = resolve_device(config.device)
        self._cache = LabelledCache(config.classes, config.cache_bytes)
        self._sampler = AnchorSampler(self._rng)
        self._images: list[LabelledImage] = []
        self._learner: Learner | None = None
        self._crop_px = 0
        # A stable order without meaning, so that a part of it is a fair sample.
        self._holdout = sorted(config.holdout, key=lambda item: crc32(item.key.encode()))
        self._evaluation_s = 0.0
        self._scores: dict[str, Any] = {}

    def train(self) -> Iterator[TrainEvent]:
        """Everything but the last event."""
        yield Phase("read", 0.0)
        yield from self._read()
        self._learner = Learner(self._config, numerics_for(self.device), self._sampler.counts)
        self._clock.start_training()
        yield Phase("train", 0.0)
        next_evaluation = _FIRST_EVALUATION
        while self._clock.progress < 1.0:
            yield from self._step(self._learner)
            progress = self._clock.progress
            if self._holdout and next_evaluation <= progress < 1.0 - _EVALUATION_PERIOD / 2:
                yield from self._evaluate(self._learner)
                next_evaluation = max(progress, next_evaluation) + _EVALUATION_PERIOD
        if self._holdout:
            yield from self._evaluate(self._learner)

    def finished(self) -> Finished:
        """The result so far."""
        if self._learner is None or not self._learner.num_steps:
            raise TrainingError(*NOTHING_LEARNED)
        metrics = {
            "steps": self._learner.num_steps,
            "seconds": round(self._clock.elapsed_s, 2),
            "loss": rounded(self._learner.loss),
            "train_images": len(self._images),
            "labelled_px": {str(i): n for i, n in self._sampler.counts.items()},
            **self._scores,
        }
        return Finished(self._learner.checkpoint(metrics), metrics)

    def _read(self) -> Iterator[TrainEvent]:
        """Take in the training images, as many as a tenth of the time allows, in random order."""
        items = self._config.train
        largest = 0
        for count, index in enumerate(self._rng.permutation(len(items))):
            item = items[int(index)]
            image, class_map = self._cache.get(item)
            self._sampler.add(len(self._images), class_map)
            self._images.append(item)
            largest = max(largest, *image.shape[:2])
            yield Phase("read", (count + 1) / len(items))
            if self._clock.share_of_budget(self._clock.elapsed_s) > _READ_SHARE and self._sampler.counts:
                break
        self._crop_px = min(self._config.recipe.crop_px, -(-largest // 32) * 32)

    def _step(self, learner: Learner) -> Iterator[TrainEvent]:
        clock, recipe = self._clock, self._config.recipe
        crops = [self._crop() for _ in range(recipe.batch_size)]
        factor = lr_factor(clock.progress, learner.num_steps, recipe.warmup_steps, recipe.poly_power)
        for _ in learner.step(crops, factor):
            yield Phase("train", clock.progress)
        clock.step = learner.num_steps
        yield Step(learner.num_steps, clock.num_steps, learner.loss, clock.elapsed_s, clock.eta_s)

    def _crop(self) -> tuple[RgbImage, ClassMap]:
        for _ in range(_TRIES_PER_CROP):
            anchor = self._sampler.draw()
            image, class_map = self._cache.get(self._images[anchor.image])
            crop, labels = random_crop(
                image, class_map, (anchor.row, anchor.column), self._crop_px, self._config.recipe, self._rng
            )
            if (labels != UNLABELLED).any():
                return crop, labels
        raise TrainingError(
            "Too few pixels are labelled to train on.",
            f"{_TRIES_PER_CROP} crops in a row showed none; single pixels vanish when a crop is made smaller.",
            "Paint larger areas of each class, then train again.",
        )

    def _evaluate(self, learner: Learner) -> Iterator[TrainEvent]:
        """Score the averaged weights. The first time decides how many images fit into the time for one evaluation."""
        start = self._clock.elapsed_s
        is_first = not self._scores

        def enough() -> bool:
            return is_first and self._clock.share_of_budget(self._clock.elapsed_s - start) > _EVALUATION_SHARE

        matrix, count = yield from _as_phases(
            evaluate_images(learner.view(), self._holdout, self._cache, str(self.device), enough)
        )
        self._holdout = self._holdout[:count]
        self._clock.reserve_s = self._clock.elapsed_s - start
        self._scores = {
            "mean_iou": rounded(matrix.mean_iou),
            "pixel_accuracy": rounded(matrix.pixel_accuracy),
            "iou": {str(i): rounded(v) for i, v in matrix.iou_by_id.items()},
            "holdout_images": count,
            "evaluated_step": learner.num_steps,
        }
        yield Evaluated(learner.num_steps, matrix.mean_iou, matrix.iou_by_id)


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
