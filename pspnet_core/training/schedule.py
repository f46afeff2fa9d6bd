"""How long a run is, how far it is, and the learning rate that follows from it. Needs no torch."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

from pspnet_core.training.events import FinishEarly
from pspnet_core.training.length import cool_down_steps

if TYPE_CHECKING:
    from pspnet_core.training.config import Mode, Recipe

MEASURED_STEPS = 5
"""At least so many steps tell the speed."""

_FIRST_STEPS = 2  # are slower than those that follow
_RECENT_STEPS = 40
_REST_S = 2.0  # a gap between two events that is longer is a pause, not work beside
_EVALUATIONS = 0.1  # share of the time for evaluations on the way
_EVALUATION_PERIOD = 0.3  # of the steps, where the score does not decide when to stop
_SHORTEST_PERIOD = 0.02

_E = TypeVar("_E")
_R = TypeVar("_R")


class Clock:
    """Wall time of a run from now on, without its pauses.

    Args:
        seconds: Budget, or None.
        now: Clock in seconds.
    """

    def __init__(self, seconds: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._now = seconds, now
        self._start = now()
        self._steps: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._num_steps = 0

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return self._now() - self._start

    def go_on_after(self, elapsed_s: float) -> None:
        """Count what passed before an interruption, too."""
        self._start -= elapsed_s

    def took(self, seconds: float) -> None:
        """A step took so long."""
        self._num_steps += 1
        if self._num_steps == _FIRST_STEPS + 1:
            self._steps.clear()
        self._steps.append(seconds)

    @property
    def step_s(self) -> float:
        """Of a usual step, in seconds; 0 before the first."""
        return median(self._steps) if self._steps else 0.0

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left, at least 0; infinite without one."""
        return math.inf if self._seconds is None else max(0.0, self._seconds - self.elapsed_s)

    def share_of_budget(self, seconds: float) -> float:
        """``seconds`` as a share of the budget; 0 without one."""
        return seconds / self._seconds if self._seconds is not None else 0.0

    @property
    def is_far_too_late(self) -> bool:
        """Whether one and a half times the budget is over."""
        return self.share_of_budget(self.elapsed_s) > 1.5

    def without_rests(self, events: Generator[_E, None, _R]) -> Generator[_E, None, _R]:
        """The same events; long gaps between them, in which nobody asked for the next one, are not counted."""
        request: FinishEarly | None = None
        try:
            while True:
                try:
                    event = next(events) if request is None else events.throw(request)
                except StopIteration as stop:
                    value: _R = stop.value
                    return value
                request, yielded_s = None, self._now()
                try:
                    yield event
                except FinishEarly as caught:
                    request = caught
                if (gap_s := self._now() - yielded_s) > _REST_S:
                    self._start += gap_s
        finally:
            events.close()


@dataclass(frozen=True, slots=True)
class Plan:
    """The course of a run, fixed after its first steps.

    Attributes:
        steps: In all.
        decay_from: Step from which on the learning rate falls.
        evaluate_every: Steps between evaluations on the way; 0 for none.
        may_stop: Whether the held-out score may end it earlier.
    """

    steps: int
    decay_from: int
    evaluate_every: int = 0
    may_stop: bool = False

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as arguments of the class."""
        return asdict(self)

    def stopped_at(self, step: int) -> Plan:
        """What follows when the score does not rise any more: the learning rate falls, and that is the end."""
        steps = min(self.steps, step + cool_down_steps(step))
        return Plan(steps, min(step, self.decay_from), 0, False)


def measured_steps(recipe: Recipe) -> int:
    """Steps before the plan is made. Until then the learning rate only warms up, whatever the plan will be."""
    return max(MEASURED_STEPS, recipe.warmup_steps)


def decay_start(mode: Mode, steps: int, recipe: Recipe) -> int:
    """Step from which on the learning rate falls in a run of ``steps`` steps: the same for equal arguments.

    In ``quick`` from the end of the warm-up; ``full`` keeps it up until only the cool-down is left, so that the run can
    be ended at any time and is then the same as one that was planned to be so short.
    """
    first = measured_steps(recipe)
    return first if mode == "quick" else max(first, _cool_down_start(steps))


def _cool_down_start(steps: int) -> int:
    """The latest step after which a whole cool-down fits into ``steps``."""
    low, high = 0, steps
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle + cool_down_steps(middle) <= steps else (low, middle - 1)
    return low


def steps_within(left_s: float, step_s: float, evaluation_s: float) -> int:
    """Steps that fit into the time that is left, with the evaluations on the way and the last one."""
    return max(0, int((left_s - evaluation_s) * (1 - _EVALUATIONS * (evaluation_s > 0)) / max(step_s, 1e-6)))


def evaluation_period(steps: int, step_s: float, evaluation_s: float, decides: bool) -> int:
    """Steps between evaluations, which take at most a tenth of the time; 0 for none on the way.

    Args:
        steps: In all that are left.
        step_s: Of one step; with ``evaluation_s`` of 0 the time does not matter.
        evaluation_s: Of one evaluation.
        decides: Whether the scores decide when to stop: then there are as many as the time allows.
    """
    affordable = math.ceil(evaluation_s * (1 / _EVALUATIONS - 1) / max(step_s, 1e-6))
    period = max(1, affordable, math.ceil((_SHORTEST_PERIOD if decides else _EVALUATION_PERIOD) * steps))
    return period if period <= 0.7 * steps else 0


def lr_factor(step: int, recipe: Recipe, plan: Plan | None) -> float:
    """Factor of the peak learning rate in step ``step``, counted from 0.

    Linear warm-up, then constant, then (1 - progress of the decay)^power.

    Args:
        step: Steps done before it.
        recipe: How to learn.
        plan: None before it is made.
    """
    warmup = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps > 0 else 1.0
    if plan is None or step < plan.decay_from:
        return float(warmup)
    progress = min(1.0, (step - plan.decay_from) / max(1, plan.steps - plan.decay_from))
    return float(warmup * (1.0 - progress) ** recipe.poly_power)
