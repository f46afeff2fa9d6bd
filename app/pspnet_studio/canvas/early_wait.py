"""Waits for the screen between two repaints, instead of at the beginning of the next one."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QGuiApplication, QRegion
from PySide6.QtWidgets import QWidget


def wait_for_last_repaint(widget: QWidget) -> None:
    """Have Qt wait now until the X server has copied what was painted last.

    The picture of a window lies in memory that the X server copies from. Before Qt paints over something that it has
    handed over, it asks the server whether that was copied: a round trip, which takes milliseconds when all cores are
    busy, and at each move of a brush it would stand between the hand and the stroke. Asked for in a pause, the answer
    is there at the next move. Nothing is drawn here, and on other platforms than X11 nothing is done.
    """
    store = widget.backingStore()
    if store is None or QGuiApplication.platformName() != "xcb" or not widget.isVisible():
        return
    # Qt asks when what is to be painted touches anything that was handed over; one pixel of the widget will do.
    corner = widget.mapTo(widget.window(), QPoint(0, 0))
    store.beginPaint(QRegion(QRect(corner, widget.size())))
    store.endPaint()
