"""Polygon: click round an area, close it, and it is filled with the class."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPolygonF

from pspnet_core.imaging.strokes import polygon_mask
from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import Pointer, Tool, ToolHost, around, paint_two_tone, to_device
from pspnet_studio.messages import tr

_MIN_VERTICES = 3
_HANDLE_PX = 4.0
_CLOSE_PX = 8.0


class PolygonTool(Tool):
    """Collects vertices by clicks and fills the polygon, even-odd, as one step.

    A click near the first vertex, a double-click, and Enter close it. No transaction is open meanwhile.
    """

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._vertices: list[tuple[float, float]] = []
        self._position: tuple[float, float] | None = None

    @property
    def is_active(self) -> bool:
        return bool(self._vertices)

    def hint(self) -> str:
        if self._host.tool_state.class_id is None:
            return tr("Add a class or choose one to paint with.")
        if not self._vertices:
            return tr("Click to set the first corner of a polygon.")
        if len(self._vertices) < _MIN_VERTICES:
            return tr("Click to add corners. Backspace removes the last one, Esc cancels.")
        return tr("Double-click or Enter fills the polygon. Backspace removes the last corner, Esc cancels.")

    def press(self, pointer: Pointer) -> None:
        if self._host.document is None or pointer.erase:
            return
        if self._host.tool_state.class_id is None:
            self._host.show_hint(self.hint())
            return
        self._position = (pointer.x, pointer.y)
        if len(self._vertices) >= _MIN_VERTICES and self._is_near_first(self._position):
            self.finish()
            return
        self._vertices.append(self._position)
        self._changed()

    def double_click(self, pointer: Pointer) -> None:
        # Its first press has set the last corner already.
        if not pointer.erase:
            self.finish()

    def move(self, pointer: Pointer) -> None:
        self._position = (pointer.x, pointer.y)
        if self._vertices:
            self._host.update_guides()

    def cancel(self) -> None:
        if self._vertices:
            self._vertices.clear()
            self._changed()

    def remove_last(self) -> None:
        if self._vertices:
            self._vertices.pop()
            self._changed()

    def finish(self) -> None:
        document, class_id = self._host.document, self._host.tool_state.class_id
        if document is None or class_id is None or document.is_editing or not self._vertices:
            return
        if len(self._vertices) < _MIN_VERTICES:
            self._host.show_hint(tr("A polygon needs at least three corners. Click to add them, Esc cancels."))
            return
        rect, mask = polygon_mask(self._vertices, document.image.shape[:2])
        self._vertices.clear()
        if not rect.is_empty:
            document.begin_edit("polygon")
            document.paint(rect, mask, class_id)
            document.commit_edit()
        self._changed()

    def guide_rect(self) -> Rect:
        return around(self._outline(), (_HANDLE_PX + 3) * self._host.pixel_ratio)

    def paint_guides(self, painter: QPainter) -> None:
        points = self._outline()
        if not points:
            return
        ratio = self._host.pixel_ratio
        outline = QPolygonF(points)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(0, 0, 0, 0))
        painter.setBrush(QColor(255, 255, 255, 40))
        painter.drawPolygon(outline)
        path = QPainterPath()
        path.addPolygon(outline)
        first = to_device(self._host.viewport, self._vertices[0])
        for index, vertex in enumerate(self._vertices):
            size = _HANDLE_PX * ratio * (1.0 if index == 0 else 0.5)
            at = to_device(self._host.viewport, vertex)
            path.addEllipse(at, size, size)
        if self._position is not None and len(self._vertices) >= _MIN_VERTICES - 1:
            closing = QPainterPath(points[-1])
            closing.lineTo(first)
            painter.setOpacity(0.5)
            paint_two_tone(painter, closing, ratio)
            painter.setOpacity(1.0)
        paint_two_tone(painter, path, ratio)

    def _changed(self) -> None:
        self._host.update_guides()
        self._host.show_hint(self.hint())

    def _outline(self) -> list[QPointF]:
        """Vertices and the rubber line's end, in device pixels; nothing while there is no vertex."""
        if not self._vertices:
            return []
        points = self._vertices if self._position is None else [*self._vertices, self._position]
        return [to_device(self._host.viewport, point) for point in points]

    def _is_near_first(self, point: tuple[float, float]) -> bool:
        scale = self._host.viewport.scale / self._host.pixel_ratio
        x, y = self._vertices[0]
        return math.hypot(point[0] - x, point[1] - y) * scale <= _CLOSE_PX
