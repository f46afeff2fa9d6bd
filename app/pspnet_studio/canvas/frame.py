"""What the view shows, kept as one picture of the view's size in which only dirty rectangles are composed again."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRect
from PySide6.QtGui import QColor, QImage, QPainter, QTransform

from pspnet_core.types import Rect
from pspnet_studio.canvas.layers import ImageLayer, OverlayLayer
from pspnet_studio.canvas.tiles import Pixels, TilePyramid, at_level
from pspnet_studio.canvas.viewport import GRID_SCALE, NEAREST_SCALE, Viewport


class Frame:
    """A picture in device pixels: background, photograph, overlay, pixel grid.

    Moving a cursor over it costs a copy, painting costs what the stroke touches; a change of opacity composes
    once and touches no tile.

    Attributes:
        image: What is on screen; ``Format_RGB32``.
        opacity: Of the overlay, 0 to 1.
        background: Around the photograph.
    """

    def __init__(self) -> None:
        self._pixels: Pixels = np.zeros((1, 1), np.uint32)
        self.image = QImage()
        self.opacity = 1.0
        self.background = QColor(64, 64, 64)
        self._layers: tuple[ImageLayer, OverlayLayer] | None = None

    def set_layers(self, layers: tuple[ImageLayer, OverlayLayer] | None) -> None:
        """Show another photograph with the overlay over it, or only the background."""
        self._layers = layers

    def resize(self, width: int, height: int) -> None:
        """Another size in device pixels; everything has to be composed again."""
        self._pixels = np.zeros((max(1, height), max(1, width)), np.uint32)
        height, width = self._pixels.shape
        self.image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)

    def compose(self, viewport: Viewport, rect: Rect) -> None:
        """Draw ``rect`` (device pixels, inside the view) again from the tiles as they are now."""
        visible = rect.intersect(viewport.image_device_rect)
        if visible != rect or self._layers is None:
            self._pixels[rect.slices] = np.uint32(self.background.rgb())
        if self._layers is None or visible.is_empty:
            return
        photo, overlay = (layer.pyramid for layer in self._layers)
        if viewport.scale >= NEAREST_SCALE:
            self._compose_squares(viewport, visible, photo, overlay)
        elif viewport.scale == 1:
            self._compose_plain(viewport, visible, photo, overlay)
        else:
            self._compose_smooth(viewport, visible, photo, overlay)

    def _compose_plain(self, viewport: Viewport, rect: Rect, photo: TilePyramid, overlay: TilePyramid) -> None:
        source = Rect(rect.x - viewport.offset_x, rect.y - viewport.offset_y, rect.w, rect.h)
        self._pixels[rect.slices] = photo.gather(0, source)
        if self.opacity > 0:
            self._blend(rect, overlay.gather(0, source))

    def _compose_squares(self, viewport: Viewport, rect: Rect, photo: TilePyramid, overlay: TilePyramid) -> None:
        # Qt steps through a source in 16.16 fixed point from wherever the repainted part begins, so that squares of
        # one image would differ by a pixel between a full and a partial repaint. Hence the columns and rows are taken
        # here, exactly; rows are whole copies, so it costs no more than Qt does.
        columns, rows = viewport.columns(rect.x, rect.right), viewport.rows(rect.y, rect.bottom)
        x, y = int(columns[0]), int(rows[0])
        source = Rect(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)

        def magnified(pixels: Pixels) -> Pixels:
            return pixels.take(columns - x, axis=1, mode="clip").take(rows - y, axis=0, mode="clip")

        self._pixels[rect.slices] = magnified(photo.gather(0, source))
        if self.opacity > 0:
            self._blend(rect, magnified(overlay.gather(0, source)))
        if viewport.scale >= GRID_SCALE:
            self._draw_grid(viewport, rect)

    def _compose_smooth(self, viewport: Viewport, rect: Rect, photo: TilePyramid, overlay: TilePyramid) -> None:
        level = viewport.level
        source = at_level(viewport.image_rect(rect), level)
        source = Rect(source.x - 1, source.y - 1, source.w + 2, source.h + 2).intersect(photo.level_rect(level))
        painter = QPainter(self.image)
        painter.setClipRect(QRect(*rect))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        step = viewport.scale * (1 << level)
        painter.setTransform(QTransform(step, 0, 0, step, viewport.offset_x, viewport.offset_y))
        pixels = photo.gather(level, source)
        painter.drawImage(source.x, source.y, _as_image(pixels, QImage.Format.Format_RGB32))
        if self.opacity > 0:
            painter.setOpacity(self.opacity)
            pixels = overlay.gather(level, source)
            painter.drawImage(source.x, source.y, _as_image(pixels, QImage.Format.Format_ARGB32_Premultiplied))
        painter.end()

    def _blend(self, rect: Rect, pixels: Pixels) -> None:
        """Lay ``pixels`` (shape of ``rect``, premultiplied) over the frame."""
        painter = QPainter(self.image)
        painter.setOpacity(self.opacity)
        painter.drawImage(rect.x, rect.y, _as_image(pixels, QImage.Format.Format_ARGB32_Premultiplied))
        painter.end()

    def _draw_grid(self, viewport: Viewport, rect: Rect) -> None:
        columns, rows = viewport.columns(rect.x - 1, rect.right), viewport.rows(rect.y - 1, rect.bottom)
        at_column, at_row = columns[1:] != columns[:-1], rows[1:] != rows[:-1]
        part = self._pixels[rect.slices]
        part[at_row] = _contrasting(part[at_row])
        crossing_free = np.ix_(~at_row, at_column)
        part[crossing_free] = _contrasting(part[crossing_free])


def _contrasting(pixels: Pixels) -> Pixels:
    """Light colours a quarter darker, dark ones a quarter lighter: a line seen on everything, also on middle grey."""
    is_light = (pixels & np.uint32(0x8000)) != 0
    quarter_down = (pixels & np.uint32(0xFCFCFC)) >> np.uint32(2)
    quarter_up = (~pixels & np.uint32(0xFCFCFC)) >> np.uint32(2)
    return np.where(is_light, pixels - quarter_down, pixels + quarter_up)


def _as_image(pixels: Pixels, form: QImage.Format) -> QImage:
    """A view of ``pixels``, C-contiguous, which must outlive it."""
    height, width = pixels.shape
    return QImage(pixels.data, width, height, 4 * width, form)
