"""Painting in pixels of the screen where a pixel of the widget is not a whole number of them."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QPainter, QRegion, QTransform


def to_device(painter: QPainter, region: QRegion, ratio: float) -> QRegion:
    """Have a painter count device pixels; returns those that a region of the widget touches."""
    # The widget may begin between two pixels of the screen (fractional scaling): keep the frame on whole ones.
    to_screen = painter.deviceTransform()
    origin = to_screen.map(QPointF(0, 0))
    whole = QTransform.fromTranslate(round(origin.x()), round(origin.y()))
    painter.setWorldTransform(whole * to_screen.inverted()[0])
    touched = QRegion()
    for rect in region:
        left, top = math.floor(rect.x() * ratio), math.floor(rect.y() * ratio)
        right = math.ceil((rect.x() + rect.width()) * ratio) + 1
        bottom = math.ceil((rect.y() + rect.height()) * ratio) + 1
        touched += QRect(left, top, right - left, bottom - top)
    return touched


def wholly_inside(region: QRegion, ratio: float) -> QRegion:
    """The device pixels that Qt surely let through when it repainted a region of the widget."""
    inside = QRegion()
    for rect in region:
        left, top = math.ceil(rect.x() * ratio) + 1, math.ceil(rect.y() * ratio) + 1
        right = math.floor((rect.x() + rect.width()) * ratio) - 1
        bottom = math.floor((rect.y() + rect.height()) * ratio) - 1
        inside += QRect(left, top, right - left, bottom - top)
    return inside
