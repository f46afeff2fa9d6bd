"""The training images on their way into the pool: most before the first step, the rest of many between steps."""

from __future__ import annotations

from collections.abc import Generator

from pspnet_core.errors import PspnetError, TrainingError
from pspnet_core.training.config import TrainConfig
from pspnet_core.training.data import LabelledCache, unreadable
from pspnet_core.training.events import Adjusted, Phase, TrainEvent
from pspnet_core.training.pool import ImagePool
from pspnet_core.training.schedule import Clock

FIRST_PX = 64 << 20
"""Read before the first step, about, in the units of :attr:`ImagePool.cost_px`: two seconds or so."""

_PX_PER_STEP = 2 << 20
_SHARE = 0.1  # of a time budget before the first step, then of the time since, for reading images


class Reading:
    """Fills a pool. How many images are in it follows from the step alone, unless a disk is very slow.

    Args:
        config: Of the run.
        cache: Loads the images.
        clock: Of the run.
        keeps_to_time: Whether a slow disk may keep images out, instead of the run waiting for them.

    Attributes:
        pool: What was read.
        is_repeatable: Whether nothing depended on the time that reading took.
    """

    def __init__(self, config: TrainConfig, cache: LabelledCache, clock: Clock, keeps_to_time: bool) -> None:
        self._config, self._cache, self._clock = config, cache, clock
        self._keeps_to_time = keeps_to_time
        self._read_s = 0.0
        self._started_s = 0.0
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what was read; the cache may still have it."""
        self.pool = ImagePool(self._config.train, self._cache, self._config.chosen_recipe, self._config.seed)
        self.is_repeatable = True

    def check(self) -> Generator[TrainEvent, None, None]:
        """Look at the files of all images, without decoding them. Raises: TrainingError, which names a bad one."""
        items = [*self._config.train, *self._config.holdout]
        for number, item in enumerate(items):
            if item.check is not None:
                try:
                    item.check()
                except (PspnetError, OSError) as error:
                    raise unreadable(item.key, error) from error
                yield Phase("read", 0.1 * (number + 1) / len(items))

    def first(self) -> Generator[TrainEvent, None, None]:
        """Read what the first step needs. Raises: TrainingError, which names an image that is of no use."""
        pool = self.pool
        while not pool.is_complete and (pool.cost_px < FIRST_PX or not pool.counts):
            pool.read_next()
            yield Phase("read", len(pool.keys) / pool.num_images)
            if self._is_late(self._clock.share_of_budget(self._clock.elapsed_s)) and pool.counts:
                self.is_repeatable = False
                break
        self._started_s = self._clock.elapsed_s

    def exactly(self, count: int) -> Generator[TrainEvent, None, None]:
        """Read the first ``count`` images, as an interrupted run did; what it left out is left out again."""
        pool = self.pool
        while len(pool.keys) < count and not pool.is_complete:
            yield from self._next(len(pool.keys) / pool.num_images, "read")
        self._started_s = self._clock.elapsed_s

    def more(self, step: int) -> Generator[TrainEvent, None, None]:
        """Read what is due before step ``step``; an image that is of no use is left out, which is told."""
        pool = self.pool
        while not pool.is_complete and pool.cost_px < FIRST_PX + step * _PX_PER_STEP:
            start_s = self._clock.elapsed_s
            if self._is_late(self._read_s / max(1e-3, start_s - self._started_s)):
                self.is_repeatable = False
                return
            yield from self._next(0.0, "train")
            self._read_s += self._clock.elapsed_s - start_s

    def _next(self, fraction: float, phase: str) -> Generator[TrainEvent, None, None]:
        try:
            self.pool.read_next()
        except TrainingError as error:
            if not self._keeps_to_time:  # the other processes could read it
                raise
            yield Adjusted("data", f"{error.title} It is left out.")
        yield Phase(phase, fraction)

    def _is_late(self, share: float) -> bool:
        return self._keeps_to_time and self._config.seconds is not None and share > _SHARE
