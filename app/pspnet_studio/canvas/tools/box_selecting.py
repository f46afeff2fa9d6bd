"""Base of the selection tools that begin with a box."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPainterPath

from pspnet_core.imaging.shapes import rectangle
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import Pointer, ToolHost, around, paint_two_tone, to_device
from pspnet_studio.canvas.tools.selecting import SelectionTool, Way
from pspnet_studio.canvas.tools.selection import Selection

_CLICK_PX = 3.0
"""A drag that stays within is a click, in logical pixels of the screen."""


class BoxSelectionTool(SelectionTool):
    """Collects a box by a drag and hands it to :meth:`box_drawn`; a click goes to :meth:`clicked`."""

    def __init__(self, host: ToolHost, selection: Selection) -> None:
        super().__init__(host, selection)
        self._way: Way | None = None
        self._from: Point = (0.0, 0.0)
        self._to: Point = (0.0, 0.0)

    @property
    def is_dragging(self) -> bool:
        return self._way is not None

    def box_drawn(self, way: Way, box: Rect) -> None:
        """A box (in the image, not empty) was drawn."""

    def clicked(self, way: Way, point: Point) -> None:
        """The button was pressed and released in one place."""

    def begin_box(self, pointer: Pointer) -> None:
        """Begin a box at the pointer, if a press can do anything there."""
        document = self._host.document
        if document is None or document.is_editing:
            return
        self._way = self.way_of(pointer)
        self._from = self._to = (pointer.x, pointer.y)

    def press(self, pointer: Pointer) -> None:
        self.begin_box(pointer)

    def move(self, pointer: Pointer) -> None:
        if self._way is not None:
            self._to = (pointer.x, pointer.y)
            self._host.update_guides()

    def release(self, pointer: Pointer) -> None:
        if self._way is not None:
            self._to = (pointer.x, pointer.y)
            self.end_drag()

    def end_drag(self) -> None:
        way, self._way = self._way, None
        document = self._host.document
        if way is None or document is None:
            return
        self._host.update_guides()
        if self._screen_distance(self._from, self._to) <= _CLICK_PX:
            self.clicked(way, self._from)
            return
        box = rectangle(self._from, self._to, (document.rect.h, document.rect.w))[0]
        if not box.is_empty:
            self.box_drawn(way, box)

    def cancel(self) -> None:
        if self._way is not None:
            self._way = None
            self._host.update_guides()
        else:
            super().cancel()

    def guide_rect(self) -> Rect:
        rect = super().guide_rect()
        return rect.union(around(self._corners(), 3 * self._host.pixel_ratio)) if self.is_dragging else rect

    def paint_guides(self, painter: QPainter) -> None:
        super().paint_guides(painter)
        if self.is_dragging:
            path = QPainterPath()
            start, end = self._corners()
            path.addRect(start.x(), start.y(), end.x() - start.x(), end.y() - start.y())
            paint_two_tone(painter, path, self._host.pixel_ratio)

    def _corners(self) -> tuple[QPointF, QPointF]:
        viewport = self._host.viewport
        return to_device(viewport, self._from), to_device(viewport, self._to)
