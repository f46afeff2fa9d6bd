"""The thin bar of a row: which share of an image is labelled, and how that came to be."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath

from pspnet_studio.theme import Tokens

BAR_PX = 5
_STRIPE_PX = 2.0


def draw_shares(painter: QPainter, bar: QRect, labelled: float, painted: float, accepted: float, t: Tokens) -> None:
    """Painted in full, accepted in stripes, the rest that is labelled (imported) as a thin line, in this order.

    Args:
        painter: Of the row.
        bar: Where.
        labelled: Share of all pixels, 0 to 1.
        painted: Likewise; a part of ``labelled``.
        accepted: Likewise.
        t: Colours.
    """
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    outline = QPainterPath()
    outline.addRoundedRect(QRectF(bar), BAR_PX / 2, BAR_PX / 2)
    track = QColor(t.disabled)
    track.setAlphaF(0.35)  # seen on the tint of the chosen row, too
    painter.fillPath(outline, track)
    painter.setClipPath(outline)
    left = float(bar.left())
    for share, draw in ((painted, _draw_solid), (accepted, _draw_stripes), (labelled - painted - accepted, _draw_line)):
        if share > 1e-9:
            width = max(_STRIPE_PX * 2, bar.width() * share)  # a speck is seen, too
            draw(painter, QRectF(left, bar.top(), width, BAR_PX), t)
            left += width
    painter.restore()


def draw_gain(painter: QPainter, bar: QRect, gain: float, t: Tokens) -> None:
    """How much an image would bring, as a part of what the best one would: framed, as no share of pixels is.

    Args:
        painter: Of the row.
        bar: Where.
        gain: 0 to 1.
        t: Colours.
    """
    painter.save()
    frame = QRectF(bar).adjusted(0.5, 0.5, -0.5, -0.5)
    painter.setPen(t.muted)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(frame)
    painter.fillRect(QRectF(frame.left(), frame.top(), max(_STRIPE_PX, frame.width() * gain), frame.height()), t.muted)
    painter.restore()


def _draw_solid(painter: QPainter, rect: QRectF, t: Tokens) -> None:
    painter.fillRect(rect, t.accent)


def _draw_stripes(painter: QPainter, rect: QRectF, t: Tokens) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    brush = QBrush(t.good)
    left = rect.left()
    while left < rect.right():
        painter.fillRect(QRectF(left, rect.top(), min(_STRIPE_PX, rect.right() - left), rect.height()), brush)
        left += 2 * _STRIPE_PX
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)


def _draw_line(painter: QPainter, rect: QRectF, t: Tokens) -> None:
    middle = rect.center().y()
    painter.fillRect(QRectF(rect.left(), middle - 1, rect.width(), 2), t.muted)
