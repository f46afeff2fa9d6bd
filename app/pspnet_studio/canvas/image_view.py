"""A view of a document that is panned and zoomed by hand. What edits it is in ``view``."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QNativeGestureEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from pspnet_studio.canvas.picture_view import PictureView
from pspnet_studio.canvas.touchpad import is_touchpad

_WHEEL_NOTCH = 120
_NOTCHES_TO_DOUBLE = 3
_WAYS = (1, 0), (0, 1), (-1, 0), (0, -1)  # of the image, by left, up, right and down: the arrow says where to look
PAN_KEYS = dict(zip(range(Qt.Key.Key_Left.value, Qt.Key.Key_Left.value + 4), _WAYS, strict=True))
"""How far the image moves, to the right and down, by each arrow key."""


class ImageView(PictureView):
    """Pans with the middle button, with Space and the primary one, with two fingers or arrow keys; the wheel zooms."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_space_down = False
        self._pan_button = Qt.MouseButton.NoButton
        self._pan_from = QPoint()

    def update_cursor(self) -> None:
        """Show the pointer that fits to what a press would do now."""
        if self._document is None:
            self.unsetCursor()
        elif self.is_panning:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        else:
            self.setCursor(Qt.CursorShape.OpenHandCursor)

    @property
    def is_panning(self) -> bool:
        """Whether the pointer drags the image."""
        return self._pan_button != Qt.MouseButton.NoButton

    @property
    def is_space_down(self) -> bool:
        """Whether the space bar makes the primary button pan."""
        return self._is_space_down

    def stop_panning(self) -> None:
        """Let go of the image and of the space bar."""
        self._pan_button = Qt.MouseButton.NoButton
        self._is_space_down = False
        self.update_cursor()

    # --- inside

    def _pan(self, dx: float, dy: float) -> None:
        """Move the image by logical pixels."""
        self._is_fitted = False
        self._set_viewport(self.viewport.panned(round(dx * self._ratio), round(dy * self._ratio)))

    def _pinch(self, event: QNativeGestureEvent) -> bool:
        if self._document is None or event.gestureType() != Qt.NativeGestureType.ZoomNativeGesture:
            return False
        at = event.position() * self._ratio
        self._zoom_at(self.zoom * max(0.1, 1 + event.value()), at.x(), at.y())
        return True

    # --- Qt

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent) and self._pinch(event):
            return True
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._document is None:
            event.ignore()
            return
        if is_touchpad(event):
            delta = event.pixelDelta() if not event.pixelDelta().isNull() else event.angleDelta() / 4
            self._pan(delta.x(), delta.y())
        else:
            notches = event.angleDelta().y() / _WHEEL_NOTCH
            at = event.position() * self._ratio
            self._zoom_at(self.zoom * 2 ** (notches / _NOTCHES_TO_DOUBLE), at.x(), at.y())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        primary = event.button() == Qt.MouseButton.LeftButton and self._is_space_down
        if self._document is None or self.is_panning or not (primary or event.button() == Qt.MouseButton.MiddleButton):
            event.ignore()
            return
        self._pan_button = event.button()
        self._pan_from = (event.position() * self._ratio).toPoint()
        self.update_cursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.is_panning and not event.buttons() & self._pan_button:
            self.stop_panning()
        if not self.is_panning:
            event.ignore()
            return
        at = (event.position() * self._ratio).toPoint()
        moved = at - self._pan_from
        self._pan_from = at
        self._is_fitted = False
        self._set_viewport(self.viewport.panned(moved.x(), moved.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.is_panning and event.button() == self._pan_button:
            self._pan_button = Qt.MouseButton.NoButton
            self.update_cursor()
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._document is not None and event.key() in PAN_KEYS:
            across, down = PAN_KEYS[event.key()]
            share = 0.5 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.1
            self._pan(across * share * self.width(), down * share * self.height())
        elif self._document is None or event.key() != Qt.Key.Key_Space:
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            self._is_space_down = True
            self.update_cursor()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() != Qt.Key.Key_Space:
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat():
            self._is_space_down = False
            self.update_cursor()
