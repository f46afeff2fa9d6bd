"""How far a run is, and the learning rate that follows from it. Needs no torch."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Progress of a run by steps, or by wall time from now on.

    With a time budget the schedule follows the share of the budget that is over, so that it ends where it should
    also when other work slows the machine down or speeds it up.

    Args:
        seconds: Budget, or None.
        steps: Number of steps, or None.
        now: Clock in seconds.
    """

    def __init__(self, seconds: float | None, steps: int | None, now: Callable[[], float] = time.monotonic) -> None:
        assert (seconds is None) != (steps is None)
        self._seconds, self._steps, self._now = seconds, steps, now
        self._start = now()
        self._train_start_s = 0.0
        self.reserve_s = 0.0
        self.step = 0

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return self._now() - self._start

    def start_training(self) -> None:
        """Progress is 0 here: reading the data took part of the budget, but is not progress."""
        self._train_start_s = self.elapsed_s

    @property
    def training_s(self) -> float:
        """Seconds since :meth:`start_training`."""
        return self.elapsed_s - self._train_start_s

    @property
    def progress(self) -> float:
        """Share of the training that is over, 0 to 1; the last ``reserve_s`` of a time budget are for evaluation."""
        if self._seconds is None:
            assert self._steps is not None
            return min(1.0, self.step / self._steps)
        usable = self._seconds - self.reserve_s - self._train_start_s
        return min(1.0, self.training_s / usable) if usable > 0 else 1.0

    @property
    def num_steps(self) -> int:
        """Steps in all; with a time budget an estimate."""
        if self._steps is not None:
            return self._steps
        return max(self.step, round(self.step / max(self.progress, 1e-3)))

    @property
    def eta_s(self) -> float:
        """Seconds until the end."""
        if self._seconds is not None:
            return max(0.0, self._seconds - self.elapsed_s)
        return self.training_s * (1 / self.progress - 1) if self.progress > 0 else 0.0

    def reserve(self, share: float) -> None:
        """Leave this share of a time budget for evaluation."""
        self.reserve_s = share * (self._seconds or 0.0)

    def share_of_budget(self, seconds: float) -> float:
        """``seconds`` as a share of the budget; 0 without a time budget."""
        return seconds / self._seconds if self._seconds is not None else 0.0


def lr_factor(progress: float, step: int, warmup_steps: int, power: float) -> float:
    """Factor of the peak learning rate: linear warm-up, then (1 - progress)^power."""
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0
    return float(warmup * (1.0 - min(progress, 1.0)) ** power)
