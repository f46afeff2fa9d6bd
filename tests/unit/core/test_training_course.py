"""Where a run stands, on a clock of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pspnet_core.training.config import TrainConfig
from pspnet_core.training.course import Course
from pspnet_core.training.data import LabelledImage
from pspnet_core.training.distributed import ALONE
from pspnet_core.training.schedule import Clock
from pspnet_core.types import ClassMap, RgbImage
from tests.helpers.tiny import CLASSES

_COUNTS = dict.fromkeys(CLASSES.indices, 100_000)


def _nothing() -> tuple[RgbImage, ClassMap]:
    return np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)


def _course(seconds: float, now: list[float]) -> Course:
    item = LabelledImage("a", _nothing)
    course = Course(TrainConfig([item], CLASSES, [item], seconds=seconds, mode="full"), ALONE)
    course.clock = Clock(seconds, lambda: now[0])
    return course


def _scored_steps(seconds: float, step_s: float, evaluation_s: float, interrupted: bool = False) -> list[int]:
    """Steps after which a run of this speed is scored, in which every score is better than the one before."""
    now, steps = [0.0], []
    course = _course(seconds, now)

    def evaluate() -> None:
        now[0] += evaluation_s
        course.evaluation_s = evaluation_s
        steps.append(course.step)
        course.scored(0.3 + 0.01 * len(steps))

    while not course.is_finished:
        now[0] += step_s
        course.step += 1
        course.clock.took(step_s)
        if course.can_plan():
            evaluate()
            course.make_plan(_COUNTS, 4)
            if interrupted:
                told = json.loads(json.dumps(course.to_json()))
                course = _course(seconds, now)
                course.restore(told)
                course.clock.took(step_s)
        if course.is_evaluation_due:
            evaluate()
    return steps


@pytest.mark.parametrize("seconds", [60, 120, 300, 600, 1200])
def test_no_step_is_scored_twice_whatever_steps_and_scores_take(seconds: float) -> None:
    found = [
        _scored_steps(seconds, float(step_s), evaluation_s)
        for step_s in np.linspace(0.15, 1.5, 28)
        for evaluation_s in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 5)
    ]
    assert all(len(set(steps)) == len(steps) for steps in found)
    assert any(len(steps) > 2 for steps in found)  # they are scored on the way


def test_a_run_that_goes_on_does_not_score_its_step_again() -> None:
    for step_s in (0.29, 0.5, 1.2):
        steps = _scored_steps(300, step_s, 0.5, interrupted=True)
        assert len(set(steps)) == len(steps)
