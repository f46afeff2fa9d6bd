"""Lasso: draw around an area freehand, and it is filled when the button goes up."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPainterPath, QPolygonF

from pspnet_core.imaging.outlines import polygon_tiles
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.tools.base import (
    NO_GUIDES,
    Pointer,
    Tool,
    ToolHost,
    around,
    no_class_hint,
    paint_areas,
    paint_two_tone,
    to_device,
)
from pspnet_studio.canvas.tools.snapping import snapped_path
from pspnet_studio.messages import tr

_DRAWN_PX = 2.0  # on the screen; a finer path is not seen, but costs


class LassoTool(Tool):
    """Fills what a freehand path goes around, also what it goes around twice, as one step.

    Nothing is painted before the button goes up. The secondary button erases.
    """

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._class_id = UNLABELLED
        self._points: list[Point] = []

    @property
    def is_dragging(self) -> bool:
        return bool(self._points)

    def hint(self) -> str:
        if self._host.tool_state.class_id is None:
            return no_class_hint()
        return tr("Drag around an area to fill it, right button erases. Esc cancels.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing:
            return
        class_id = self._class_to_paint(pointer.erase)
        if class_id is not None:
            self._class_id = class_id
            self._points = [(pointer.x, pointer.y)]

    def move(self, pointer: Pointer) -> None:
        if self._points and self._points[-1] != (pointer.x, pointer.y):
            self._points.append((pointer.x, pointer.y))
            self._host.update_guides()

    def release(self, pointer: Pointer) -> None:
        self.move(pointer)
        self.end_drag()

    def end_drag(self) -> None:
        document, points = self._host.document, self._points
        self.cancel()
        if document is None or len(points) < 2:
            return
        outline = snapped_path(self._host, "lasso", document, points)
        areas = polygon_tiles(outline, document.shape, "nonzero")
        if not paint_areas(document, "lasso", areas, self._class_id) and len(points) == 2:
            self._host.show_hint(self.hint())

    def cancel(self) -> None:
        if self._points:
            self._points = []
            self._host.update_guides()

    def guide_rect(self) -> Rect:
        if not self._points:
            return NO_GUIDES
        xs, ys = zip(*self._points, strict=True)
        corners = (min(xs), min(ys)), (max(xs), max(ys))
        return around([to_device(self._host.viewport, corner) for corner in corners], 3 * self._host.pixel_ratio)

    def paint_guides(self, painter: QPainter) -> None:
        points = self._seen()
        if len(points) < 2:
            return
        ratio = self._host.pixel_ratio
        path, closing = QPainterPath(), QPainterPath(points[-1])
        path.addPolygon(QPolygonF(points))
        closing.lineTo(points[0])
        painter.setOpacity(0.5)
        paint_two_tone(painter, closing, ratio)
        painter.setOpacity(1.0)
        paint_two_tone(painter, path, ratio)

    def _seen(self) -> list[QPointF]:
        """The path in device pixels, without points that lie close to the one before."""
        step = _DRAWN_PX * self._host.pixel_ratio
        seen: list[QPointF] = []
        for point in self._points:
            at = to_device(self._host.viewport, point)
            if not seen or abs(at.x() - seen[-1].x()) + abs(at.y() - seen[-1].y()) >= step:
                seen.append(at)
        return seen
