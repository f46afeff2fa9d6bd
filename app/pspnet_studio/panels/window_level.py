"""Which values of a 16-bit image are shown from black to white: a histogram with two ends to take hold of."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHideEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QShowEvent
from PySide6.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from pspnet_core.imaging.deep import MAX_VALUE, DeepImage, Window
from pspnet_studio.messages import tr
from pspnet_studio.model.window_level import WindowLevel
from pspnet_studio.theme import RADIUS, SPACE_S, SPACE_XS, indent_value, tokens

_HISTOGRAM_PX, _GRIP_PX = 72, 7


class WindowLevelBox(QWidget):
    """There only while the open image has 16 bits per channel; while it is seen, its values are read.

    Args:
        window_level: Followed and changed.
    """

    def __init__(self, window_level: WindowLevel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = window_level
        self.histogram = Histogram()
        self.low_box, self.high_box = _value_box(0, MAX_VALUE - 1), _value_box(1, MAX_VALUE)
        self.auto_button, self.full_button = QPushButton(tr("Auto")), QPushButton(tr("Full range"))
        self.auto_button.setToolTip(tr("Show the values that this image has, but for the outermost 0.5 %"))
        self.full_button.setToolTip(tr("Show all values that 16 bits can have, as the network sees them"))
        self._note = QLabel()
        self._note.setWordWrap(True)
        self._note.setProperty("look", "muted")
        self._lay_out()
        self.histogram.window_dragged.connect(window_level.set_window)
        self.low_box.valueChanged.connect(self._on_low)
        self.high_box.valueChanged.connect(self._on_high)
        self.auto_button.clicked.connect(window_level.set_auto)
        self.full_button.clicked.connect(lambda: window_level.set_window(Window()))
        window_level.changed.connect(self._on_changed)
        self._on_changed()

    def _lay_out(self) -> None:
        title = QLabel(tr("16-bit values"))
        title.setProperty("look", "title")
        ends = QFormLayout()
        ends.setSpacing(SPACE_S)
        ends.addRow(tr("B&lack up to"), self.low_box)
        ends.addRow(tr("&White from"), self.high_box)
        buttons = QHBoxLayout()
        buttons.setSpacing(SPACE_S)
        buttons.addWidget(self.auto_button)
        buttons.addWidget(self.full_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, SPACE_S, 0, 0)
        layout.setSpacing(SPACE_S)
        layout.addWidget(title)
        layout.addWidget(self.histogram)
        layout.addLayout(ends)
        layout.addLayout(buttons)
        layout.addWidget(self._note)

    def _on_low(self, low: int) -> None:
        self._model.set_window(Window.between(low, max(low + 1, self._model.window.high)))

    def _on_high(self, high: int) -> None:
        self._model.set_window(Window(min(self._model.window.low, high - 1), high))

    def _on_changed(self) -> None:
        model = self._model
        self.setVisible(model.is_deep)
        for box, value in ((self.low_box, model.window.low), (self.high_box, model.window.high)):
            with QSignalBlocker(box):
                box.setValue(value)
        self.histogram.show_values(model.values, model.window)
        has_values = model.values is not None
        self.histogram.setVisible(not model.problem)
        for widget in (self.low_box, self.high_box, self.auto_button, self.histogram):
            widget.setEnabled(has_values)
        self.full_button.setEnabled(not model.window.is_full)
        self._note.setText(
            model.problem
            or tr("This changes only how the image looks here: the network and the tools see the full range.")
        )

    # --- Qt

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._model.set_wanted(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._model.set_wanted(False)


class Histogram(QWidget):
    """How often each value occurs, on a logarithmic scale, and the window over it; its two ends can be dragged.

    The axis ends at the power of two above the largest value, so that 12 bits in 16 fill it.

    Signals:
        window_dragged: A Window.
    """

    window_dragged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: DeepImage | None = None
        self._window = Window()
        self._stop = MAX_VALUE + 1
        self._heights = np.zeros(1)
        self._drags_high: bool | None = None
        self.setFixedHeight(_HISTOGRAM_PX)
        self.setMinimumWidth(120)
        self.setAccessibleName(tr("Histogram of the values"))
        self.setToolTip(tr("Drag the two lines to choose which values are shown"))
        self.setCursor(Qt.CursorShape.SplitHCursor)

    def show_values(self, values: DeepImage | None, window: Window) -> None:
        """Show the values of an image, or none, and this window."""
        if values is not self._values:
            self._values = values
            self._stop = MAX_VALUE + 1 if values is None else 1 << max(8, values.max_value.bit_length())
            counts = np.zeros(1) if values is None else values.histogram(256, self._stop)
            self._heights = np.log1p(counts) / max(1.0, float(np.log1p(counts.max())))
        self._window = window
        self.update()

    def x_of(self, value: float) -> float:
        """Where a value lies, in logical pixels; at the border when it is beyond the axis."""
        return 1 + min(1.0, value / self._stop) * (self.width() - 2)

    def sizeHint(self) -> QSize:
        return QSize(200, _HISTOGRAM_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        t = tokens(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(t.border, 1))
        painter.setBrush(t.surface)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        left, right = self.x_of(self._window.low), self.x_of(self._window.high + 1)
        shown = QColor(t.accent_soft)
        painter.fillRect(QRectF(left, 1, max(1.0, right - left), self.height() - 2), shown)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        width, room = (self.width() - 2) / len(self._heights), self.height() - 2 - SPACE_XS
        for number, height in enumerate(self._heights):
            x = 1 + number * width
            inside = left <= x + width / 2 <= right
            bar = QRectF(x, self.height() - 1 - height * room, max(1.0, width), height * room)
            painter.fillRect(bar, t.accent if inside else t.disabled)
        painter.setPen(QPen(t.text, 2))
        for x in (left, right):
            at = min(max(1.0, x), self.width() - 2.0)
            painter.drawLine(round(at), 1, round(at), self.height() - 2)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._values is None:
            return
        x, low, high = event.position().x(), self.x_of(self._window.low), self.x_of(self._window.high + 1)
        self._drags_high = abs(x - high) < abs(x - low) or (high - low < _GRIP_PX and x > high)
        self._drag_to(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drags_high is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._drag_to(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drags_high = None

    def _drag_to(self, x: float) -> None:
        value = min(max(0, round((x - 1) / max(1, self.width() - 2) * self._stop)), MAX_VALUE)
        low, high = self._window.low, self._window.high
        if self._drags_high:
            self.window_dragged.emit(Window(min(low, max(value, 1) - 1), max(value, 1)))
        else:
            self.window_dragged.emit(Window.between(value, max(high, value + 1)))


def _value_box(low: int, high: int) -> QSpinBox:
    box = QSpinBox()
    indent_value(box)
    box.setRange(low, high)
    box.setSingleStep(64)
    box.setGroupSeparatorShown(True)
    box.setKeyboardTracking(False)
    return box
