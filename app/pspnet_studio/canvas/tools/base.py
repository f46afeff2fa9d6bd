"""What a canvas tool is: it turns pointer events into edits of the document."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.areas import Area
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.viewport import Viewport
from pspnet_studio.jobs.tool_work import Work
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState

Result = TypeVar("Result")

NO_GUIDES = Rect(0, 0, 0, 0)

_DARK, _LIGHT = QColor(0, 0, 0, 150), QColor(255, 255, 255)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer event in image coordinates.

    Attributes:
        x: Image column, pixel centres at +0.5; may lie outside the image.
        y: Image row, likewise.
        erase: Whether the secondary button is used.
        straight: Whether Shift is held: a straight line, a square or circle; selections are added to.
        subtract: Whether Alt is held: selections are taken away from.
        pressure: Of a pen, 0 to 1; 1 of a mouse.
    """

    x: float
    y: float
    erase: bool = False
    straight: bool = False
    subtract: bool = False
    pressure: float = 1.0


class ToolHost(Protocol):
    """What a tool may use of the canvas."""

    @property
    def document(self) -> Document | None:
        """The image being edited."""
        ...

    @property
    def tool_state(self) -> ToolState:
        """Class and brush size."""
        ...

    @property
    def viewport(self) -> Viewport:
        """Where the image lies on screen."""
        ...

    @property
    def pixel_ratio(self) -> float:
        """Device pixels of the screen per logical pixel: how wide a line of one pixel should be."""
        ...

    def show_hint(self, text: str) -> None:
        """Tell the person what can be done now."""
        ...

    def update_guides(self) -> None:
        """Repaint what the tool draws over the image: it has moved or changed."""
        ...

    def compute(
        self,
        function: Callable[[], Result],
        on_done: Callable[[Result], None],
        on_error: Callable[[PspnetError], None],
    ) -> Work:
        """Work something out in the background.

        Args:
            function: Runs in another thread: it may read the image, nothing else of the document.
            on_done: Gets the result, unless another image is open by then; may be called before this returns.
            on_error: Told, on the same terms, after the person was told.
        """
        ...


class Tool:
    """Base of the tools. One lives as long as its canvas; it holds no document over a change of documents.

    Between two calls a transaction may be open only while :attr:`is_dragging` is True.

    Attributes:
        hides_cursor: Whether the tool draws its own cursor.
        paints_class: Whether a press paints with the current class: not while that is hidden.
    """

    hides_cursor = False
    paints_class = True

    def __init__(self, host: ToolHost) -> None:
        self._host = host

    @property
    def is_dragging(self) -> bool:
        """Whether a button is down for this tool."""
        return False

    @property
    def is_active(self) -> bool:
        """Whether there is something that Esc would abort."""
        return self.is_dragging

    @property
    def has_pending(self) -> bool:
        """Whether there is something that Delete or X would erase."""
        return False

    def hint(self) -> str:
        """What can be done with the tool now, in one line."""
        return ""

    def press(self, pointer: Pointer) -> None:
        """The primary (or, with ``erase``, the secondary) button went down."""

    def move(self, pointer: Pointer) -> None:
        """The pointer moved, with or without a button."""

    def release(self, pointer: Pointer) -> None:
        """The button that was pressed went up."""

    def double_click(self, pointer: Pointer) -> None:
        """The second press of a double-click, in place of ``press``."""
        self.press(pointer)

    def leave(self) -> None:
        """The pointer left the canvas."""

    def end_drag(self) -> None:
        """The drag cannot go on (focus lost, button released elsewhere): keep what was done so far."""

    def cancel(self) -> None:
        """Esc: take back what is under way."""

    def finish(self) -> None:
        """Enter: complete what is under way."""

    def erase(self) -> None:
        """Delete or X: make unlabelled what is pending."""

    def put_down(self, successor: Tool) -> None:
        """Another tool is taken: keep edits, forget the rest."""
        self.end_drag()
        self.cancel()
        self.leave()

    def remove_last(self) -> None:
        """Backspace: take back the last part of what is under way."""

    def reset(self) -> None:
        """The document is about to change: keep edits, forget positions."""
        self.end_drag()
        self.cancel()

    def guide_rect(self) -> Rect:
        """Device pixels that :meth:`paint_guides` touches now."""
        return NO_GUIDES

    def paint_guides(self, painter: QPainter) -> None:
        """Draw over the image, in device pixels."""

    def _class_to_paint(self, erases: bool) -> int | None:
        """The current class, or 255 to erase; None, and a hint, while there is no class."""
        class_id = UNLABELLED if erases else self._host.tool_state.class_id
        if class_id is None:
            self._host.show_hint(no_class_hint())
        return class_id

    def _screen_distance(self, a: tuple[float, float], b: tuple[float, float]) -> float:
        """How far apart two image points are on the screen, in logical pixels."""
        return math.hypot(a[0] - b[0], a[1] - b[1]) * self._host.viewport.scale / self._host.pixel_ratio


def no_class_hint() -> str:
    """What has to be done before anything can be painted."""
    return tr("Add a class or choose one to paint with.")


def paint_areas(document: Document, label: str, areas: Iterable[Area], class_id: int) -> bool:
    """Paint areas by hand as one step named ``label``; False when that changes nothing."""
    document.begin_edit(label)
    for rect, mask in areas:
        if not rect.is_empty:
            document.paint(rect, mask, class_id)
    return document.commit_edit()


def paint_two_tone(painter: QPainter, path: QPainterPath, ratio: float) -> None:
    """Draw an outline that is seen on every background: white in a dark seam."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for color, width in ((_DARK, 3.0), (_LIGHT, 1.0)):
        painter.setPen(QPen(color, width * ratio, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        painter.drawPath(path)


def paint_quickly(painter: QPainter, points: QPolygonF, ratio: float) -> None:
    """Draw a line through many points, two-tone but not smooth: a freehand path grows long while it is drawn."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    thickness = max(1, round(ratio))
    for color, shifts in ((_DARK, (-thickness, thickness)), (_LIGHT, range(thickness))):
        pen = QPen(color, 1)
        pen.setCosmetic(True)
        painter.setPen(pen)
        for shift in shifts:  # lines of one pixel side by side: a wide pen costs ten times as much
            painter.drawPolyline(points.translated(shift, 0))
            painter.drawPolyline(points.translated(0, shift))


def paint_circle(painter: QPainter, centre: QPointF, radius: float, ratio: float) -> None:
    """Draw a two-tone circle of any size quickly."""
    paint_box(painter, QRectF(centre.x() - radius, centre.y() - radius, 2 * radius, 2 * radius), True, ratio)


def paint_box(painter: QPainter, box: QRectF, is_round: bool, ratio: float) -> None:
    """Draw a two-tone rectangle, or the ellipse in it, of any size quickly."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, is_round)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    # A wide pen on a large circle costs ten times as much as lines of one pixel side by side.
    thickness = max(1, round(ratio))
    for ring in range(-thickness, 2 * thickness):
        pen = QPen(_LIGHT if 0 <= ring < thickness else _DARK, 1)
        pen.setCosmetic(True)
        painter.setPen(pen)
        wider = box.adjusted(-ring, -ring, ring, ring)
        if is_round:
            painter.drawEllipse(wider)
        else:
            painter.drawRect(wider)


def to_device(viewport: Viewport, point: tuple[float, float]) -> QPointF:
    """An image point in device pixels."""
    return QPointF(*viewport.to_device(*point))


def around(points: Sequence[QPointF], margin: float) -> Rect:
    """The device pixels within ``margin`` of the box around ``points``; empty without points."""
    if not points:
        return NO_GUIDES
    x, y = math.floor(min(p.x() for p in points) - margin), math.floor(min(p.y() for p in points) - margin)
    right, bottom = max(p.x() for p in points) + margin, max(p.y() for p in points) + margin
    return Rect(x, y, math.ceil(right) - x, math.ceil(bottom) - y)
