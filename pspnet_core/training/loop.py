"""Training as a generator of events."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from torch import Tensor

from pspnet_core.devices import is_out_of_memory, out_of_memory, resolve_device, set_threads, training_numerics
from pspnet_core.errors import TrainingError
from pspnet_core.training.config import TrainConfig
from pspnet_core.training.course import Course
from pspnet_core.training.data import LabelledCache
from pspnet_core.training.distributed import ALONE, Group
from pspnet_core.training.events import (
    Adjusted,
    FinishEarly,
    Finished,
    Phase,
    Resumed,
    Step,
    TrainEvent,
    insisting,
    rounded,
)
from pspnet_core.training.keeping import Keeper
from pspnet_core.training.learner import DivergedError, Learner
from pspnet_core.training.reading import Reading
from pspnet_core.training.recovery import Recovery
from pspnet_core.training.run_state import discard
from pspnet_core.training.scoring import HoldOut
from pspnet_core.types import ClassMap, RgbImage

_EVALUATION_SHARE = 0.025  # of a time budget, for one evaluation
_LONGEST_EVALUATION_S = 10.0

_R = TypeVar("_R")

NOTHING_LEARNED = (
    "Training ended before it had learned anything.",
    "Not one step was done.",
    "Give it more time.",
)


def fit(config: TrainConfig, group: Group = ALONE) -> Iterator[TrainEvent]:
    """Train a network.

    Yields at least every 200 ms or so on one CPU thread. Closing the generator cancels and frees everything.
    :class:`FinishEarly`, thrown into it, makes it yield :class:`Finished` with what was learned so far.

    With a time budget the number of steps is fixed after the first ones, by their speed; equal numbers of steps, seeds
    and data give equal losses. In mode ``full`` training ends earlier when the held-out score does not rise any more.
    A :attr:`TrainConfig.state_file` that is there is gone on from; it is removed when the event after the last is asked
    for.

    Args:
        config: What to do.
        group: The processes that do it together; each calls this with an equal configuration.

    Yields:
        :class:`Phase` as a sign of life, :class:`Planned` once the length is known, and again when it changes,
        :class:`Resumed`, :class:`Adjusted`, :class:`Step`, :class:`Evaluated`, and :class:`Finished` as the last.

    Raises:
        TrainingError: The data are unusable (the message names the image), the loss is not a number again and again,
            or it was finished before the first step.
        CheckpointError: The initial weights are missing.
        DeviceError: The device is not there, or memory ran out.
        ValueError: The name of the device is not possible.
    """
    yield (yield from train(config, group))
    if config.state_file is not None and group.is_first:
        discard(config.state_file)


def train(config: TrainConfig, group: Group = ALONE) -> Generator[TrainEvent, None, Finished]:
    """As :func:`fit`, with the last event as the value of the generator, and without removing the state file."""
    set_threads(config.num_threads)
    run = _Run(config, group)
    try:
        with suppress(FinishEarly):  # the result so far is what was asked for
            yield from run.course.clock.without_rests(run.train())
        yield from insisting(run.evaluate_at_last())
        return run.finished()
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(run.device, "training") from error
        raise


class _Run:
    """State of one training run. It lives in the generator's frame and is freed with it."""

    def __init__(self, config: TrainConfig, group: Group) -> None:
        self._config, self._group = config, group
        self.course = Course(config, group)
        self.device = resolve_device(config.device)
        cache = LabelledCache(config.classes, config.cache_bytes)
        self._reading = Reading(config, cache, self.course.clock, keeps_to_time=group.size == 1)
        self._holdout = HoldOut(config.holdout, cache, str(self.device), config.seed, group)
        self._keeper = Keeper(config, group)
        self._recovery = Recovery(self.device)
        self._learner: Learner | None = None
        self._adjustments: list[str] = []
        self._end = "early"

    def train(self) -> Generator[TrainEvent, None, None]:
        """Everything but the last event."""
        yield Phase("read", 0.0)
        yield from self._reading.check()
        learner = yield from self._begin()
        self._learner = learner
        for _ in self._recovery.remember(learner, now=True):
            yield Phase("train", self.course.progress)
        yield Phase("train", self.course.progress)
        while not self._is_done():
            num_read = len(self._reading.pool.keys)
            yield from self._noted(self._reading.more(self.course.step))
            if len(self._reading.pool.keys) > num_read:
                learner.weigh(self._reading.pool.counts)
            yield from self._step(learner)
            if self.course.is_evaluation_due:
                yield from self._evaluate(learner)
            yield from self._noted(self._keeper.keep(self._state, self.course.progress))
        if self._holdout and self._holdout.scores.get("evaluated_step") != self.course.step:
            yield from self._evaluate(learner)

    def evaluate_at_last(self) -> Generator[TrainEvent, None, None]:
        """Score what was learned if that was never done, because it was finished early."""
        if self._learner is not None and self._learner.num_steps and self._holdout and not self._holdout.scores:
            yield from self._evaluate(self._learner)

    def finished(self) -> Finished:
        """The result so far."""
        if self._learner is None or not self._learner.num_steps:
            raise TrainingError(*NOTHING_LEARNED)
        pool = self._reading.pool
        metrics = {
            "mode": self._config.mode,
            "seed": self._config.seed,
            "steps": self._learner.num_steps,
            "planned_steps": self.course.planned_steps,
            "end": self._end,
            "repeatable": self._reading.is_repeatable and not self._recovery.rollbacks,
            "adjustments": self._adjustments,
            "seconds": round(self.course.clock.elapsed_s, 2),
            "loss": rounded(self._learner.loss),
            "train_images": len(pool.keys),
            "train_images_offered": pool.num_images,
            "labelled_px": {str(i): n for i, n in pool.counts.items()},
            **self._holdout.scores,
        }
        checkpoint = self._learner.checkpoint(metrics)
        checkpoint.model.scale_logits(1.0 / self._holdout.temperature)
        return Finished(checkpoint, metrics, pool.keys)

    # --- beginning and going on

    def _begin(self) -> Generator[TrainEvent, None, Learner]:
        """Read images and make the learner: from the start, or as an interrupted run had them."""
        state = yield from self._noted(self._keeper.found())
        record = self._group.share_json(None if state is None else state.record)
        if record is not None:
            learner = yield from self._go_on(record, {} if state is None else state.tensors)
            if learner is not None:
                yield Resumed(self.course.step)
                if self.course.plan is not None:
                    yield self.course.planned()
                return learner
            yield self._note("state", "The images or labels have changed since. Training starts anew.")
            self._reading.begin_again()
        yield from self._noted(self._reading.first())
        self._recovery.crop_px = self._reading.pool.crop_px
        return (yield from self._new_learner())

    def _go_on(self, record: dict[str, Any], tensors: dict[str, Tensor]) -> Generator[TrainEvent, None, Learner | None]:
        """The learner as a state has it; None when that is of no use."""
        try:
            yield from self._noted(self._reading.exactly(int(record["num_read"])))
            (fits,) = self._group.first_says(self._reading.pool.digest == record["digest"])
            if not fits:
                return None
            learner = yield from self._new_learner()
            if self._group.is_first:
                learner.restore(tensors, record["counters"])
            self._restore(learner, record)
        except (KeyError, TypeError, ValueError, AttributeError):  # not what a run of this program writes
            return None
        return learner

    def _restore(self, learner: Learner, record: dict[str, Any]) -> None:
        learner.recount(record["counters"])
        for tensor in learner.tensors().values():
            self._group.share(tensor)
        self._recovery.crop_px, self._recovery.rollbacks = int(record["crop_px"]), int(record["rollbacks"])
        self._reading.is_repeatable = bool(record["is_repeatable"])
        self._adjustments = [*map(str, record["adjustments"]), *self._adjustments]
        self._holdout.restore(record["holdout"])
        self.course.restore(record["course"])
        self.course.evaluation_s = self._holdout.evaluation_s

    def _state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What :meth:`_restore` needs."""
        assert self._learner is not None
        record = {
            "num_read": len(self._reading.pool.keys),
            "digest": self._reading.pool.digest,
            "counters": self._learner.counters(),
            "crop_px": self._recovery.crop_px,
            "rollbacks": self._recovery.rollbacks,
            "is_repeatable": self._reading.is_repeatable,
            "adjustments": self._adjustments,
            "holdout": self._holdout.to_json(),
            "course": self.course.to_json(),
        }
        return record, self._learner.tensors()

    def _new_learner(self) -> Generator[TrainEvent, None, Learner]:
        numerics = training_numerics(self.device, self._config.precision)
        making = Learner.in_pieces(self._config, numerics, self._reading.pool.counts, self._group)
        return (yield from _telling(making, Phase("train", self.course.progress)))

    # --- steps and scores

    def _is_done(self) -> bool:
        if self.course.is_finished:
            self._end = "score" if self.course.ended_by_score else "plan"
        elif self.course.is_far_too_late():
            self._end = "time"
        else:
            return False
        return True

    def _step(self, learner: Learner) -> Iterator[TrainEvent]:
        """One step, and the plan when it is time for it."""
        course, start_s = self.course, self.course.clock.elapsed_s
        while True:
            diverged: DivergedError | None = None
            try:
                for _ in learner.step(self._crops(), course.lr_factor):
                    yield Phase("train", course.progress)
                break
            except DivergedError as error:
                diverged = error
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self._group.size > 1:  # the others would wait for ever
                    raise
            # Here the error is gone, and with it what its frames held.
            if diverged is not None:
                yield self._note("rate", self._recovery.roll_back(learner, diverged))
            else:
                yield self._note("memory", self._recovery.use_less_memory(learner))
        course.step = learner.num_steps
        course.clock.took(course.clock.elapsed_s - start_s)
        for _ in self._recovery.remember(learner):
            yield Phase("train", course.progress)
        yield Step(course.step, course.num_steps, learner.loss, course.clock.elapsed_s, course.eta_s)
        if course.can_plan():
            if self._holdout and self._config.steps is None:
                yield from self._evaluate(learner)  # for the time that it takes
            pool = self._reading.pool
            yield course.make_plan(pool.counts, len(pool.keys))

    def _crops(self) -> Sequence[tuple[RgbImage, ClassMap]]:
        """This process's crops of the next step."""
        batch = max(self._config.chosen_recipe.batch_size, self._group.size)
        numbers = self._group.part(range(self.course.step * batch, (self.course.step + 1) * batch))
        return [self._reading.pool.crop(self._recovery.crop_px, number) for number in numbers]

    def _evaluate(self, learner: Learner) -> Iterator[TrainEvent]:
        """Score the averaged weights; in mode ``full`` the scores decide when to stop."""
        budget_s = self._config.seconds
        limit_s = float("inf") if budget_s is None else min(_EVALUATION_SHARE * budget_s, _LONGEST_EVALUATION_S)
        evaluated = yield from self._holdout.evaluate(learner.view(), learner.num_steps, limit_s)
        self.course.evaluation_s = self._holdout.evaluation_s
        yield evaluated
        if self.course.scored(evaluated.mean_iou):
            yield self.course.planned()

    # --- telling

    def _note(self, what: str, detail: str) -> Adjusted:
        self._adjustments.append(detail)
        return Adjusted(what, detail)

    def _noted(self, events: Generator[TrainEvent, None, _R]) -> Generator[TrainEvent, None, _R]:
        """The same events, those of adjustments remembered."""
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                value: _R = stop.value
                return value
            if isinstance(event, Adjusted):
                self._adjustments.append(event.detail)
            yield event


def _telling(pieces: Generator[None, None, _R], event: TrainEvent) -> Generator[TrainEvent, None, _R]:
    """``event`` after each piece."""
    while True:
        try:
            next(pieces)
        except StopIteration as stop:
            value: _R = stop.value
            return value
        yield event
