"""GrabCut: a box around an object cuts it out; strokes say what belongs to it and what does not."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

from pspnet_core.imaging.areas import Area, empty_area, united
from pspnet_core.imaging.strokes import Point, brush_segment
from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import Pointer, Tool, ToolHost, around, to_device
from pspnet_studio.canvas.tools.box_selecting import BoxSelectionTool
from pspnet_studio.canvas.tools.selecting import Finder, Way
from pspnet_studio.canvas.tools.selection import Selection
from pspnet_studio.messages import tr

_MARGIN_PX = 64
"""Around the box at least so many pixels are read; more than is looked at."""

_STROKE_PX = 6.0
"""Width of a stroke, in logical pixels of the screen."""

_YES, _NO = QColor(60, 220, 110), QColor(255, 80, 70)


class GrabCutTool(BoxSelectionTool):
    """Drag a box; afterwards strokes with the primary button add to the object, with the secondary take away.

    Enter gives the object the class. Shift adds another box, Alt takes one away.
    """

    id = "grabcut"

    def __init__(self, host: ToolHost, selection: Selection) -> None:
        super().__init__(host, selection)
        self._box: tuple[Way, Rect, Area] | None = None  # how, where, and what was selected before
        self._wanted: Area = empty_area()
        self._unwanted: Area = empty_area()
        self._strokes: list[tuple[bool, list[Point]]] = []
        self._is_stroking = False

    @property
    def is_dragging(self) -> bool:
        return self._is_stroking or super().is_dragging

    @property
    def is_active(self) -> bool:
        return self._is_refining or super().is_active

    def idle_hint(self) -> str:
        return tr("Drag a box around an object to cut it out.")

    def busy_hint(self) -> str:
        return tr("Cutting out the object… Esc stops.")

    def hint(self) -> str:
        if self._is_refining and not self.is_busy:
            return tr("Draw over what is missing; right button: what is too much. Enter applies, Shift adds a box.")
        return super().hint()

    def press(self, pointer: Pointer) -> None:
        if not self._is_refining or pointer.straight or pointer.subtract:
            self.begin_box(pointer)
            return
        self.stop_work()
        self._is_stroking = True
        self._strokes.append((not pointer.erase, [(pointer.x, pointer.y)]))
        self._host.update_guides()

    def move(self, pointer: Pointer) -> None:
        if self._is_stroking:
            self._strokes[-1][1].append((pointer.x, pointer.y))
            self._host.update_guides()
        else:
            super().move(pointer)

    def release(self, pointer: Pointer) -> None:
        if self._is_stroking:
            self._strokes[-1][1].append((pointer.x, pointer.y))
            self.end_drag()
        else:
            super().release(pointer)

    def end_drag(self) -> None:
        if not self._is_stroking:
            super().end_drag()
            return
        self._is_stroking = False
        is_wanted, points = self._strokes[-1]
        stroke = self._stroke_area(points)
        if is_wanted:
            self._wanted = united([self._wanted, stroke])
        else:
            self._unwanted = united([self._unwanted, stroke])
        self._cut()

    def box_drawn(self, way: Way, box: Rect) -> None:
        self._forget_strokes()
        self._box = (way, box, self._selection.area)
        self._cut()

    def clicked(self, way: Way, point: Point) -> None:
        self._host.show_hint(self.hint())

    def cancel(self) -> None:
        if self._is_stroking:
            self._is_stroking = False
            self._strokes.pop()
            self._host.update_guides()
            return
        super().cancel()
        if not self.has_pending:
            self._end_refining()

    def finish(self) -> None:
        if not self.is_busy:
            self._end_refining()
        super().finish()

    def erase(self) -> None:
        if not self.is_busy:
            self._end_refining()
        super().erase()

    def failed(self) -> None:
        if not self._strokes:
            self._end_refining()
        super().failed()

    def put_down(self, successor: Tool) -> None:
        super().put_down(successor)
        self._end_refining()

    def reset(self) -> None:
        super().reset()
        self._end_refining()

    def guide_rect(self) -> Rect:
        margin = _STROKE_PX * self._host.pixel_ratio
        points = [to_device(self._host.viewport, point) for _, stroke in self._strokes for point in stroke]
        return super().guide_rect().union(around(points, margin))

    def paint_guides(self, painter: QPainter) -> None:
        super().paint_guides(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        ratio = self._host.pixel_ratio
        for is_wanted, stroke in self._strokes:
            points = [to_device(self._host.viewport, point) for point in stroke]
            path = QPainterPath(points[0])
            for point in [*points[1:], points[-1] + QPointF(0.1, 0)]:
                path.lineTo(point)
            for color, width in ((QColor(0, 0, 0, 150), _STROKE_PX), (_YES if is_wanted else _NO, _STROKE_PX - 2)):
                style = Qt.PenStyle.SolidLine if is_wanted or color not in (_YES, _NO) else Qt.PenStyle.DotLine
                painter.setPen(QPen(color, width * ratio, style, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
                painter.drawPath(path)

    # --- inside

    @property
    def _is_refining(self) -> bool:
        return self._box is not None

    def _cut(self) -> None:
        assert self._box is not None
        way, box, before = self._box
        self.request(way, lambda: self._finder(box), before)
        self._host.update_guides()

    def _finder(self, box: Rect) -> Finder:
        document = self._host.document
        assert document is not None, "a request ends with its image"
        seen = box.union(self._wanted[0])
        margin = max(seen.w, seen.h, _MARGIN_PX)
        rect = Rect(seen.x - margin, seen.y - margin, seen.w + 2 * margin, seen.h + 2 * margin)
        rect = rect.intersect(document.rect)
        read = document.pixels.reader(rect)
        wanted, unwanted = self._wanted, self._unwanted
        max_pixels = int(self.option("detail")) * 1000

        def find() -> Area:
            from pspnet_core.imaging.grabcut import grabcut

            return grabcut(read(), rect, box, wanted, unwanted, max_pixels=max_pixels)

        return find

    def _stroke_area(self, points: list[Point]) -> Area:
        document = self._host.document
        assert document is not None
        shape = document.rect.h, document.rect.w
        width = max(1.0, _STROKE_PX * self._host.pixel_ratio / self._host.viewport.scale)
        ends = [*points, points[-1]]
        return united([brush_segment(a, b, width, shape) for a, b in itertools.pairwise(ends)])

    def _forget_strokes(self) -> None:
        self._strokes.clear()
        self._is_stroking = False
        self._wanted = self._unwanted = empty_area()

    def _end_refining(self) -> None:
        self._box = None
        self._forget_strokes()
