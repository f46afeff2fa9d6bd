"""Brush and eraser: strokes without gaps, as one undoable step each."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPainterPath

from pspnet_core.imaging.runs import Runs
from pspnet_core.imaging.shapes import square_runs
from pspnet_core.imaging.strokes import Point, brush_runs
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.tools.base import (
    NO_GUIDES,
    Pointer,
    Tool,
    ToolHost,
    around,
    no_class_hint,
    paint_two_tone,
    to_device,
)
from pspnet_studio.canvas.tools.brush_cursor import BrushCursor
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document


class BrushTool(Tool):
    """Paints the current class with a round brush; the secondary button, or an eraser, makes pixels unlabelled.

    Args:
        host: The canvas.
        erases: Whether the primary button erases, too.
    """

    hides_cursor = True

    def __init__(self, host: ToolHost, erases: bool = False) -> None:
        super().__init__(host)
        self.paints_class = not erases
        self._id = "eraser" if erases else "brush"
        self._erases = erases
        self._class_id = UNLABELLED
        self._is_dragging = False
        self._from: Point | None = None
        self._last: Point | None = None
        self._position: Point | None = None
        self._straight = False
        self._pressure = 1.0
        self._cursor = BrushCursor()
        # Where, and how large, this stroke has already painted a disc.
        self._painted: tuple[Point, int] | None = None

    @property
    def is_dragging(self) -> bool:
        return self._is_dragging

    def hint(self) -> str:
        if self._erases:
            return tr("Drag to erase. Shift-click erases in a straight line from the last point.")
        if self._host.tool_state.class_id is None:
            return no_class_hint()
        return tr("Drag to paint, right button erases. Shift-click paints a straight line from the last point.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing:
            return
        label = self._start(document, pointer.erase)
        if not label:
            return
        document.begin_edit(label)
        self._is_dragging = True
        self._pressure = pointer.pressure
        self._painted = None
        point = (pointer.x, pointer.y)
        self._from = self._last
        self._stroke(self._last if pointer.straight and self._last is not None else point, point)
        self._move_cursor(pointer)

    def move(self, pointer: Pointer) -> None:
        if self.is_dragging and self._last is not None:
            self._pressure = pointer.pressure
            self._stroke(self._last, (pointer.x, pointer.y))
        self._move_cursor(pointer)

    def release(self, pointer: Pointer) -> None:
        if self.is_dragging and self._last is not None:
            if (pointer.x, pointer.y) != self._last:
                self._stroke(self._last, (pointer.x, pointer.y))
            self.end_drag()
        self._move_cursor(pointer)

    def leave(self) -> None:
        self._position = None
        self._host.update_guides()

    def end_drag(self) -> None:
        if self.is_dragging and self._host.document is not None:
            self._is_dragging = False
            self._host.document.commit_edit()

    def cancel(self) -> None:
        if self.is_dragging and self._host.document is not None:
            self._is_dragging = False
            self._last = self._from
            self._host.document.abort_edit()

    def reset(self) -> None:
        super().reset()
        self._last = self._from = None

    def guide_rect(self) -> Rect:
        if self._position is None:
            return NO_GUIDES
        ratio = self._host.pixel_ratio
        rect = self._cursor.rect(*self._circle(), ratio)
        line = self._line()
        return rect if line is None else rect.union(around(line, 3 * ratio))

    def paint_guides(self, painter: QPainter) -> None:
        if self._position is None:
            return
        ratio = self._host.pixel_ratio
        self._cursor.paint(painter, *self._circle(), self._is_square, ratio)
        line = self._line()
        if line is not None:
            path = QPainterPath(line[0])
            path.lineTo(line[1])
            paint_two_tone(painter, path, ratio)

    def _start(self, document: Document, erases: bool) -> str:
        """Decide what this stroke does; its name in the history, or "" (and a hint) when it cannot be."""
        class_id = self._class_to_paint(self._erases or erases)
        if class_id is None:
            return ""
        self._class_id = class_id
        return "erase" if class_id == UNLABELLED else "brush"

    def _put(self, document: Document, runs: Runs) -> None:
        """Change the pixels that the brush covers now."""
        document.paint_runs(runs, self._class_id)

    def _stroke(self, start: Point, end: Point) -> None:
        document = self._host.document
        assert document is not None
        diameter = self._diameter()
        # What this stroke has painted already need not be painted again: only the crescent by which it moves on is.
        goes_on = self._painted == (start, diameter)
        runs = (square_runs if self._is_square else brush_runs)(start, end, diameter, document.shape, goes_on)
        if not runs.is_empty:
            self._put(document, runs)
        self._last = end
        self._painted = (end, diameter)

    @property
    def _is_square(self) -> bool:
        return self._option("shape") == "square"

    def _option(self, name: str) -> object:
        return self._host.tool_state.option(self._id, name)

    def _diameter(self) -> int:
        """In image pixels, as the pen is pressed."""
        diameter = self._host.tool_state.diameter
        return max(1, round(diameter * self._pressure)) if self._option("pressure") else diameter

    def _move_cursor(self, pointer: Pointer) -> None:
        self._position = (pointer.x, pointer.y)
        self._straight = pointer.straight
        self._host.update_guides()

    def _circle(self) -> tuple[float, float, float]:
        """Centre and radius of the brush in device pixels."""
        assert self._position is not None
        viewport = self._host.viewport
        x, y = viewport.to_device(*self._position)
        return x, y, self._host.tool_state.diameter / 2 * viewport.scale

    def _line(self) -> tuple[QPointF, QPointF] | None:
        """The straight line that a click would draw now."""
        if not self._straight or self.is_dragging or self._last is None or self._position is None:
            return None
        viewport = self._host.viewport
        return to_device(viewport, self._last), to_device(viewport, self._position)
