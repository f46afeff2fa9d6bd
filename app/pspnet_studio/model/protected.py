"""What keeps edits off the open image, or off some of its pixels."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from pspnet_core.types import BoolMask, ClassMap
from pspnet_studio.model.protection import Protection


class Protected(QObject):
    """The part of a :class:`Document` that says no.

    Signals:
        kept_off: A transaction met pixels that are protected, the first of them of this class: told once, at once when
            the class is locked, at the end when that is why nothing changed at all.
        refused: Somebody wants to change an image that is read only.
    """

    kept_off = Signal(int)
    refused = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._protection = Protection()
        self._kept_class: int | None = None  # of a pixel that this transaction was kept off

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be changed: transactions, steps and undo are without effect."""
        return self._protection.is_read_only

    def set_read_only(self, is_read_only: bool) -> None:
        """Let nothing be changed, or let it; not while a transaction is open."""
        self._protection = replace(self._protection, is_read_only=is_read_only)

    def protect(self, locked: frozenset[int], only_unlabelled: bool = False) -> None:
        """Keep all edits off the pixels of some classes, and strokes off all that have one."""
        self._protection = replace(self._protection, locked=locked, only_unlabelled=only_unlabelled)

    def _refuses(self) -> bool:
        """Whether the image is read only; that is told then."""
        if self.is_read_only:
            self.refused.emit()
        return self.is_read_only

    def _note_kept(self, classes: ClassMap, kept: BoolMask, class_id: int | None) -> None:
        """Remember, and tell at once of a locked class, that pixels of ``kept`` (both arrays of one shape) stay."""
        if self._kept_class is not None or self.is_read_only:
            return
        if class_id in self._protection.locked:
            kept = kept & (classes != class_id)
        first = int(kept.argmax())
        if kept.flat[first]:
            self._kept_class = int(classes.flat[first])
            if self._kept_class in self._protection.locked:
                self.kept_off.emit(self._kept_class)
