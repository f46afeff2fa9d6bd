"""Undo and redo of one image, and the one budget of bytes that all images of a project share.

The records next to the present are kept as they are, so that a step back costs nothing; those farther away as bytes
(:meth:`MaskPatch.to_bytes`), which the io lane makes, so that the window never waits for it. The journal of the image
is told of every step; after a restart the history is made from it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.journal import DEFAULT_BUDGET_BYTES, Journal
from pspnet_core.project.project import Project
from pspnet_core.project.replay import Replay
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.history_entry import Entry, Step

_NUM_NEAR = 4
"""Records before and after the present that are kept ready."""

_READY_BYTES = 32 * 1024 * 1024
"""Beyond this only the next record to undo and the next to redo are kept ready."""

_HUGE_BYTES = 8 * 1024 * 1024
"""A record as large as this is packed at once; no step is dropped while it is not."""

Move = tuple[MaskPatch, bool]
"""A record, and whether it is done (again) or undone."""


class History:
    """The edit records of one image, oldest first, and how many of them are in force.

    Args:
        budget_bytes: Oldest records are dropped when all together need more; the newest one is always kept.
        on_changed: Told after each push, undo and redo (:class:`HistoryStore`).
        found: What an earlier session left.

    Attributes:
        journal: Told of every step; None where there is none.
        is_cut: Whether records were dropped that the journal may still have.
    """

    def __init__(
        self,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        on_changed: Callable[[History], None] | None = None,
        found: Replay | None = None,
    ) -> None:
        found = found or Replay()
        self.journal: Journal | None = None
        self.is_cut = False
        self._budget_bytes = budget_bytes
        self._on_changed = on_changed
        self._first = found.first
        self._entries: list[Entry] = []
        self._ready: set[Entry] = set()
        self._nbytes = 0
        for record in found.records:
            self._add(Entry(MaskPatch.head_of(record.payload), None, record.payload, is_restored=True))
        self._num_done = found.depth - found.first
        self.shrink(budget_bytes)

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
        return self._nbytes

    @property
    def num_steps(self) -> int:
        """How many steps there are, done or undone."""
        return len(self._entries)

    @property
    def num_done(self) -> int:
        """How many of them are in force."""
        return self._num_done

    def step(self, place: int) -> Step:
        """One of them, 0 = the oldest."""
        entry = self._entries[place]
        return Step(entry.head, place < self._num_done, entry.is_restored)

    def push(self, patch: MaskPatch) -> None:
        """Add the record of a new edit; what could be redone is gone."""
        while len(self._entries) > self._num_done:
            self._remove(-1)
        self._add(Entry(patch.head, patch, None))
        self._num_done += 1
        if self.journal is not None:
            self.journal.push(patch, self._first + self._num_done)
        if self._on_changed is None:  # else who is told sees to the budget: once the record is packed
            self.shrink(self._budget_bytes)
        self._tell()

    def undo(self) -> MaskPatch | None:
        """Step back; returns the record to revert, None when there is none."""
        moves = self.go_to(self._num_done - 1) if self.can_undo else ()
        return moves[0][0] if moves else None

    def redo(self) -> MaskPatch | None:
        """Step forward; returns the record to apply, None when there is none."""
        moves = self.go_to(self._num_done + 1) if self.can_redo else ()
        return moves[0][0] if moves else None

    def go_to(self, num_done: int) -> Sequence[Move]:
        """Step back or forward until ``num_done`` records are in force; what has to be done for that, in this order.

        Raises:
            ValueError: There are not as many.
        """
        if not 0 <= num_done <= len(self._entries):
            raise ValueError(f"{num_done} of {len(self._entries)} steps")
        is_forward = num_done > self._num_done
        low, high = sorted((num_done, self._num_done))
        entries = self._entries[low:high] if is_forward else self._entries[low:high][::-1]
        moves = [(entry.ready(), is_forward) for entry in entries]
        if moves:
            self._num_done = num_done
            if self.journal is not None:
                self.journal.go(self._first + num_done, moves)
            self._tell()
        return moves

    def set_budget(self, budget_bytes: int) -> None:
        """Allow more or less, here and in the journal, from the next step on."""
        self._budget_bytes = budget_bytes
        if self.journal is not None:
            self.journal.budget_bytes = budget_bytes

    def set_packed(self, packed: Sequence[tuple[MaskPatch, bytes]]) -> None:
        """The journal has packed these: that need not be done again."""
        by_patch = {id(patch): data for patch, data in packed}
        for entry in self._ready:
            if entry.data is None and id(entry.patch) in by_patch:
                entry.set_data(by_patch[id(entry.patch)])

    def shrink(self, budget_bytes: int, keep: int = 1) -> int:
        """Drop records until the rest needs at most ``budget_bytes`` or only ``keep`` are left; returns what it needs.

        The oldest goes first; where everything was undone, the last to be redone: the others lead up to it. Before any
        of them what is kept ready though it is packed, too.
        """
        self.let_go(self._nbytes - budget_bytes)
        while self._nbytes > budget_bytes and len(self._entries) > keep:
            self.is_cut = True
            if self._num_done:
                self._remove(0)
                self._first += 1
                self._num_done -= 1
            else:
                self._remove(-1)
        return self._nbytes

    @property
    def num_packed_bytes(self) -> int:
        """How much of its memory is packed records."""
        return sum(entry.num_packed_bytes for entry in self._entries)

    @property
    def has_huge(self) -> bool:
        """Whether a record needs much memory only because it is not packed yet."""
        return any(entry.data is None and entry.nbytes > _HUGE_BYTES for entry in self._ready)

    def let_go(self, num_bytes: int) -> int:
        """Keep what is packed only packed, what is far from the present first; returns how many bytes that gave."""
        before = self._nbytes
        if num_bytes > 0:
            packed = [(place, entry) for place, entry in enumerate(self._entries) if entry.is_both]
            for _, entry in sorted(packed, key=lambda one: -abs(one[0] + 0.5 - self._num_done)):
                if before - self._nbytes >= num_bytes:
                    break
                entry.set_patch(None)
        return before - self._nbytes

    def sort_out(self, is_open: bool, spare_bytes: int) -> tuple[list[Entry], list[Entry]]:
        """Let go of what is far from the present and packed already.

        Args:
            is_open: Whether its image is; of others everything is far.
            spare_bytes: What is near may need as much.

        Returns:
            Entries that are not packed yet and far or huge, and near ones that are packed only.
        """
        near = self._near(spare_bytes) if is_open else []
        far = [entry for entry in self._ready if entry not in near]
        for entry in far:
            if entry.data is not None:
                entry.set_patch(None)
        to_pack = [entry for entry in far if entry.patch is not None]
        to_pack += [entry for entry in near if entry.data is None and entry.nbytes > _HUGE_BYTES]
        return to_pack, [entry for entry in near if entry.patch is None]

    def on_entry_changed(self, entry: Entry, num_bytes: int) -> None:
        """An entry was packed, unpacked or let go of."""
        self._nbytes += num_bytes
        (self._ready.discard if entry.patch is None else self._ready.add)(entry)

    def _add(self, entry: Entry) -> None:
        entry.on_changed = self.on_entry_changed
        self._entries.append(entry)
        self.on_entry_changed(entry, entry.nbytes)

    def _remove(self, place: int) -> None:
        entry = self._entries.pop(place)
        entry.on_changed = None
        self._nbytes -= entry.nbytes
        self._ready.discard(entry)

    def _near(self, spare_bytes: int) -> list[Entry]:
        by_distance = []
        for distance in range(_NUM_NEAR):
            for place in (self._num_done - 1 - distance, self._num_done + distance):
                if 0 <= place < len(self._entries):
                    by_distance.append(self._entries[place])
        near, nbytes = [], 0
        for number, entry in enumerate(by_distance):
            if nbytes + entry.num_ready_bytes <= (spare_bytes if number < 2 else min(spare_bytes, _READY_BYTES)):
                nbytes += entry.num_ready_bytes
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
            history.journal = Journal(project.folder, key, project.session, found, snapshots, self._budget_bytes)
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
