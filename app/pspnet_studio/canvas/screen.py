"""Keeps the frame up to date with document, colours and viewport, a bounded time per turn."""

from __future__ import annotations

import time

from PySide6.QtCore import QRect
from PySide6.QtGui import QColor, QImage, QRegion

from pspnet_core.imaging.runs import Runs
from pspnet_core.types import Rect
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.frame import Frame
from pspnet_studio.canvas.layers import ImageLayer, Layer, OverlayLayer
from pspnet_studio.canvas.tiles import at_level
from pspnet_studio.canvas.viewport import Viewport
from pspnet_studio.model.document import Document
from pspnet_studio.model.view_state import Look

_BUDGET_S = 0.008
_MAX_DIRTY_RECTS = 12

# A repaint of this many device pixels for one move of a brush is worth being cut into parts, each as wide as needed.
_LARGE_PX = 128 * 128
_NUM_BANDS = 4


class Screen:
    """The picture of one document as the view shows it; knows no widget.

    Rectangles are device pixels of the view, regions of image pixels are named so. First ``refresh``, which makes tiles
    for at most 8 ms (never less than one piece), then ``compose``.
    """

    def __init__(self, colors: ColorTable) -> None:
        self._colors, self._look = colors, Look()
        self._frame = Frame()
        self._layers: tuple[ImageLayer, OverlayLayer] | None = None
        self._dirty = QRegion()
        self._dirty_ground = QRegion()  # of it, where the photograph changed, too
        self._is_complete = True
        self._photo_is_complete = False  # all of it that is in sight
        self.viewport = Viewport(1, 1, 1, 1)

    @property
    def image(self) -> QImage:
        """What is on screen, of the view's size in device pixels."""
        return self._frame.image

    @property
    def is_complete(self) -> bool:
        """Whether everything in sight is drawn as well as it can be with what is there."""
        return self._is_complete

    @property
    def is_waiting(self) -> bool:
        """Whether pixels of the photograph that are in sight are still being read."""
        level = self.viewport.level
        seen = at_level(self.viewport.image_rect(), level)
        return self._layers is not None and self._layers[0].pyramid.is_waiting(level, seen)

    def set_document(self, document: Document | None) -> None:
        """Show another document, or none; a viewport for it has to follow."""
        self._layers = None
        if document is not None:
            photo = ImageLayer(document)
            photo.set_adjustments(self._look.adjustments)
            self._layers = photo, OverlayLayer(document, self._colors, self._look)
        self._frame.set_layers(self._layers)
        self._is_complete = True
        self._photo_is_complete = False

    def set_viewport(self, viewport: Viewport) -> None:
        """Look at another part, or at another scale, or through a view of another size."""
        if viewport.view_rect != self.viewport.view_rect or self._frame.image.isNull():
            self._frame.resize(viewport.view_w, viewport.view_h)
        self.viewport = viewport
        self._photo_is_complete = False
        if self._layers is not None:
            self._layers[0].pyramid.ask_again()
        self.invalidate()

    def set_colors(self, colors: ColorTable, look: Look) -> bool:
        """Colour the overlay, or show it and the photograph, in another way; False when that makes no difference."""
        if colors == self._colors and look == self._look:
            return False
        adjustments = self._look.adjustments
        self._colors, self._look = colors, look
        if self._layers is not None:
            photo, overlay = self._layers
            overlay.set_colors(colors, look)
            if look.adjustments != adjustments:
                photo.set_adjustments(look.adjustments)
                self._photo_is_complete = False
        self.invalidate()
        return True

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the overlay, 0 to 1."""
        self._frame.opacity = opacity
        self._dirty = QRegion(QRect(*self.viewport.view_rect))

    def set_background(self, color: QColor) -> None:
        """What is seen around the image."""
        self._frame.background = color
        self.invalidate()

    def invalidate(self) -> None:
        """Compose everything again; tiles stay as they are."""
        self._dirty = self._dirty_ground = QRegion(QRect(*self.viewport.view_rect))

    def invalidate_overlay(self, region: Rect) -> Rect:
        """The classes of a region of the image changed; returns what has to be repainted."""
        if self._layers is None:
            return Rect(0, 0, 0, 0)
        if self._look.contours:  # the outline of a neighbour may change, too; at a coarse level that is farther away
            margin = 1 << self.viewport.level
            region = Rect(region.x - margin, region.y - margin, region.w + 2 * margin, region.h + 2 * margin)
            region = region.intersect(Rect(0, 0, self.viewport.image_w, self.viewport.image_h))
        self._layers[1].pyramid.invalidate(region)
        rect = self.viewport.device_rect(region)
        if not rect.is_empty:
            self._dirty += QRect(*rect)
        return rect

    def paint(self, runs: Runs, class_id: int) -> Rect:
        """Pixels got one class by hand: as :meth:`invalidate_overlay`, at the cost of those pixels where possible."""
        color = None if self._layers is None else self._layers[1].painted_color(class_id)
        if self._layers is None or color is None:
            return self.invalidate_overlay(runs.rect)
        self._layers[1].pyramid.paint(runs, color)
        painted = self._frame.paint(self.viewport, runs, color)
        if painted is not None:
            return painted
        whole = self.viewport.device_rect(runs.rect)
        if self.viewport.level == 0 and self._is_complete and whole.w * whole.h >= _LARGE_PX:
            # Its tiles are up to date, and most of the rectangle is as it was.
            parts = [self.viewport.device_rect(part) for part in runs.parts(_NUM_BANDS)]
            self._frame.compose(self.viewport, [part for part in parts if not part.is_empty])
        elif not whole.is_empty:
            self._dirty += QRect(*whole)
        return whole

    def invalidate_photo(self, region: Rect) -> Rect:
        """A region of the photograph can be drawn better; returns what has to be repainted."""
        if self._layers is None:
            return Rect(0, 0, 0, 0)
        self._layers[0].on_pixels_changed(region)
        self._photo_is_complete = False
        self._is_complete = False
        rect = self.viewport.device_rect(region)
        if not rect.is_empty:
            self._dirty += QRect(*rect)
            self._dirty_ground += QRect(*rect)
        return rect

    def refresh(self, all_in_sight: bool = True, is_busy: bool = False) -> None:
        """Make the tiles that are wanted: first those of what changed, then, if some were missing, all in sight.

        Args:
            all_in_sight: Whether to go on to the latter, and to make tiles of the photograph at all.
            is_busy: The hand is at work: take a quarter of the time.
        """
        if self._layers is None or (self._is_complete and self._dirty.isEmpty()):
            return
        start, budget = time.perf_counter(), _BUDGET_S / 4 if is_busy else _BUDGET_S
        area = _rect(self._dirty.boundingRect())
        is_complete = self._refresh_area(self._layers, area, start, budget, all_in_sight)
        if not self._is_complete and area != self.viewport.view_rect:
            is_complete = all_in_sight and self._refresh_area(self._layers, self.viewport.view_rect, start, budget)
        self._is_complete = is_complete

    def catch_up(self) -> None:
        """Do what was put off while the hand was at work; does nothing when there is none."""
        if self._layers is not None:
            self._layers[1].pyramid.catch_up()

    @property
    def dirty(self) -> QRegion:
        """What ``compose`` would draw again."""
        return QRegion(self._dirty)

    def compose(self) -> QRegion:
        """Bring the frame up to date; returns what was drawn again."""
        if self._dirty.isEmpty():
            return self._dirty
        region, self._dirty = self._dirty, QRegion()
        ground, self._dirty_ground = self._dirty_ground, QRegion()
        for rect in _few_rects(ground):
            self._frame.compose_ground(self.viewport, rect.intersect(self.viewport.view_rect))
        rects = [rect.intersect(self.viewport.view_rect) for rect in _few_rects(region)]
        self._frame.compose(self.viewport, [rect for rect in rects if not rect.is_empty])
        return region

    def _refresh_area(
        self, layers: tuple[ImageLayer, OverlayLayer], area: Rect, start: float, budget: float, with_photo: bool = True
    ) -> bool:
        photo, overlay = layers
        # The overlay is the smaller part, and follows the hand: it gets the first half of the time.
        is_hidden = self._frame.opacity == 0
        overlay_is_complete = is_hidden or self._refresh_layer(overlay, area, start + budget / 2)
        if not self._photo_is_complete:  # it never changes: a stroke costs it nothing
            if not with_photo:
                return False
            is_complete = self._refresh_layer(photo, area, start + budget, is_ground=True)
            self._photo_is_complete = is_complete and area == self.viewport.view_rect
            return is_complete and overlay_is_complete
        return overlay_is_complete

    def _refresh_layer(self, layer: Layer, area: Rect, deadline: float, is_ground: bool = False) -> bool:
        source = self.viewport.image_rect(area)
        if source.is_empty:
            return True
        level = self.viewport.level
        source = at_level(source, level)
        source = Rect(source.x - 1, source.y - 1, source.w + 2, source.h + 2)
        changed, is_complete = layer.pyramid.refresh(level, source, deadline)
        for region in changed:
            rect = self.viewport.device_rect(region)
            if not rect.is_empty:
                self._dirty += QRect(*rect)
                if is_ground:
                    self._dirty_ground += QRect(*rect)
        return is_complete


def _few_rects(region: QRegion) -> list[Rect]:
    """The rectangles of a region; the one around all when they are many."""
    if region.rectCount() > _MAX_DIRTY_RECTS:
        return [_rect(region.boundingRect())]
    return [_rect(rect) for rect in region]


def _rect(rect: QRect) -> Rect:
    return Rect(rect.x(), rect.y(), rect.width(), rect.height())
