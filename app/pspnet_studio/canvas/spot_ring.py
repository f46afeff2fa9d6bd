"""A ring around a place of the image that fades away: look here."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QRectF, Qt, QVariantAnimation
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from pspnet_studio.canvas.image_view import ImageView

SHOWN_MS = 1_600
_HOLD = 0.6  # of that time in full
_LEAST_PX, _MARGIN_PX = 18, 4
_DARK, _LIGHT = QColor(0, 0, 0, 190), QColor(255, 255, 255)


class SpotRing(QWidget):
    """Lies over an image view, lets the pointer through, and stays on its place while the view moves.

    Args:
        view: Becomes its parent.
    """

    def __init__(self, view: ImageView) -> None:
        super().__init__(view)
        self._view = view
        self._place = (0.0, 0.0, 0.0)
        self._opacity = 0.0
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._fading = QVariantAnimation(self, duration=SHOWN_MS, startValue=1.0, endValue=0.0)
        self._fading.setKeyValueAt(_HOLD, 1.0)
        self._fading.setEasingCurve(QEasingCurve.Type.Linear)
        self._fading.valueChanged.connect(self._on_faded)
        self._fading.finished.connect(self.hide)
        view.viewport_changed.connect(self._follow)
        self.hide()

    def show_at(self, x: float, y: float, radius: float) -> None:
        """Show it around an image point.

        Args:
            x: Column.
            y: Row.
            radius: In image pixels; on the screen it is never smaller than can be seen.
        """
        self._place = x, y, radius
        self._opacity = 1.0
        self._fading.stop()
        self.show()
        self.raise_()
        self._follow()
        self._fading.start()

    def _follow(self) -> None:
        if self.isHidden():
            return
        if self._view.document is None:
            self._fading.stop()
            self.hide()
            return
        x, y, radius = self._place
        centre = self._view.image_to_widget(x, y)
        edge = self._view.image_to_widget(x + radius, y)
        half = max(_LEAST_PX, edge.x() - centre.x()) + _MARGIN_PX
        self.setGeometry(QRectF(centre.x() - half, centre.y() - half, 2 * half, 2 * half).toAlignedRect())

    def _on_faded(self, opacity: float) -> None:
        if opacity != self._opacity:
            self._opacity = opacity
            self.update()

    # --- Qt

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(self._opacity)
        ring = QRectF(self.rect()).adjusted(_MARGIN_PX, _MARGIN_PX, -_MARGIN_PX, -_MARGIN_PX)
        for width, color in ((6.0, _DARK), (2.5, _LIGHT)):  # two tones: seen on any photograph
            painter.setPen(QPen(color, width))
            painter.drawEllipse(ring)
        painter.end()
