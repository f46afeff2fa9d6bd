"""Where jobs run, in which order, and when those that nobody waits for rest."""

from __future__ import annotations

import time
from enum import Enum, IntEnum


class Lane(Enum):
    """Where a job runs."""

    IO = "io"
    TORCH = "torch"
    NETWORK = "network"
    """Apart from the files: a server that does not answer must not keep a save waiting."""
    TOOL = "tool"
    """What the hand waits for waits for nothing else."""
    VIEW = "view"
    """Pieces of a large image that come into sight, also while a mask is being saved."""
    LIVE = "live"
    """The overlay that follows the hand: numpy alone, so that it need not wait for a step of training."""
    JOURNAL = "journal"
    """Strokes on their way to the disk, within a second, whatever is read or saved meanwhile."""


class Priority(IntEnum):
    """Lower runs first; a job steps aside between its yields for a lower number."""

    SAVE = 0
    OPEN = 1
    REFINE = 2
    VISIBLE = 3
    PREFETCH = 4
    TRAINING = 5
    TIDY = 6
    """Nobody waits for it, and nobody is told; so are thumbnails."""
    THUMBNAIL = 7


class Quiet:
    """For a moment, jobs that nobody waits for rest at their next yield, in all lanes.

    A lease, not a switch: where nobody renews it, work goes on by itself. One thread sets it, all others read it.
    """

    def __init__(self) -> None:
        self._until_s = 0.0

    def keep(self, seconds: float) -> None:
        """From now on for so long; 0 ends it."""
        self._until_s = time.monotonic() + seconds

    def left_s(self, priority: int) -> float:
        """How long a job of a priority has to rest; 0 when it need not."""
        return max(0.0, self._until_s - time.monotonic()) if priority >= Priority.PREFETCH else 0.0
