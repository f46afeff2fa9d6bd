"""What shows where a brush would paint: its outline, and cross hairs around a small one."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage, QPainter, QPainterPath

from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import paint_circle, paint_two_tone

_CROSS_PX = 5.0
_STEPS = 2
"""A picture is made for each n-th part of a pixel, across and down: nobody sees the rest."""
_LARGEST_PX = 512
"""A larger outline is drawn each time: a picture of it would be mostly empty."""

_Look = tuple[float, bool, float]


class BrushCursor:
    """Draws the outline of a brush in device pixels; while only the place changes, it copies pictures."""

    def __init__(self) -> None:
        self._look: _Look | None = None
        self._pictures: dict[tuple[int, int], QImage] = {}

    @staticmethod
    def reach(radius: float, ratio: float) -> float:
        """How far from the middle anything is drawn, for a brush and a pixel ratio."""
        return max(radius + 4 * ratio, 4 * _CROSS_PX * ratio)

    def rect(self, x: float, y: float, radius: float, ratio: float) -> Rect:
        """The device pixels that :meth:`paint` may touch."""
        reach = self.reach(radius, ratio) + 1
        left, top = math.floor(x - reach), math.floor(y - reach)
        return Rect(left, top, math.ceil(x + reach) - left, math.ceil(y + reach) - top)

    def paint(self, painter: QPainter, x: float, y: float, radius: float, is_square: bool, ratio: float) -> None:
        """Draw around the device point (x, y)."""
        reach = math.ceil(self.reach(radius, ratio))
        if reach > _LARGEST_PX:
            _draw(painter, QPointF(x, y), radius, is_square, ratio)
            return
        if self._look != (radius, is_square, ratio):
            self._look = radius, is_square, ratio
            self._pictures.clear()
        x_step, y_step = round(x * _STEPS), round(y * _STEPS)
        part = x_step % _STEPS, y_step % _STEPS
        if part not in self._pictures:
            picture = QImage(2 * reach + 2, 2 * reach + 2, QImage.Format.Format_ARGB32_Premultiplied)
            picture.fill(0)
            inner = QPainter(picture)
            _draw(inner, QPointF(*(reach + step / _STEPS for step in part)), radius, is_square, ratio)
            inner.end()
            self._pictures[part] = picture
        painter.drawImage(x_step // _STEPS - reach, y_step // _STEPS - reach, self._pictures[part])


def _draw(painter: QPainter, middle: QPointF, radius: float, is_square: bool, ratio: float) -> None:
    x, y = middle.x(), middle.y()
    path = QPainterPath()
    if radius >= 2 * ratio and is_square:
        path.addRect(x - radius, y - radius, 2 * radius, 2 * radius)
    elif radius >= 2 * ratio:
        paint_circle(painter, middle, radius, ratio)
    if radius < 2 * _CROSS_PX * ratio:
        # Too small a circle to be found: cross hairs around it.
        near = max(radius, 2 * ratio) + 2 * ratio
        far = near + _CROSS_PX * ratio
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            path.moveTo(x + dx * near, y + dy * near)
            path.lineTo(x + dx * far, y + dy * far)
    if not path.isEmpty():
        paint_two_tone(painter, path, ratio)
