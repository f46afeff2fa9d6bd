"""A person at a canvas: image points in, Qt events out."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.model.document import Document

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE = Qt.MouseButton.NoButton
PLAIN, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


class ScaledView(CanvasView):
    """A canvas on a screen of any pixel ratio."""

    ratio = 1.0

    def devicePixelRatioF(self):
        return self.ratio


class Hand:
    """A person at the canvas: image points in, Qt events out."""

    def __init__(self, view):
        self.view = view
        self.held = NONE

    def _mouse(self, kind, x, y, button, modifiers=PLAIN):
        at = self.view.event_position(x, y)
        event = QMouseEvent(kind, at, self.view.mapToGlobal(at), button, self.held, modifiers)
        QApplication.sendEvent(self.view, event)

    def press(self, x, y, button=LEFT, modifiers=PLAIN):
        self.held = button
        self._mouse(QEvent.Type.MouseButtonPress, x, y, button, modifiers)

    def move(self, x, y, modifiers=PLAIN):
        self._mouse(QEvent.Type.MouseMove, x, y, NONE, modifiers)

    def release(self, x, y, modifiers=PLAIN):
        button, self.held = self.held, NONE
        self._mouse(QEvent.Type.MouseButtonRelease, x, y, button, modifiers)

    def click(self, x, y, button=LEFT, modifiers=PLAIN):
        self.press(x, y, button, modifiers)
        self.release(x, y, modifiers)

    def double_click(self, x, y):
        self.click(x, y)
        self.held = LEFT
        self._mouse(QEvent.Type.MouseButtonDblClick, x, y, LEFT)
        self.release(x, y)

    def stroke(self, *points, button=LEFT):
        self.press(*points[0], button)
        for point in points[1:]:
            self.move(*point)
        self.release(*points[-1])

    def key_down(self, key, repeats=0):
        for index in range(repeats + 1):
            self._key(QEvent.Type.KeyPress, key, index > 0)
            if index < repeats:
                self._key(QEvent.Type.KeyRelease, key, True)

    def key_up(self, key):
        self._key(QEvent.Type.KeyRelease, key, False)

    def key(self, key):
        self.key_down(key)
        self.key_up(key)

    def _key(self, kind, key, is_repeat):
        text = {Qt.Key.Key_V: "v", Qt.Key.Key_Space: " "}.get(key, "")
        QApplication.sendEvent(self.view, QKeyEvent(kind, key, PLAIN, text, is_repeat))


def make_document(width=120, height=90):
    image = np.zeros((height, width, 3), np.uint8)
    return Document("a.png", image, PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, 0))
