"""Where a run stands: its clock, its plan, and the scores that may end it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pspnet_core.training.events import Planned
from pspnet_core.training.length import Plateau, recommended_steps
from pspnet_core.training.schedule import (
    MEASURED_STEPS,
    Clock,
    Plan,
    decay_start,
    evaluation_period,
    lr_factor,
    measured_steps,
    steps_within,
)

if TYPE_CHECKING:
    from pspnet_core.training.config import TrainConfig
    from pspnet_core.training.distributed import Group

_PLAN_SHARES = 0.1, 0.3  # of a time budget, after which the plan is made with few, or hardly any, steps measured
_PLANNED_AFTER = 3  # steps, where their number is given


class Course:
    """From the first step to the last.

    Args:
        config: Of the run.
        group: Its processes; the clock of the first one decides for all.

    Attributes:
        clock: Of the run.
        plan: None before it is made.
        planned_steps: As they were first planned; None before.
        step: Steps done.
        evaluation_s: Seconds that one evaluation takes; 0 without a hold-out, or before the first.
    """

    def __init__(self, config: TrainConfig, group: Group) -> None:
        self._config, self._group, self._recipe = config, group, config.chosen_recipe
        self.clock = Clock(config.seconds)
        self.plan: Plan | None = None
        self.planned_steps: int | None = None
        self.step = 0
        self.evaluation_s = 0.0
        self._plateau = Plateau()
        self._scored_step = 0  # the last one

    @property
    def lr_factor(self) -> float:
        """Of the peak learning rates in the next step."""
        return lr_factor(self.step, self._recipe, self.plan)

    @property
    def is_finished(self) -> bool:
        """Whether all planned steps are done."""
        return self.plan is not None and self.step >= self.plan.steps

    @property
    def ended_by_score(self) -> bool:
        """Whether fewer steps are planned than at first."""
        return self.plan is not None and self.plan.steps != self.planned_steps

    def is_far_too_late(self) -> bool:
        """Whether one and a half times the time is over, and something was learned."""
        if self._config.seconds is None or not self.step:
            return False
        return bool(self._group.first_says(self.clock.is_far_too_late)[0])

    def can_plan(self) -> bool:
        """Whether it is time for :meth:`make_plan`."""
        if self.plan is not None:
            return False
        if self._config.steps is not None:
            return self.step >= min(_PLANNED_AFTER, self._config.steps)
        share = self.clock.share_of_budget(self.clock.elapsed_s)
        few, hardly_any = _PLAN_SHARES
        is_measured = self.step >= measured_steps(self._recipe) or (share > few and self.step >= MEASURED_STEPS)
        return bool(self._group.first_says(is_measured or share > hardly_any)[0])

    def make_plan(self, counts: Mapping[int, int], num_images: int) -> Planned:
        """Fix the number of steps, by what a step and an evaluation take.

        Args:
            counts: Class id -> labelled pixels of the training images.
            num_images: Training images.
        """
        config, has_scores = self._config, bool(self._config.holdout)
        is_open = config.mode == "full" and config.steps is None
        evaluation_s = self.evaluation_s if config.steps is None else 0.0
        if config.steps is not None:
            steps = config.steps
        else:
            steps = self.step + steps_within(self.clock.left_s, self.clock.step_s, evaluation_s)
        if is_open and not has_scores:
            steps = min(steps, recommended_steps(max(1, num_images), sum(counts.values())))
        steps = max(steps, self.step)
        every = evaluation_period(steps, self.clock.step_s, evaluation_s, is_open) if has_scores else 0
        steps, every = (int(value) for value in self._group.first_says(steps, every))
        self.plan = Plan(steps, decay_start(config.mode, steps, self._recipe), every, is_open and has_scores)
        self.planned_steps = steps
        return self.planned()

    @property
    def is_evaluation_due(self) -> bool:
        """Whether it is time to score what was learned, which was not done yet, and not nearly the end."""
        plan = self.plan
        if plan is None or not plan.evaluate_every or self.step % plan.evaluate_every:
            return False
        if self._scored_step == self.step:  # for the plan, which came after it
            return False
        return plan.steps - self.step > plan.evaluate_every / 2

    def scored(self, mean_iou: float) -> bool:
        """Take in a score of this step; True when it made the plan shorter."""
        plan = self.plan
        self._scored_step = self.step
        if plan is not None and (not plan.may_stop or self.step >= plan.decay_from):
            return False
        if not self._plateau.add(self.step, mean_iou) or plan is None:
            return False
        self.plan = plan.stopped_at(self.step)
        return True

    @property
    def num_steps(self) -> int:
        """In all; an estimate before the plan is made."""
        if self.plan is not None:
            return self.plan.steps
        if self._config.steps is not None:
            return self._config.steps
        return self.step + (round(self.clock.left_s / self.clock.step_s) if self.clock.step_s else 0)

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0 to 1."""
        if self.plan is not None or self._config.steps is not None:
            return min(1.0, self.step / max(1, self.num_steps))
        return min(1.0, self.clock.share_of_budget(self.clock.elapsed_s))

    @property
    def eta_s(self) -> float:
        """Seconds until the end."""
        if self.plan is None and self._config.steps is None:
            return self.clock.left_s
        return (self.num_steps - self.step) * self.clock.step_s + self.evaluation_s

    def planned(self) -> Planned:
        """The plan as an event."""
        assert self.plan is not None
        return Planned(self.plan.steps, self.clock.elapsed_s + self.eta_s)

    def to_json(self) -> dict[str, Any]:
        """What a run that goes on later has to know."""
        return {
            "step": self.step,
            "plan": None if self.plan is None else self.plan.to_json(),
            "planned_steps": self.planned_steps,
            "plateau": [list(pair) for pair in self._plateau.scores],
            "elapsed_s": self.clock.elapsed_s,
        }

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on from :meth:`to_json`. Raises: KeyError, TypeError, ValueError."""
        plan = None if told["plan"] is None else Plan(**told["plan"])
        plateau = Plateau()
        for step, score in told["plateau"]:
            plateau.add(step, score)
        step, elapsed_s = int(told["step"]), float(told["elapsed_s"])
        self.plan, self.planned_steps, self._plateau, self.step = plan, told["planned_steps"], plateau, step
        self._scored_step = plateau.scores[-1][0] if plateau.scores else 0
        self.clock.go_on_after(elapsed_s)
