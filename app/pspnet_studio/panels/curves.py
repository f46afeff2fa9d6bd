"""A small live curve.

Painted by hand: importing pyqtgraph takes 200 to 300 ms of the window's thread when the first training starts (measured
with 0.14 on two cores), twice what a stall may be, for two lines on one axis.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from pspnet_studio.theme import SPACE_S, SPACE_XS, Tokens, tokens

_MAX_POINTS = 1024
_PLOT_PX = 44
_SMOOTHING = 0.9


class CurvePlot(QWidget):
    """One series over training steps: title, newest value, a line, and the ends of both axes.

    Args:
        title: Above the curve.
        y_max: Top of the value axis; None lets it follow the largest value.
        is_smoothed: Draw a running mean, with the values themselves faint behind it.
        has_markers: Mark each value: there are few.
    """

    def __init__(
        self,
        title: str,
        *,
        y_max: float | None = None,
        is_smoothed: bool = False,
        has_markers: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title = title
        self._y_max = y_max
        self._is_smoothed = is_smoothed
        self._has_markers = has_markers
        self._x_max = 1.0
        self._points: list[tuple[float, float]] = []
        self._smooth: list[tuple[float, float]] = []
        self._mean: float | None = None
        self._stride = 1
        self._num_seen = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)

    @property
    def points(self) -> list[tuple[float, float]]:
        """What is drawn: (step, value); thinned out evenly beyond 1,024."""
        return self._points

    def clear(self) -> None:
        """Start anew."""
        self._points, self._smooth, self._mean = [], [], None
        self._stride, self._num_seen, self._x_max = 1, 0, 1.0
        self.setAccessibleDescription("")
        self.update()

    def set_x_max(self, x_max: float) -> None:
        """Right end of the step axis; it grows with the points, too."""
        self._x_max = max(1.0, x_max)
        self.update()

    def add(self, x: float, y: float) -> None:
        """Add a value."""
        self._mean = y if self._mean is None else _SMOOTHING * self._mean + (1 - _SMOOTHING) * y
        if self._num_seen % self._stride == 0:
            self._points.append((x, y))
            self._smooth.append((x, self._mean))
        self._num_seen += 1
        if len(self._points) > _MAX_POINTS:
            self._points, self._smooth = self._points[::2], self._smooth[::2]
            self._stride *= 2
        self._x_max = max(self._x_max, x)
        self.setAccessibleDescription(self._value_text())
        self.update()

    def _value_text(self) -> str:
        if not self._points or self._mean is None:
            return ""
        return f"{self._mean if self._is_smoothed else self._points[-1][1]:.2f}"

    def _plot_rect(self) -> QRectF:
        metrics = self.fontMetrics()
        axis_width = metrics.horizontalAdvance("0.00") + SPACE_S
        top = metrics.height() + SPACE_XS + metrics.height() / 2
        return QRectF(axis_width, top, max(1.0, self.width() - axis_width - 4), float(_PLOT_PX))

    def sizeHint(self) -> QSize:
        height = self.fontMetrics().height()
        return QSize(200, 2 * height + _PLOT_PX + 2 * SPACE_XS)

    def minimumSizeHint(self) -> QSize:
        return QSize(140, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        t, plot = tokens(self.palette()), self._plot_rect()
        y_max = self._y_max or _round_top(max((y for _x, y in self._points), default=1.0))
        self._draw_words(painter, t, plot, y_max)
        if self._is_smoothed:
            faint = t.accent.toRgb()
            faint.setAlphaF(0.3)
            self._draw_line(painter, plot, self._points, y_max, QPen(faint, 1))
        line = self._smooth if self._is_smoothed else self._points
        self._draw_line(painter, plot, line, y_max, QPen(t.accent, 2))
        if self._has_markers:
            painter.setPen(QPen(t.accent, 2))
            painter.setBrush(t.surface)
            for x, y in self._points:
                painter.drawEllipse(self._place(plot, x, y, y_max), 3, 3)

    def _draw_words(self, painter: QPainter, t: Tokens, plot: QRectF, y_max: float) -> None:
        height = self.fontMetrics().height()
        head = QRectF(0, 0, self.width() - 4, height)
        painter.setPen(t.muted)
        painter.drawText(head, Qt.AlignmentFlag.AlignLeft, self._title)
        axis = QRectF(0, plot.top() - height / 2, plot.left() - SPACE_S, height)
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(axis, flags, f"{y_max:.2g}")
        painter.drawText(axis.translated(0, plot.height()), flags, "0")
        painter.setPen(t.text)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(head, Qt.AlignmentFlag.AlignRight, self._value_text())
        painter.setFont(self.font())
        painter.setPen(QPen(t.border, 1))
        for part in (0.0, 0.5, 1.0):
            y = round(plot.top() + part * plot.height()) + 0.5
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))

    def _draw_line(
        self, painter: QPainter, plot: QRectF, points: list[tuple[float, float]], y_max: float, pen: QPen
    ) -> None:
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF([self._place(plot, x, y, y_max) for x, y in points]))

    def _place(self, plot: QRectF, x: float, y: float, y_max: float) -> QPointF:
        return QPointF(
            plot.left() + plot.width() * x / self._x_max, plot.bottom() - plot.height() * min(1.0, y / y_max)
        )


def _round_top(largest: float) -> float:
    """A round number at or above ``largest``: an axis that seldom changes."""
    if largest <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(largest))
    return next(top * decade for top in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0) if top * decade >= largest)
