"""Undo and redo of one image, within a budget of bytes instead of a count."""

from __future__ import annotations

from pspnet_core.imaging.patch import MaskPatch

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024


class History:
    """The edit records of one image, oldest first, and how many of them are in force.

    Args:
        budget_bytes: Oldest records are dropped when all together need more; the newest one is always kept.
    """

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._patches: list[MaskPatch] = []
        self._num_done = 0
        self._nbytes = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self._num_done > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return self._num_done < len(self._patches)

    @property
    def nbytes(self) -> int:
        """Memory that the records need, in bytes."""
        return self._nbytes

    def push(self, patch: MaskPatch) -> None:
        """Add the record of a new edit; what could be redone is gone."""
        while len(self._patches) > self._num_done:
            self._nbytes -= self._patches.pop().nbytes
        self._patches.append(patch)
        self._nbytes += patch.nbytes
        self._num_done += 1
        while self._nbytes > self._budget_bytes and len(self._patches) > 1:
            self._nbytes -= self._patches.pop(0).nbytes
            self._num_done -= 1

    def undo(self) -> MaskPatch | None:
        """Step back; returns the record to revert, None when there is none."""
        if not self.can_undo:
            return None
        self._num_done -= 1
        return self._patches[self._num_done]

    def redo(self) -> MaskPatch | None:
        """Step forward; returns the record to apply, None when there is none."""
        if not self.can_redo:
            return None
        self._num_done += 1
        return self._patches[self._num_done - 1]
