"""The histories of all images of a project, and the one budget of bytes that they share.

The records next to the present are kept as they are, so that a step back costs nothing; those farther away as bytes
(:meth:`MaskPatch.to_bytes`), which the io lane makes, so that the window never waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.journal import DEFAULT_BUDGET_BYTES, Journal
from pspnet_core.project.project import Project
from pspnet_core.project.replay import Replay
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.history_entry import Entry
from pspnet_studio.model.image_history import History


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

    @property
    def budget_bytes(self) -> int:
        """What they may need."""
        return self._budget_bytes

    def set_budget(self, budget_bytes: int) -> None:
        """Allow more or less; what is too much goes at once."""
        self._budget_bytes = budget_bytes
        for history in self._histories.values():
            history.set_budget(budget_bytes)
        self._shrink()
        self._tidy()

    def open(self, project: Project, key: str, found: Replay | None, planes: tuple[PlaneStore, PlaneStore]) -> History:
        """The history of the image that is open from now on, with a journal.

        Args:
            project: That is open.
            key: Of the item.
            found: What its journals hold; None where its planes are newer than the disk.
            planes: As they are now; not changed here.
        """
        history = self.of(key, found)
        if history.journal is None:
            snapshots = planes[0].snapshot(), planes[1].snapshot()
            found = found or Replay()
            history.journal = Journal(project.home, key, project.session, found, snapshots, self._budget_bytes)
        return history

    def of(self, key: str, found: Replay | None = None) -> History:
        """The history of the image that is open from now on: the one from before, unless the journals know better."""
        if found is not None and not self._keeps(key, found):
            self._histories.pop(key, None)
        if key not in self._histories:
            self._histories[key] = History(self._budget_bytes, self._on_changed, found)
        self._histories.move_to_end(key)
        self._shrink()
        self._tidy()
        return self._histories[key]

    def drop(self, key: str) -> None:
        """Forget the history of an image that is not open: its journal knows more."""
        self._histories.pop(key, None)

    def clear(self) -> None:
        """Forget all: another project is open."""
        self._histories.clear()

    def _keeps(self, key: str, found: Replay) -> bool:
        """Whether the history here is the one that was found, and as long."""
        history = self._histories.get(key)
        if history is None or history.journal is None:
            return history is not None
        return history.journal.path == found.path and not history.is_cut

    def _on_changed(self, history: History) -> None:
        if history in self._histories.values():
            self._shrink()
            self._tidy()

    def _shrink(self, is_final: bool = False) -> None:
        """Keep the budget; unless ``is_final``, what is being packed may exceed it for as long as that takes."""
        excess = self.nbytes - self._budget_bytes
        for history in self._histories.values():
            excess -= history.let_go(excess)
        if not is_final and any(history.has_huge for history in self._histories.values()):
            return
        for key, history in list(self._histories.items()):
            if excess <= 0:
                return
            is_open = key == next(reversed(self._histories))
            before = history.nbytes
            after = history.shrink(max(0, before - excess), keep=1 if is_open else 0)
            excess -= before - after
            if not after and not is_open and history.journal is None:
                del self._histories[key]

    def _tidy(self) -> None:
        """Have the io lane pack what is far from the present and unpack what came near; one job at a time."""
        if self._is_packing or not self._histories:
            return
        to_pack: list[Entry] = []
        to_unpack: list[Entry] = []
        open_key = next(reversed(self._histories))
        spare = self._budget_bytes - sum(history.num_packed_bytes for history in self._histories.values())
        for key, history in self._histories.items():
            far, near = history.sort_out(key == open_key, spare)
            to_pack += far
            to_unpack += near
        if not to_pack and not to_unpack:
            return
        records = [(entry, entry.patch) for entry in to_pack if entry.patch is not None]
        packed = [(entry, entry.data) for entry in to_unpack if entry.data is not None]
        self._is_packing = True

        def work() -> tuple[list[tuple[Entry, bytes]], list[tuple[Entry, MaskPatch]]]:
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
            entry.set_data(data)
        for entry, patch in unpacked:
            entry.set_patch(patch)
        self._is_packing = False
        self._shrink()
        self._tidy()

    def _on_failed(self, _: PspnetError) -> None:
        # Out of memory, which the runner logged: the records stay as they are, and the next edit tries again.
        self._is_packing = False
        self._shrink(is_final=True)
