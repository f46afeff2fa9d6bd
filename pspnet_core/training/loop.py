"""Training as a generator of events."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any
from zlib import crc32

from pspnet_core.devices import is_out_of_memory, numerics_for, out_of_memory, resolve_device, set_threads
from pspnet_core.errors import TrainingError
from pspnet_core.inference.calibration import Calibration
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.training.config import TrainConfig
from pspnet_core.training.data import LabelledCache
from pspnet_core.training.evaluation import evaluate_images
from pspnet_core.training.events import (
    Evaluated,
    FinishEarly,
    Finished,
    Phase,
    Step,
    TrainEvent,
    insisting,
    rounded,
)
from pspnet_core.training.learner import Learner
from pspnet_core.training.pool import ImagePool
from pspnet_core.training.schedule import Clock, lr_factor

_READ_SHARE = 0.1  # of a time budget before the first step, then of the time since, for reading images
_EVALUATION_SHARE = 0.025  # of a time budget, for one evaluation
_EVALUATION_PERIOD = 0.28  # of the progress
_FIRST_EVALUATION = 0.2

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
        yield from insisting(run.evaluate_at_last())
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
        self.device = resolve_device(config.device)
        self._cache = LabelledCache(config.classes, config.cache_bytes)
        self._pool = ImagePool(config.train, self._cache, config.chosen_recipe, config.seed)
        self._learner: Learner | None = None
        self._read_s = 0.0
        self._crop_px = 0
        # A stable order without meaning, so that a part of it is a fair sample.
        self._holdout = sorted(config.holdout, key=lambda item: crc32(item.key.encode()))
        self._evaluation_s = 0.0  # the longest so far
        self._scores: dict[str, Any] = {}
        self._temperature = 1.0  # of the weights that were scored last

    def train(self) -> Iterator[TrainEvent]:
        """Everything but the last event."""
        yield Phase("read", 0.0)
        yield from self._read()
        self._learner = Learner(self._config, numerics_for(self.device), self._pool.counts)
        if self._holdout:
            self._clock.reserve(_EVALUATION_SHARE)  # until one was measured
        self._clock.start_training()
        yield Phase("train", 0.0)
        next_evaluation = _FIRST_EVALUATION
        while self._clock.progress < 1.0:
            yield from self._read_on(self._learner)
            yield from self._step(self._learner)
            progress = self._clock.progress
            if self._holdout and next_evaluation <= progress < 1.0 - _EVALUATION_PERIOD / 2:
                yield from self._evaluate(self._learner)
                next_evaluation = max(progress, next_evaluation) + _EVALUATION_PERIOD
        if self._holdout:
            yield from self._evaluate(self._learner)

    def evaluate_at_last(self) -> Generator[TrainEvent, None, None]:
        """Score what was learned if that was never done, because it was finished early."""
        if self._learner is not None and self._learner.num_steps and self._holdout and not self._scores:
            yield from self._evaluate(self._learner)

    def finished(self) -> Finished:
        """The result so far."""
        if self._learner is None or not self._learner.num_steps:
            raise TrainingError(*NOTHING_LEARNED)
        metrics = {
            "steps": self._learner.num_steps,
            "seconds": round(self._clock.elapsed_s, 2),
            "loss": rounded(self._learner.loss),
            "train_images": len(self._pool.keys),
            "train_images_offered": self._pool.num_images,
            "labelled_px": {str(i): n for i, n in self._pool.counts.items()},
            **self._scores,
        }
        checkpoint = self._learner.checkpoint(metrics)
        checkpoint.model.scale_logits(1.0 / self._temperature)
        return Finished(checkpoint, metrics, self._pool.keys)

    def _read(self) -> Iterator[TrainEvent]:
        """Take in the training images, as many as a tenth of the time allows."""
        pool = self._pool
        while not pool.is_complete:
            pool.read_next()
            yield Phase("read", len(pool.keys) / pool.num_images)
            if self._clock.share_of_budget(self._clock.elapsed_s) > _READ_SHARE and pool.counts:
                break
        self._crop_px = pool.crop_px

    def _read_on(self, learner: Learner) -> Iterator[TrainEvent]:
        """Take in one of the images that are left, unless reading took more than its share of the time already."""
        clock = self._clock
        if self._pool.is_complete or self._read_s > _READ_SHARE * clock.training_s:
            return
        start = clock.elapsed_s
        self._pool.read_next()
        learner.weigh(self._pool.counts)
        self._read_s += clock.elapsed_s - start
        yield Phase("train", clock.progress)

    def _step(self, learner: Learner) -> Iterator[TrainEvent]:
        clock, recipe = self._clock, self._config.chosen_recipe
        first = learner.num_steps * recipe.batch_size
        crops = [self._pool.crop(self._crop_px, first + number) for number in range(recipe.batch_size)]
        factor = lr_factor(clock.progress, learner.num_steps, recipe.warmup_steps, recipe.poly_power)
        for _ in learner.step(crops, factor):
            yield Phase("train", clock.progress)
        clock.step = learner.num_steps
        yield Step(learner.num_steps, clock.num_steps, learner.loss, clock.elapsed_s, clock.eta_s)

    def _evaluate(self, learner: Learner) -> Iterator[TrainEvent]:
        """Score the averaged weights. The first time decides how many images fit into the time for one evaluation."""
        start = self._clock.elapsed_s
        is_first = not self._scores
        calibration = Calibration(self._config.seed)

        def enough() -> bool:
            return is_first and self._clock.share_of_budget(self._clock.elapsed_s - start) > _EVALUATION_SHARE

        matrix, count = yield from _as_phases(
            evaluate_images(
                learner.view(), self._holdout, self._cache, str(self.device), enough, calibration=calibration
            )
        )
        self._holdout = self._holdout[:count]
        self._evaluation_s = max(self._evaluation_s, self._clock.elapsed_s - start)
        self._clock.reserve_s = self._evaluation_s
        self._temperature = calibration.temperature()
        self._scores = {
            "mean_iou": rounded(matrix.mean_iou),
            "pixel_accuracy": rounded(matrix.pixel_accuracy),
            "iou": {str(i): rounded(v) for i, v in matrix.iou_by_id.items()},
            "holdout_images": count,
            "evaluated_step": learner.num_steps,
            "temperature": rounded(self._temperature),
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
