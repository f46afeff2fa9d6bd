"""A widget that shows a document at a zoom, and draws again what changed. Hands for it are in ``image_view``."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QPainter,
    QPaintEvent,
    QPalette,
    QRegion,
    QResizeEvent,
)
from PySide6.QtWidgets import QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.runs import Runs
from pspnet_core.memory import give_back_free_memory
from pspnet_core.types import Rect
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.device_pixels import to_device, wholly_inside
from pspnet_studio.canvas.early_wait import wait_for_last_repaint
from pspnet_studio.canvas.screen import Screen
from pspnet_studio.canvas.viewport import Viewport
from pspnet_studio.model.document import Document
from pspnet_studio.model.view_state import Look

_FIT_MARGIN = 8
_LINE_POWER = 0.25

_BUSY_PAUSE_MS = 50
"""While a hand is at work, what is missing elsewhere is made now and then only."""

_TIDY_MS = 1000
"""So long after another image was opened the one before is surely let go of."""


class PictureView(QWidget):
    """Shows one document. Zoom 1.0 shows one image pixel on one pixel of the screen.

    Signals:
        zoom_changed: Another zoom.
        viewport_changed: Another zoom or another place.
    """

    zoom_changed = Signal(float)
    viewport_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._classes, self._look, self._opacity = ClassSet(), Look(), 1.0
        self._screen = Screen(ColorTable(self._classes))
        self._painted = Rect(0, 0, 0, 0)  # what was painted last
        self._is_fitted = True
        self._ratio = self.devicePixelRatioF()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._on_later)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.timeout.connect(self._on_pause)
        self._tidy = QTimer(self)
        self._tidy.setSingleShot(True)
        self._tidy.setInterval(_TIDY_MS)
        self._tidy.timeout.connect(self._on_tidy)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._take_background()

    @property
    def document(self) -> Document | None:
        """What is shown."""
        return self._document

    @property
    def viewport(self) -> Viewport:
        """Where the image lies, in device pixels."""
        return self._screen.viewport

    @property
    def pixel_ratio(self) -> float:
        """Device pixels per logical pixel."""
        return self._ratio

    @property
    def zoom(self) -> float:
        """Device pixels an image pixel takes."""
        return self.viewport.scale

    @property
    def is_fitted(self) -> bool:
        """Whether the whole image is shown, also after the view is resized."""
        return self._is_fitted

    @property
    def is_complete(self) -> bool:
        """Whether everything in sight is on screen as well as it can be; False while tiles are being made or read."""
        return self._screen.is_complete and not self._screen.is_waiting and self._screen.dirty.isEmpty()

    def set_document(self, document: Document | None) -> None:
        """Show another document, fitted into the view, or none."""
        if self._document is not None:
            self._document.runs_painted.disconnect(self._on_runs_painted)
            self._document.region_changed.disconnect(self._on_region_changed)
            self._document.pixels.changed.disconnect(self._on_pixels_changed)
        self._document = document
        if document is not None:
            document.runs_painted.connect(self._on_runs_painted)
            document.region_changed.connect(self._on_region_changed)
            document.pixels.changed.connect(self._on_pixels_changed)
        self._later.stop()
        self._tidy.start()
        self._screen.set_document(document)
        self._is_fitted = True
        self._lay_out()

    def set_classes(self, classes: ClassSet) -> None:
        """Draw the overlay with these colours, without hidden classes."""
        self._classes = classes
        self._recolor()

    def set_look(self, look: Look) -> None:
        """Show overlay and photograph in another way."""
        self._look = look
        self._recolor()
        self.set_overlay_opacity(self._opacity)

    def _recolor(self) -> None:
        if self._screen.set_colors(ColorTable(self._classes, self._look.highlight), self._look):
            self.update()

    # --- zoom

    def zoom_in(self) -> None:
        """To the next round zoom, about the middle."""
        self.set_zoom(self.viewport.larger_scale)

    def zoom_out(self) -> None:
        """To the round zoom before, about the middle."""
        self.set_zoom(self.viewport.smaller_scale)

    def actual_size(self) -> None:
        """One image pixel on one pixel of the screen."""
        self.set_zoom(1.0)

    def set_zoom(self, zoom: float) -> None:
        """Another zoom, about the middle of the view; clipped to what is allowed."""
        self._zoom_at(zoom, self.viewport.view_w / 2, self.viewport.view_h / 2)

    def fit(self) -> None:
        """Show the whole image, also after the view is resized, until the zoom is changed."""
        self._is_fitted = True
        self._lay_out()

    def look_where(self, other: PictureView) -> None:
        """Show the place that another view of an image of the same size shows, at the same zoom."""
        theirs, mine = other.viewport, self.viewport
        if (theirs.image_w, theirs.image_h) != (mine.image_w, mine.image_h):
            return
        x, y = theirs.to_image(theirs.view_w / 2, theirs.view_h / 2)
        self._is_fitted = False
        self._set_viewport(mine.showing(theirs.scale, x, y))

    def look_at(self, x: float, y: float) -> None:
        """Bring an image point into the middle of the view, as far as the image stays in sight."""
        self._is_fitted = False
        self._set_viewport(self.viewport.showing(self.zoom, x, y).panned(0, 0))

    def set_overlay_opacity(self, opacity: float) -> None:
        """Opacity of what lies over the photograph, 0 to 1; thin lines are drawn stronger than regions."""
        self._opacity = opacity
        self._screen.set_opacity(opacity**_LINE_POWER if self._look.contours else opacity)
        self.update()

    # --- mapping

    def image_to_widget(self, x: float, y: float) -> QPointF:
        """Where an image point (pixel centres at +0.5) lies in the widget."""
        return QPointF(*self.viewport.to_device(x, y)) / self._ratio

    def widget_to_image(self, point: QPointF | QPoint) -> tuple[float, float]:
        """Which image point (x, y) lies there; may be outside the image."""
        return self.viewport.to_image(point.x() * self._ratio, point.y() * self._ratio)

    def event_position(self, x: float, y: float) -> QPointF:
        """Where a pointer event must happen to mean an image point: an event names a pixel and means its centre."""
        return self.image_to_widget(x, y) - QPointF(0.5, 0.5) / self._ratio

    def event_to_image(self, position: QPointF) -> tuple[float, float]:
        """Which image point (x, y) a pointer event there means."""
        return self.viewport.to_image(position.x() * self._ratio + 0.5, position.y() * self._ratio + 0.5)

    def visible_rect(self) -> Rect:
        """The image pixels in sight; empty without a document."""
        return Rect(0, 0, 0, 0) if self._document is None else self.viewport.image_rect()

    # --- for subclasses

    def paint_guides(self, painter: QPainter) -> None:
        """Draw over the image, in device pixels."""

    @property
    def is_busy(self) -> bool:
        """Whether a hand is at work that must not be kept waiting."""
        return False

    def update_device_rect(self, rect: Rect) -> None:
        """Repaint a rectangle of device pixels."""
        if not rect.is_empty:
            ratio = self._ratio
            margin = 0 if ratio == int(ratio) else 2  # Qt cuts off what it takes for a part of a pixel
            x, y = math.floor(rect.x / ratio) - margin, math.floor(rect.y / ratio) - margin
            right, bottom = math.ceil(rect.right / ratio) + margin, math.ceil(rect.bottom / ratio) + margin
            self.update(x, y, right - x, bottom - y)

    # --- inside

    def _on_runs_painted(self, runs: Runs, class_id: int) -> None:
        self._painted = runs.rect
        self.update_device_rect(self._screen.paint(runs, class_id))
        self._pause.start(0)

    def _on_region_changed(self, region: Rect) -> None:
        if region is self._painted:  # seen to pixel by pixel
            return
        self.update_device_rect(self._screen.invalidate_overlay(region))

    def _on_pixels_changed(self, region: Rect) -> None:
        self.update_device_rect(self._screen.invalidate_photo(region))

    def _on_pause(self) -> None:
        """The screen shows the last move of the hand, and the next has not come: do what can be done now."""
        self._screen.catch_up()
        if self._document is not None:
            self._document.catch_up()
        wait_for_last_repaint(self)

    def _on_tidy(self) -> None:
        """The picture before, and all that was drawn for it, has gone by now."""
        if self.is_busy:
            self._tidy.start()
        else:
            give_back_free_memory()

    def _on_later(self) -> None:
        self._screen.refresh(is_busy=self.is_busy)
        self._update_region(self._screen.dirty)
        self._go_on_later()

    def _go_on_later(self) -> None:
        if not self._screen.is_complete and not self._later.isActive():
            self._later.start(_BUSY_PAUSE_MS if self.is_busy else 0)

    def _lay_out(self) -> None:
        """Fit the viewport to the widget's size, the screen's pixel ratio, and the image."""
        ratio = self.devicePixelRatioF()
        # One more where pixels of widget and screen do not coincide, so that no border stays unpainted.
        extra = 0 if ratio == int(ratio) else 1
        width, height = (max(1, math.ceil(v * ratio)) + extra for v in (self.width(), self.height()))
        image = Rect(0, 0, 1, 1) if self._document is None else self._document.rect
        old = self.viewport
        if self._is_fitted or (image.w, image.h) != (old.image_w, old.image_h):
            viewport = Viewport(image.w, image.h, width, height).fitted(round(_FIT_MARGIN * ratio))
        else:
            viewport = old.resized(width, height, ratio / self._ratio)
        self._ratio = ratio
        self._set_viewport(viewport)

    def _set_viewport(self, viewport: Viewport) -> None:
        zoom = self.viewport.scale
        self._screen.set_viewport(viewport)
        self.update()
        if viewport.scale != zoom:
            self.zoom_changed.emit(viewport.scale)
        self.viewport_changed.emit()

    def _zoom_at(self, zoom: float, x: float, y: float) -> None:
        self._is_fitted = False
        self._set_viewport(self.viewport.zoomed(zoom, x, y))

    def _take_background(self) -> None:
        window = self.palette().color(QPalette.ColorRole.Window)
        self._screen.set_background(window.darker(140 if window.lightness() < 128 else 115))

    def _update_region(self, region: QRegion) -> None:
        for rect in region:
            self.update_device_rect(Rect(rect.x(), rect.y(), rect.width(), rect.height()))

    # --- Qt

    def sizeHint(self) -> QSize:
        return QSize(800, 600)

    def paintEvent(self, event: QPaintEvent) -> None:
        self._screen.refresh(all_in_sight=not self.is_busy)
        drawn = self._screen.compose()
        painter = QPainter(self)
        touched = event.region() if self._ratio == 1 else to_device(painter, event.region(), self._ratio)
        for rect in touched:
            painter.drawImage(rect, self._screen.image, rect)
        self.paint_guides(painter)
        painter.end()
        if not drawn.isEmpty():
            # A tile that has become ready may reach beyond what Qt asked for, or to pixels that Qt clipped off.
            self._update_region(drawn - (touched if self._ratio == 1 else wholly_inside(event.region(), self._ratio)))
        self._go_on_later()
        self._pause.start(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._take_background()
            self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._lay_out()
        return super().event(event)
