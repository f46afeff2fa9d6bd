"""One step of a history: its record, ready for use or packed, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pspnet_core.imaging.patch import MaskPatch, PatchHead


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a history, to be shown.

    Attributes:
        head: What it was.
        is_done: Whether it is in force.
        is_restored: Whether it was done before the program was started (or the project opened) the last time.
    """

    head: PatchHead
    is_done: bool
    is_restored: bool


class Entry:
    """A record, ready for use, packed, or both; keeps the accounts of the history that it is in.

    Attributes:
        head: What it was.
        patch: The record, while it is ready.
        data: The same packed, once it was.
        is_restored: Whether it is from an earlier session.
        on_changed: Told of every change of :attr:`nbytes`, and by how many; None where it is in no history.
    """

    __slots__ = ("_num_pixels", "_num_ready_bytes", "data", "head", "is_restored", "on_changed", "patch")

    def __init__(self, head: PatchHead, patch: MaskPatch | None, data: bytes | None, is_restored: bool = False) -> None:
        self.head, self.patch, self.data, self.is_restored = head, patch, data, is_restored
        self.on_changed: Callable[[Entry, int], None] | None = None
        self._num_ready_bytes = head.nbytes if patch is None else patch.nbytes
        self._num_pixels = head.nbytes // 4 if patch is None else patch.num_changed

    @property
    def nbytes(self) -> int:
        """Memory that it needs now."""
        return (self._num_ready_bytes if self.patch is not None else 0) + self.num_packed_bytes

    @property
    def num_ready_bytes(self) -> int:
        """Memory that the record needs, or at most will need, when it is ready."""
        return self._num_ready_bytes

    @property
    def num_pixels(self) -> int:
        """How many pixels it changes, or at most changes."""
        return self._num_pixels

    @property
    def num_packed_bytes(self) -> int:
        """Memory that it needs packed, 0 before it is."""
        return len(self.data) if self.data is not None else 0

    @property
    def is_both(self) -> bool:
        """Whether it is ready and packed, too."""
        return self.patch is not None and self.data is not None

    def set_patch(self, patch: MaskPatch | None) -> None:
        """Have it ready, or not any more."""
        before, self.patch = self.nbytes, patch
        if patch is not None:
            self._num_ready_bytes, self._num_pixels = patch.nbytes, patch.num_changed
        self._account(before)

    def set_data(self, data: bytes) -> None:
        """Have it packed."""
        before, self.data = self.nbytes, data
        self._account(before)

    def ready(self) -> MaskPatch:
        """The record itself."""
        if self.patch is None:
            assert self.data is not None
            self.set_patch(MaskPatch.from_bytes(self.data))
        assert self.patch is not None
        return self.patch

    def reader(self) -> Callable[[], MaskPatch]:
        """Gives the record, in any thread and whatever becomes of this."""
        patch, data = self.patch, self.data
        if patch is not None:
            return lambda: patch
        assert data is not None
        return lambda: MaskPatch.from_bytes(data)

    def _account(self, before: int) -> None:
        if self.on_changed is not None:
            self.on_changed(self, self.nbytes - before)
