"""Polygon: click round an area, close it, and it is filled with the class."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPolygonF

from pspnet_core.imaging.outlines import polygon_tiles
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import (
    Pointer,
    Tool,
    ToolHost,
    around,
    no_class_hint,
    paint_areas,
    paint_two_tone,
    to_device,
)
from pspnet_studio.canvas.tools.snapping import snapped_point
from pspnet_studio.messages import tr

_MIN_VERTICES = 3
_HANDLE_PX = 4.0
_CLOSE_PX = 8.0
_CORNER_PX, _EDGE_PX = 6.0, 4.0
_MIN_DRAG_PX = 3.0


@dataclass(slots=True)
class _Grip:
    """A corner, or a place on an edge, that the button holds.

    Attributes:
        index: Of the corner, or of that which a move would insert.
        before: All corners when the button went down.
        is_new: It is a place on an edge.
        at: Where the button went down.
        has_moved: Whether the pointer went far enough to mean it.
    """

    index: int
    before: list[Point]
    is_new: bool
    at: Point
    has_moved: bool = False


class PolygonTool(Tool):
    """Collects corners by clicks and fills the polygon, even-odd, as one step.

    A click near the first corner, a double-click, and Enter close it. No transaction is open meanwhile. Before that
    corners are dragged, and dragging an edge inserts one; a click without a drag always adds a corner, also on another
    corner or on an edge (that is how holes are joined to the outline). Begun with the secondary button it erases.
    """

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._vertices: list[Point] = []
        self._position: Point | None = None
        self._erases = False
        self._grip: _Grip | None = None

    @property
    def is_dragging(self) -> bool:
        return self._grip is not None

    @property
    def is_active(self) -> bool:
        return bool(self._vertices)

    def hint(self) -> str:
        if self._host.tool_state.class_id is None:
            return no_class_hint()
        if not self._vertices:
            return tr("Click to set the first corner of a polygon, with the right button to erase.")
        if len(self._vertices) < _MIN_VERTICES:
            return tr("Click to add corners. Backspace removes the last one, Esc cancels.")
        return tr("Enter or double-click fills it. Drag corners and edges. Backspace removes a corner, Esc cancels.")

    def press(self, pointer: Pointer) -> None:
        if self._host.document is None or self._grip is not None:
            return
        if not self._vertices:
            if self._class_to_paint(pointer.erase) is None:
                return
            self._erases = pointer.erase
        elif pointer.erase != self._erases:
            return
        at = (pointer.x, pointer.y)
        self._position = at
        corner, edge = self._corner_at(at), self._edge_at(at)
        if corner is not None:
            self._grip = _Grip(corner, list(self._vertices), False, at)
        elif edge is not None:
            self._grip = _Grip(edge + 1, list(self._vertices), True, at)
        else:
            self._vertices.append(self._snapped(at))
            self._changed()

    def double_click(self, pointer: Pointer) -> None:
        # Its first press has set the last corner already.
        if pointer.erase == self._erases:
            self.finish()

    def move(self, pointer: Pointer) -> None:
        at = (pointer.x, pointer.y)
        grip = self._grip
        self._position = at if grip is None else None
        if grip is not None and not grip.has_moved and self._screen_distance(grip.at, at) >= _MIN_DRAG_PX:
            grip.has_moved = True
            if grip.is_new:
                self._vertices.insert(grip.index, at)
        if grip is not None and grip.has_moved:
            self._vertices[grip.index] = self._snapped(at)
        if self._vertices:
            self._host.update_guides()

    def release(self, pointer: Pointer) -> None:
        self.move(pointer)
        grip, self._grip = self._grip, None
        self._position = (pointer.x, pointer.y)
        if grip is None:
            return
        if grip.has_moved:
            self._changed()
        elif grip.index == 0 and not grip.is_new and len(self._vertices) >= _MIN_VERTICES:
            self.finish()
        else:
            self._vertices.append(self._snapped(grip.at))
            self._changed()

    def end_drag(self) -> None:
        self._grip = None

    def cancel(self) -> None:
        if self._grip is not None:
            self._vertices, self._grip = self._grip.before, None
            self._changed()
        elif self._vertices:
            self._vertices = []
            self._changed()

    def remove_last(self) -> None:
        if self._vertices and self._grip is None:
            at = None if self._position is None else self._corner_at(self._position)
            del self._vertices[-1 if at is None else at]
            self._changed()

    def finish(self) -> None:
        document = self._host.document
        if document is None or document.is_editing or not self._vertices or self._grip is not None:
            return
        if len(self._vertices) < _MIN_VERTICES:
            self._host.show_hint(tr("A polygon needs at least three corners. Click to add them, Esc cancels."))
            return
        class_id = self._class_to_paint(self._erases)
        if class_id is None:
            return
        vertices, self._vertices = self._vertices, []
        self._changed()
        paint_areas(document, "polygon", polygon_tiles(vertices, document.shape, "even-odd"), class_id)

    def guide_rect(self) -> Rect:
        return around(self._outline(), (_HANDLE_PX + 4) * self._host.pixel_ratio)

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
        chosen = self._chosen_corner()
        for index, vertex in enumerate(self._vertices):
            size = _HANDLE_PX * ratio * (1.25 if index == chosen else 1.0 if index == 0 else 0.5)
            path.addEllipse(to_device(self._host.viewport, vertex), size, size)
        if len(points) >= _MIN_VERTICES:
            closing = QPainterPath(points[-1])
            closing.lineTo(first)
            painter.setOpacity(0.5)
            paint_two_tone(painter, closing, ratio)
            painter.setOpacity(1.0)
        paint_two_tone(painter, path, ratio)

    def _changed(self) -> None:
        self._host.update_guides()
        self._host.show_hint(self.hint())

    def _snapped(self, point: Point) -> Point:
        return snapped_point(self._host, "polygon", point)

    def _outline(self) -> list[QPointF]:
        """Vertices and the rubber line's end, in device pixels; nothing while there is no vertex."""
        if not self._vertices:
            return []
        points = list(self._vertices)
        if self._position is not None and self._corner_at(self._position) is None:
            points.append(self._snapped(self._position))
        return [to_device(self._host.viewport, point) for point in points]

    def _chosen_corner(self) -> int | None:
        """The corner that is dragged, or that a press would take."""
        if self._grip is not None:
            return None if self._grip.is_new and not self._grip.has_moved else self._grip.index
        return None if self._position is None else self._corner_at(self._position)

    def _corner_at(self, point: Point) -> int | None:
        """The nearest corner under a point; the first one is larger, for it closes the polygon."""
        distances = [self._screen_distance(point, vertex) for vertex in self._vertices]
        if len(distances) >= _MIN_VERTICES and distances[0] <= _CLOSE_PX:
            return 0
        nearest = min(range(len(distances)), key=distances.__getitem__, default=None)
        return nearest if nearest is not None and distances[nearest] <= _CORNER_PX else None

    def _edge_at(self, point: Point) -> int | None:
        """The corner before the nearest edge under a point."""
        found: tuple[float, int] | None = None
        for index, (start, end) in enumerate(zip(self._vertices, self._vertices[1:], strict=False)):
            distance = self._screen_distance(point, _nearest_on(start, end, point))
            if distance <= _EDGE_PX and (found is None or distance < found[0]):
                found = distance, index
        return None if found is None else found[1]


def _nearest_on(start: Point, end: Point, point: Point) -> Point:
    """The point of a straight line from ``start`` to ``end`` that is nearest to ``point``."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    if length == 0:
        return start
    way = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / length**2
    way = min(1.0, max(0.0, way))
    return start[0] + way * dx, start[1] + way * dy
