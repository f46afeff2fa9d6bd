"""Undo and redo of one image.

The journal of the image is told of every step; after a restart the history is made from it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.journal import DEFAULT_BUDGET_BYTES, Journal
from pspnet_core.project.replay import Replay
from pspnet_studio.model.history_entry import Entry, Step

_NUM_NEAR = 4
"""Records before and after the present that are kept ready."""

_READY_BYTES = 32 * 1024 * 1024
"""Beyond this only the next record to undo and the next to redo are kept ready."""

_HUGE_BYTES = 8 * 1024 * 1024
"""A record as large as this is packed at once; no step is dropped while it is not."""

Move = tuple[MaskPatch, bool]
"""A record, and whether it is done (again) or undone."""

Way = Callable[[tuple[PlaneStore, PlaneStore]], list[MaskPatch]]
"""Does or undoes records on both planes; gives them in order."""


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

    def num_pixels_to(self, num_done: int) -> int:
        """Pixels that change between the present and ``num_done`` records in force, each counted every time; at most.

        Raises:
            ValueError: There are not as many.
        """
        return sum(entry.num_pixels for entry in self._between(num_done))

    def way_to(self, num_done: int) -> Way:
        """What :meth:`go_to` would do, for any thread. Raises: as it."""
        is_forward = num_done > self._num_done
        records = [entry.reader() for entry in self._between(num_done)]

        def go(planes: tuple[PlaneStore, PlaneStore]) -> list[MaskPatch]:
            patches = []
            for read in records:
                patch = read()
                (patch.apply if is_forward else patch.revert)(*planes)
                patches.append(patch)
            return patches

        return go

    def go_to(self, num_done: int, records: Sequence[MaskPatch] | None = None) -> Sequence[Move]:
        """Step back or forward until ``num_done`` records are in force; what has to be done for that, in this order.

        Args:
            num_done: How many.
            records: The records on the way, if they are known: what :meth:`way_to` gave, and nothing changed since.

        Raises:
            ValueError: There are not as many.
        """
        is_forward = num_done > self._num_done
        entries = self._between(num_done)
        ready = [entry.ready() for entry in entries] if records is None else records
        assert len(ready) == len(entries)
        moves = [(patch, is_forward) for patch in ready]
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

    def _between(self, num_done: int) -> list[Entry]:
        if not 0 <= num_done <= len(self._entries):
            raise ValueError(f"{num_done} of {len(self._entries)} steps")
        low, high = sorted((num_done, self._num_done))
        return self._entries[low:high] if num_done > self._num_done else self._entries[low:high][::-1]

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
