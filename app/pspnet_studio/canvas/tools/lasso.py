"""Lasso: draw around an area freehand, and it is filled when the button goes up."""

from __future__ import annotations

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
    paint_quickly,
    paint_two_tone,
    to_device,
)
from pspnet_studio.canvas.tools.snapping import snapped_path
from pspnet_studio.canvas.viewport import Viewport
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
        # The path in device pixels, without points that lie close to the one before; for the first so many points.
        self._seen = QPolygonF()
        self._num_seen = 0
        self._seen_by: tuple[Viewport, float] | None = None

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
            self._points, self._seen, self._num_seen = [], QPolygonF(), 0
            self._host.update_guides()

    def guide_rect(self) -> Rect:
        if not self._points:
            return NO_GUIDES
        box = self._path().boundingRect()
        return around([box.topLeft(), box.bottomRight()], (3 + _DRAWN_PX) * self._host.pixel_ratio)

    def paint_guides(self, painter: QPainter) -> None:
        path = self._path()
        if path.size() < 2:
            return
        closing = QPainterPath(path.last())
        closing.lineTo(path.first())
        painter.setOpacity(0.5)
        paint_two_tone(painter, closing, self._host.pixel_ratio)
        painter.setOpacity(1.0)
        paint_quickly(painter, path, self._host.pixel_ratio)

    def _path(self) -> QPolygonF:
        """What is drawn, in device pixels; only points that are new since the last time cost anything."""
        viewport, ratio = self._host.viewport, self._host.pixel_ratio
        if self._seen_by != (viewport, ratio) or self._num_seen > len(self._points):
            self._seen, self._num_seen, self._seen_by = QPolygonF(), 0, (viewport, ratio)
        for point in self._points[self._num_seen :]:
            at = to_device(viewport, point)
            if self._seen.isEmpty() or (at - self._seen.last()).manhattanLength() >= _DRAWN_PX * ratio:
                self._seen.append(at)
        self._num_seen = len(self._points)
        return self._seen
