"""Counts what is labelled in the open image while it is edited, so that the list shows it before anything is saved."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.project.records import PixelCounts, Status
from pspnet_core.types import Rect
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session

_SOON_MS = 100
_TURN_S = 0.008
_MAX_RECTS = 1000


class OpenCounts(QObject):
    """Keeps the share of the open image in its state up to date: soon after each edit, a few milliseconds at a time.

    Tiles of storage are counted again only where something changed.

    Args:
        session: Whose document is watched.

    Signals:
        changed: The state of the item with this key shows another share, or that it was begun.
    """

    changed = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._document: Document | None = None
        self._counts: dict[Rect, PixelCounts] = {}
        self._changed: list[Rect] = []
        self._todo: dict[Rect, None] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)
        session.document_changed.connect(self._watch)
        self._watch()

    def _watch(self) -> None:
        if self._document is not None:
            self._document.region_changed.disconnect(self._on_region_changed)
            self._document.edited.disconnect(self._on_edited)
        self._timer.stop()
        self._counts.clear()
        self._todo.clear()
        self._document = self._session.document
        if self._document is not None:
            self._changed = [self._document.rect]
            self._document.region_changed.connect(self._on_region_changed)
            self._document.edited.connect(self._on_edited)

    def _on_region_changed(self, rect: Rect) -> None:
        """At each move of a brush: nothing is counted yet."""
        if self._document is not None and not self._document.is_prediction_changing:
            if len(self._changed) < _MAX_RECTS:
                self._changed.append(rect)
            else:
                self._changed[-1] = self._changed[-1].union(rect)

    def _on_edited(self) -> None:
        self._timer.start(_SOON_MS)

    def _go_on(self) -> None:
        document = self._document
        if document is None:
            return
        if document.is_editing:  # the end of the stroke counts, or what is left when it is aborted
            self._timer.start(_SOON_MS)
            return
        classes, provenance = document.class_plane, document.provenance_plane
        changed, self._changed = self._changed, []
        written = set(classes.written_rects())
        for rect in changed:
            self._todo.update(dict.fromkeys(tile for tile in classes.tile_rects(rect) if tile in written))
        end = time.perf_counter() + _TURN_S
        while self._todo:
            tile, _ = self._todo.popitem()
            self._counts[tile] = PixelCounts.of(classes.read(tile), provenance.read(tile))
            if time.perf_counter() >= end:
                break
        if self._todo:
            self._timer.start(0)
        else:
            self._tell(document)

    def _tell(self, document: Document) -> None:
        project, key = self._session.project, document.item_key
        if project is None or not project.has_item(key):  # its file has gone meanwhile
            return
        counts = self._counts.values()
        labelled, painted, accepted = (
            sum(getattr(count, name) for count in counts) for name in ("labelled_px", "painted_px", "accepted_px")
        )
        state = project.state(key)
        is_begun = state.status is Status.NEW and labelled > 0
        total = PixelCounts(labelled, document.rect.w * document.rect.h, painted, accepted)
        project.set_state(key, status=Status.IN_PROGRESS if is_begun else state.status, **total.to_state())
        self.changed.emit(key)
