"""Rectangle and ellipse: drag from corner to corner."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

from pspnet_core.imaging.outlines import in_tiles
from pspnet_core.imaging.shapes import ellipse, rectangle, square_corner, whole_pixels
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import UNLABELLED, BoolMask, Rect
from pspnet_studio.canvas.tools.base import (
    NO_GUIDES,
    Pointer,
    Tool,
    ToolHost,
    around,
    no_class_hint,
    paint_areas,
    paint_box,
    to_device,
)
from pspnet_studio.messages import tr

_MIN_DRAG_PX = 3.0


class BoxTool(Tool):
    """Fills a rectangle or an ellipse of whole pixels when the button goes up, as one step; nothing is painted before.

    It goes from the pixel under the press to that under the release, both belong to it. Shift makes both sides equal.
    The secondary button erases.

    Args:
        host: The canvas.
        is_round: An ellipse.
    """

    def __init__(self, host: ToolHost, is_round: bool = False) -> None:
        super().__init__(host)
        self._is_round = is_round
        self._class_id = UNLABELLED
        self._start: Point | None = None
        self._end: Point = (0.0, 0.0)
        self._is_even = False
        self._has_moved = False
        self._told = ""

    @property
    def is_dragging(self) -> bool:
        return self._start is not None

    def hint(self) -> str:
        if self._host.tool_state.class_id is None:
            return no_class_hint()
        if self._is_round:
            return tr("Drag to fill an ellipse, right button erases. Shift makes a circle.")
        return tr("Drag to fill a rectangle, right button erases. Shift makes a square.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing:
            return
        class_id = self._class_to_paint(pointer.erase)
        if class_id is not None:
            self._class_id = class_id
            self._start, self._has_moved = (pointer.x, pointer.y), False
            self._take(pointer)

    def move(self, pointer: Pointer) -> None:
        if self._start is not None:
            self._take(pointer)

    def release(self, pointer: Pointer) -> None:
        if self._start is not None:
            self._take(pointer)
            self.end_drag()

    def end_drag(self) -> None:
        document, corners = self._host.document, self._corners()
        if corners is None or document is None:
            return
        has_moved = self._has_moved
        self.cancel()
        if not has_moved:
            return
        (x0, y0), (x1, y1) = corners
        shape = ellipse if self._is_round else rectangle

        def part(dx: float, dy: float, size: tuple[int, int]) -> tuple[Rect, BoolMask]:
            return shape((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), size)

        bounds = Rect(int(x0), int(y0), int(x1 - x0), int(y1 - y0)).intersect(document.rect)
        paint_areas(document, "ellipse" if self._is_round else "rectangle", in_tiles(part, bounds), self._class_id)

    def cancel(self) -> None:
        if self._start is not None:
            self._start, self._told = None, ""
            self._host.update_guides()
            self._host.show_hint(self.hint())

    def guide_rect(self) -> Rect:
        corners = self._corners()
        if corners is None or not self._has_moved:
            return NO_GUIDES
        return around([to_device(self._host.viewport, corner) for corner in corners], 4 * self._host.pixel_ratio)

    def paint_guides(self, painter: QPainter) -> None:
        corners = self._corners()
        if corners is None or not self._has_moved:
            return
        box = QRectF(*(to_device(self._host.viewport, corner) for corner in corners))
        paint_box(painter, box, self._is_round, self._host.pixel_ratio)

    def _take(self, pointer: Pointer) -> None:
        """Follow the pointer."""
        assert self._start is not None
        self._end, self._is_even = (pointer.x, pointer.y), pointer.straight
        # A click is no box, but for one that moved the pointer a little.
        self._has_moved |= self._screen_distance(self._start, self._end) >= _MIN_DRAG_PX
        self._host.update_guides()
        corners = self._corners()
        assert corners is not None
        (x0, y0), (x1, y1) = corners
        told = tr("{width} × {height} px. Esc cancels.").format(width=round(x1 - x0), height=round(y1 - y0))
        if self._has_moved and told != self._told:
            self._told = told
            self._host.show_hint(told)

    def _corners(self) -> tuple[Point, Point] | None:
        """The box of whole pixels, top left and bottom right; None while nothing is dragged."""
        if self._start is None:
            return None
        start, end = _middle(self._start), _middle(self._end)
        return whole_pixels(start, square_corner(start, end) if self._is_even else end)


def _middle(point: Point) -> Point:
    """Of the pixel under a point: from middle to middle both sides of a square have as many pixels."""
    return math.floor(point[0]) + 0.5, math.floor(point[1]) + 0.5
