"""How long to learn from the base weights: until the held-out score stops rising, or by a rule. Needs no torch."""

from __future__ import annotations

import math

MIN_STEPS = 200
MAX_STEPS = 6000
_STEPS_OF_ONE_IMAGE = 400
_PX_PER_IMAGE = 100_000  # labelled pixels from which on an image counts as labelled in full
_COOL_DOWN_SHARE = 0.3


def recommended_steps(num_images: int, labelled_px: int) -> int:
    """Steps of a full training when nothing is held out to tell when to stop.

    They grow with the square root of what there is to learn: more images need more steps to be seen as often, but the
    same few hundred steps teach a few of them by heart. Strokes count as the part of an image that they cover, by its
    root: neighbouring pixels say the same.

    Args:
        num_images: Images with labels, at least 1.
        labelled_px: Labelled pixels of all of them.

    Returns:
        :data:`MIN_STEPS` to :data:`MAX_STEPS`, never fewer for more images or more pixels.

    Raises:
        ValueError: No image, or less than no pixel.
    """
    if num_images < 1 or labelled_px < 0:
        raise ValueError(f"images and pixels must be 1 and 0 or more, found {num_images} and {labelled_px}")
    coverage = min(1.0, labelled_px / (num_images * _PX_PER_IMAGE))
    steps = _STEPS_OF_ONE_IMAGE * math.sqrt(num_images * math.sqrt(coverage))
    return round(min(max(steps, MIN_STEPS), MAX_STEPS))


def cool_down_steps(step: int) -> int:
    """Steps over which the learning rate falls to nothing when the cool-down begins after ``step`` steps."""
    return max(20, math.ceil(_COOL_DOWN_SHARE * step))


class Plateau:
    """Tells from held-out scores when a training at constant learning rate has stopped to improve.

    Scores of few images jump up and down, so the best of the latest third of the steps is compared with the best
    before: waiting in proportion to what was done finds slow gains of long runs and ends short runs soon.

    Args:
        min_gain: By which the later best must be above the earlier one, in units of the score.
        patience: Share of the steps so far that counts as late, above 0 and below 1.
        min_scores: Scores that are needed on each side.
        min_steps: Before these it never tells to stop.

    Raises:
        ValueError: The patience is not a share.
    """

    def __init__(
        self, min_gain: float = 0.003, patience: float = 0.35, min_scores: int = 2, min_steps: int = MIN_STEPS
    ) -> None:
        if not 0 < patience < 1:
            raise ValueError(f"patience must be above 0 and below 1, found {patience}")
        self._min_gain, self._patience = min_gain, patience
        self._min_scores, self._min_steps = max(1, min_scores), min_steps
        self._scores: list[tuple[int, float]] = []

    @property
    def scores(self) -> tuple[tuple[int, float], ...]:
        """(step, score) as they were given; a run that goes on later gives them again."""
        return tuple(self._scores)

    def add(self, step: int, score: float) -> bool:
        """Take in the score after ``step`` steps; whether the cool-down should begin.

        A score that is not a number says nothing. The answer is the same for the same scores, so that a run that was
        interrupted goes on as it would have.

        Raises:
            ValueError: The steps do not rise.
        """
        if self._scores and step <= self._scores[-1][0]:
            raise ValueError(f"steps must rise, found {step} after {self._scores[-1][0]}")
        if math.isnan(score):
            return False
        self._scores.append((step, score))
        border = step * (1 - self._patience)
        early = [value for at, value in self._scores if at <= border]
        late = [value for at, value in self._scores if at > border]
        if step < self._min_steps or min(len(early), len(late)) < self._min_scores:
            return False
        return max(late) < max(early) + self._min_gain
