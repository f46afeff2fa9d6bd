"""Undo and redo of one image, and the one budget of bytes that all images of a session share.

The records next to the present are kept as they are, so that a step back costs nothing; those farther away as bytes
(:meth:`MaskPatch.to_bytes`), which the io lane makes, so that the window never waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024
_NUM_NEAR = 4
"""Records before and after the present that are kept ready."""

_READY_BYTES = 32 * 1024 * 1024
"""Beyond this only the next record to undo and the next to redo are kept ready."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A record, ready for use, packed, or both."""

    patch: MaskPatch | None
    ready_bytes: int
    data: bytes | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it needs now."""
        return (self.ready_bytes if self.patch is not None else 0) + (len(self.data) if self.data is not None else 0)

    def ready(self) -> MaskPatch:
        """The record itself."""
        if self.patch is None:
            assert self.data is not None
            self.patch = MaskPatch.from_bytes(self.data)
        return self.patch


class History:
    """The edit records of one image, oldest first, and how many of them are in force.

    Args:
        budget_bytes: Oldest records are dropped when all together need more; the newest one is always kept.
        on_changed: Told after each push, undo and redo (:class:`HistoryStore`).
    """

    def __init__(
        self, budget_bytes: int = DEFAULT_BUDGET_BYTES, on_changed: Callable[[History], None] | None = None
    ) -> None:
        self._budget_bytes = budget_bytes
        self._on_changed = on_changed
        self._entries: list[_Entry] = []
        self._num_done = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self._num_done > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return self._num_done < len(self._entries)

    @property
    def nbytes(self) -> int:
        """Memory that the records need, in bytes."""
        return sum(entry.nbytes for entry in self._entries)

    def push(self, patch: MaskPatch) -> None:
        """Add the record of a new edit; what could be redone is gone."""
        del self._entries[self._num_done :]
        self._entries.append(_Entry(patch, patch.nbytes))
        self._num_done += 1
        self.shrink(self._budget_bytes)
        self._tell()

    def undo(self) -> MaskPatch | None:
        """Step back; returns the record to revert, None when there is none."""
        if not self.can_undo:
            return None
        self._num_done -= 1
        patch = self._entries[self._num_done].ready()
        self._tell()
        return patch

    def redo(self) -> MaskPatch | None:
        """Step forward; returns the record to apply, None when there is none."""
        if not self.can_redo:
            return None
        self._num_done += 1
        patch = self._entries[self._num_done - 1].ready()
        self._tell()
        return patch

    def shrink(self, budget_bytes: int, keep: int = 1) -> int:
        """Drop records until the rest needs at most ``budget_bytes`` or only ``keep`` are left; returns what it needs.

        The oldest goes first; where everything was undone, the last to be redone: the others lead up to it.
        """
        nbytes = self.nbytes
        while nbytes > budget_bytes and len(self._entries) > keep:
            nbytes -= self._entries.pop(0 if self._num_done else -1).nbytes
            self._num_done = max(0, self._num_done - 1)
        return nbytes

    def sort_out(self, is_open: bool) -> tuple[list[_Entry], list[_Entry]]:
        """Let go of what is far from the present and packed already.

        Args:
            is_open: Whether its image is; of others everything is far.

        Returns:
            Entries that are far and not packed yet, and near ones that are packed only.
        """
        near = self._near() if is_open else []
        far = [entry for entry in self._entries if entry not in near and entry.patch is not None]
        for entry in far:
            if entry.data is not None:
                entry.patch = None
        return [entry for entry in far if entry.patch is not None], [entry for entry in near if entry.patch is None]

    def _near(self) -> list[_Entry]:
        by_distance = []
        for distance in range(_NUM_NEAR):
            for place in (self._num_done - 1 - distance, self._num_done + distance):
                if 0 <= place < len(self._entries):
                    by_distance.append(self._entries[place])
        near, nbytes = [], 0
        for number, entry in enumerate(by_distance):
            nbytes += entry.ready_bytes
            if number < 2 or nbytes <= _READY_BYTES:
                near.append(entry)
        return near

    def _tell(self) -> None:
        if self._on_changed is not None:
            self._on_changed(self)


class HistoryStore:
    """The histories of a session's images under one budget; the image that was not open for longest loses first.

    Args:
        runner: Its io lane packs and unpacks.
        budget_bytes: For all records together; the newest one of the open image is always kept.
    """

    def __init__(self, runner: JobRunner, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._runner = runner
        self._budget_bytes = budget_bytes
        self._histories: OrderedDict[str, History] = OrderedDict()
        self._is_packing = False

    @property
    def nbytes(self) -> int:
        """Memory that all records need, in bytes."""
        return sum(history.nbytes for history in self._histories.values())

    def of(self, key: str) -> History:
        """The history of the image that is open from now on."""
        if key not in self._histories:
            self._histories[key] = History(self._budget_bytes, self._on_changed)
        self._histories.move_to_end(key)
        self._tidy()
        return self._histories[key]

    def add(self, key: str, patch: MaskPatch) -> None:
        """Add a record to the history of an image that is not open, if it has one."""
        if key in self._histories:
            self._histories[key].push(patch)

    def clear(self) -> None:
        """Forget all: another project is open."""
        self._histories.clear()

    def _on_changed(self, history: History) -> None:
        if history in self._histories.values():
            self._shrink()
            self._tidy()

    def _shrink(self) -> None:
        excess = self.nbytes - self._budget_bytes
        for key, history in list(self._histories.items()):
            if excess <= 0:
                return
            is_open = key == next(reversed(self._histories))
            before = history.nbytes
            after = history.shrink(max(0, before - excess), keep=1 if is_open else 0)
            excess -= before - after
            if not after and not is_open:
                del self._histories[key]

    def _tidy(self) -> None:
        """Have the io lane pack what is far from the present and unpack what came near; one job at a time."""
        if self._is_packing or not self._histories:
            return
        to_pack: list[_Entry] = []
        to_unpack: list[_Entry] = []
        open_key = next(reversed(self._histories))
        for key, history in self._histories.items():
            far, near = history.sort_out(is_open=key == open_key)
            to_pack += far
            to_unpack += near
        if not to_pack and not to_unpack:
            return
        records = [(entry, entry.patch) for entry in to_pack if entry.patch is not None]
        packed = [(entry, entry.data) for entry in to_unpack if entry.data is not None]
        self._is_packing = True

        def work() -> tuple[list[tuple[_Entry, bytes]], list[tuple[_Entry, MaskPatch]]]:
            return (
                [(entry, patch.to_bytes()) for entry, patch in records],
                [(entry, MaskPatch.from_bytes(data)) for entry, data in packed],
            )

        self._runner.call(
            Lane.IO,
            work,
            name=tr("packing undo steps"),
            priority=Priority.TIDY,
            on_done=self._on_packed,
            on_error=self._on_failed,
        )

    def _on_packed(self, result: Any) -> None:
        packed, unpacked = result
        for entry, data in packed:
            entry.data = data
        for entry, patch in unpacked:
            entry.patch = patch
        self._is_packing = False
        self._tidy()

    def _on_failed(self, _: PspnetError) -> None:
        # Out of memory, which the runner logged: the records stay as they are, and the next edit tries again.
        self._is_packing = False
