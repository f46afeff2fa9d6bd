"""The whole image in a corner of the canvas, with the part that is in sight: click or drag to go elsewhere."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.types import Rect, RgbImage
from pspnet_studio.canvas.colors import ArgbImage, ColorTable
from pspnet_studio.canvas.image_view import ImageView
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import ViewState

_LONGEST_PX, _MARGIN_PX, _FRAME_PX, _RADIUS_PX = 180, 12, 1, 4
_MAX_SHARE = 0.4  # of the canvas, along each side
_MIN_SIDE_PX = 24
_MIN_MARK_PX = 7
_MAX_STEP = 512
_REST_MS = 150
"""Painting costs the map nothing: it is drawn again when the hand rests for so long."""

_DIM, _DARK, _LIGHT = QColor(0, 0, 0, 85), QColor(0, 0, 0, 200), QColor(255, 255, 255)


class Minimap(QWidget):
    """Lies over an image view and follows it; there only while a part of the image is out of sight.

    The picture is made of what was decoded first, or of every n-th pixel, and of every n-th pixel of the class map:
    at any size of the image that costs a millisecond or two.

    Args:
        view: Which view; the map becomes a child of it.
        tool_state: Whether and how strongly classes are shown.
        view_state: Whether the map is wanted; brightness of the photograph and the highlighted class.
    """

    def __init__(self, view: ImageView, tool_state: ToolState, view_state: ViewState) -> None:
        super().__init__(view)
        self._view, self._tool_state, self._view_state = view, tool_state, view_state
        self._document: Document | None = None
        self._classes = ClassSet()
        self._picture: QPixmap | None = None
        self._grip: QPointF | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._forget)
        self.setAccessibleName(tr("Minimap"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.hide()
        view.viewport_changed.connect(self._follow)
        view.installEventFilter(self)
        view_state.minimap_changed.connect(self._follow)
        view_state.changed.connect(self._forget)
        tool_state.overlay_changed.connect(self._forget)

    def set_classes(self, classes: ClassSet) -> None:
        """Draw classes with these colours."""
        self._classes = classes
        self._forget()

    def map_rect(self) -> QRectF:
        """Where the whole image lies in the widget."""
        return QRectF(self.rect()).adjusted(_FRAME_PX, _FRAME_PX, -_FRAME_PX, -_FRAME_PX)

    def mark_rect(self) -> QRectF:
        """Where the part that is in sight lies in the widget; never too small to be seen."""
        port, area = self._view.viewport, self.map_rect()
        left, top = port.to_image(0, 0)
        right, bottom = port.to_image(port.view_w, port.view_h)
        across, down = area.width() / port.image_w, area.height() / port.image_h
        mark = QRectF(QPointF(left * across, top * down), QPointF(right * across, bottom * down))
        mark = mark.translated(area.topLeft()).intersected(area)
        grow_x, grow_y = (max(0.0, _MIN_MARK_PX - side) / 2 for side in (mark.width(), mark.height()))
        return mark.adjusted(-grow_x, -grow_y, grow_x, grow_y)

    # --- following

    def _follow(self) -> None:
        if self._view.document is not self._document:
            self._take_document(self._view.document)
        size = self._wanted_size()
        if size is None:
            self.hide()
            return
        corner = QPoint(self._view.width() - _MARGIN_PX, self._view.height() - _MARGIN_PX)
        place = QRect(corner - QPoint(size.width(), size.height()), size)
        if place != self.geometry():
            if place.size() != self.size():
                self._picture = None
            self.setGeometry(place)
        self.show()
        self.update()

    def _take_document(self, document: Document | None) -> None:
        if self._document is not None:
            self._document.region_changed.disconnect(self._on_region_changed)
            self._document.pixels.changed.disconnect(self._on_region_changed)
        self._document, self._grip = document, None
        if document is not None:
            document.region_changed.connect(self._on_region_changed)
            document.pixels.changed.connect(self._on_region_changed)
        self._picture = None

    def _wanted_size(self) -> QSize | None:
        """Of the widget; None when there is nothing to be seen on a map, or no room for it."""
        port = self._view.viewport
        seen = port.image_rect()
        is_all = (seen.w, seen.h) == (port.image_w, port.image_h)
        if self._document is None or is_all or not self._view_state.has_minimap:
            return None
        longest = min(_LONGEST_PX / max(port.image_w, port.image_h), _MAX_SHARE * self._view.width() / port.image_w)
        scale = min(longest, _MAX_SHARE * self._view.height() / port.image_h)
        width, height = (max(_MIN_SIDE_PX, round(side * scale)) for side in (port.image_w, port.image_h))
        if width > _MAX_SHARE * self._view.width() or height > _MAX_SHARE * self._view.height():
            return None
        return QSize(width + 2 * _FRAME_PX, height + 2 * _FRAME_PX)

    def _on_region_changed(self, _rect: Rect) -> None:
        self._rest.start()

    def _forget(self) -> None:
        self._rest.stop()
        self._picture = None
        if self.isVisible():
            self.update()

    # --- the picture

    def _draw_picture(self, document: Document) -> QPixmap:
        ratio = self.devicePixelRatioF()
        area = self.map_rect().size() * ratio
        picture = QPixmap(max(1, round(area.width())), max(1, round(area.height())))
        wanted = max(picture.width(), picture.height())
        picture.fill(QColor(128, 128, 128))
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        photo = _thin_photo(document, wanted)
        if photo is not None:
            adjustments = self._view_state.look.adjustments
            if not adjustments.is_identity:
                photo = adjustments.table()[photo]
            photo = np.ascontiguousarray(photo)
            height, width = photo.shape[:2]
            painter.drawImage(picture.rect(), QImage(photo.data, width, height, 3 * width, QImage.Format.Format_RGB888))
        if self._tool_state.overlay_visible and self._tool_state.opacity > 0:
            colors = ColorTable(self._classes, self._view_state.look.highlight)
            overlay = _thin_overlay(document, wanted, colors)
            height, width = overlay.shape
            painter.setOpacity(self._tool_state.opacity)
            form = QImage.Format.Format_ARGB32_Premultiplied
            painter.drawImage(picture.rect(), QImage(overlay.data, width, height, 4 * width, form))
        painter.end()
        return picture

    # --- Qt

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._follow()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        document = self._document
        if document is None:
            return
        if self._picture is None:
            self._picture = self._draw_picture(document)
        area, mark = self.map_rect(), self.mark_rect()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), _RADIUS_PX, _RADIUS_PX)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), _DARK)
        painter.drawPixmap(area, self._picture, QRectF(self._picture.rect()))
        around = QPainterPath()
        around.addRect(area)
        inside = QPainterPath()
        inside.addRect(mark)
        painter.fillPath(around.subtracted(inside), _DIM)
        for width, color in ((4.0, _DARK), (2.0, _LIGHT)):  # two tones: seen on any photograph
            painter.setPen(
                QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap, Qt.PenJoinStyle.MiterJoin)
            )
            painter.drawRect(mark.adjusted(1, 1, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        at = event.position()
        self._grip = at - self._middle() if self.mark_rect().contains(at) else QPointF(0, 0)
        self.setCursor(Qt.CursorShape.ClosedHandCursor)
        self._go_to(at)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grip is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._go_to(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._grip = None
            self.setCursor(Qt.CursorShape.PointingHandCursor)

    def _middle(self) -> QPointF:
        """Where the middle of the view lies in the widget; the mark, cut to the image, may have another one."""
        port, area = self._view.viewport, self.map_rect()
        x, y = port.to_image(port.view_w / 2, port.view_h / 2)
        return area.topLeft() + QPointF(x * area.width() / port.image_w, y * area.height() / port.image_h)

    def _go_to(self, at: QPointF) -> None:
        assert self._grip is not None
        port, area, centre = self._view.viewport, self.map_rect(), at - self._grip
        x = (centre.x() - area.x()) * port.image_w / area.width()
        y = (centre.y() - area.y()) * port.image_h / area.height()
        self._view.look_at(min(max(x, 0), port.image_w), min(max(y, 0), port.image_h))


def _step(document: Document, wanted: int) -> int:
    """The largest power of two that leaves at least ``wanted`` pixels along the longer side."""
    longest, step = max(document.rect.w, document.rect.h), 1
    while longest // (2 * step) >= wanted and step < _MAX_STEP:
        step *= 2
    return step


def _thin_photo(document: Document, wanted: int) -> RgbImage | None:
    """A small picture of the photograph; None while there is none."""
    return document.pixels.thinned(_step(document, 2 * wanted))


def _thin_overlay(document: Document, wanted: int, colors: ColorTable) -> ArgbImage:
    return colors.colored(*document.displayed(document.rect, _step(document, wanted)))
