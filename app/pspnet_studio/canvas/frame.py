"""What the view shows, kept as one picture of the view's size in which only dirty rectangles are composed again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect
from PySide6.QtGui import QColor, QImage, QPainter, QTransform

from pspnet_core.imaging.runs import Runs
from pspnet_core.types import Rect
from pspnet_studio.canvas.layers import ImageLayer, OverlayLayer
from pspnet_studio.canvas.tiles import Pixels, TilePyramid, at_level
from pspnet_studio.canvas.viewport import GRID_SCALE, NEAREST_SCALE, Viewport

_STRIP_SHAPE = 16, 4096
_OVERLAY_FORMAT = QImage.Format.Format_ARGB32_Premultiplied


class Frame:
    """A picture in device pixels: background, photograph, overlay, pixel grid.

    Background and photograph are kept as a picture of their own, too. Moving a cursor over the frame costs a copy,
    painting costs what the stroke touches; a change of opacity composes once and touches no tile.

    Attributes:
        image: What is on screen; ``Format_RGB32``.
        opacity: Of the overlay, 0 to 1.
        background: Around the photograph.
    """

    def __init__(self) -> None:
        self._ground: Pixels = np.zeros((1, 1), np.uint32)
        self._pixels: Pixels = np.zeros((1, 1), np.uint32)
        self._ground_image, self.image = QImage(), QImage()
        self.opacity = 1.0
        self.background = QColor(64, 64, 64)
        self._layers: tuple[ImageLayer, OverlayLayer] | None = None
        self._strip = _Strip()

    def set_layers(self, layers: tuple[ImageLayer, OverlayLayer] | None) -> None:
        """Show another photograph with the overlay over it, or only the background."""
        self._layers = layers

    def resize(self, width: int, height: int) -> None:
        """Another size in device pixels; everything has to be composed again."""
        shape = max(1, height), max(1, width)
        self._ground, self._pixels = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32)
        self._ground_image, self.image = (
            _as_image(p, QImage.Format.Format_RGB32) for p in (self._ground, self._pixels)
        )

    def compose_ground(self, viewport: Viewport, rect: Rect) -> None:
        """Draw background and photograph of ``rect`` (device pixels, inside the view) again; then :meth:`compose`."""
        visible = rect.intersect(viewport.image_device_rect)
        if visible != rect or self._layers is None:
            self._ground[rect.slices] = np.uint32(self.background.rgb())
        if self._layers is None or visible.is_empty:
            return
        photo = self._layers[0].pyramid
        if viewport.scale >= NEAREST_SCALE or viewport.scale == 1:
            self._ground[visible.slices] = _unsmoothed(viewport, visible, photo)
        else:
            painter = QPainter(self._ground_image)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            _draw_smoothly(painter, viewport, visible, photo, QImage.Format.Format_RGB32)
            painter.end()

    def compose(self, viewport: Viewport, rects: Iterable[Rect]) -> None:
        """Lay the overlay, as its tiles are now, over parts (device pixels, inside the view) of the photograph."""
        is_smooth = viewport.scale < NEAREST_SCALE and viewport.scale != 1
        painter = QPainter(self.image)
        painter.setOpacity(self.opacity)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for rect in rects:  # they may overlap: each is begun from the ground
            self._pixels[rect.slices] = self._ground[rect.slices]
            visible = rect.intersect(viewport.image_device_rect)
            if self._layers is None or visible.is_empty:
                continue
            overlay = self._layers[1].pyramid
            if self.opacity > 0 and is_smooth:
                _draw_smoothly(painter, viewport, visible, overlay, _OVERLAY_FORMAT)
            elif self.opacity > 0:
                painter.drawImage(
                    visible.x, visible.y, _as_image(_unsmoothed(viewport, visible, overlay), _OVERLAY_FORMAT)
                )
            if viewport.scale >= GRID_SCALE:
                self._draw_grid(viewport, visible)
        painter.end()

    def paint(self, viewport: Viewport, runs: Runs, color: int) -> Rect | None:
        """Give image pixels one colour of the overlay, and leave the others: what a brush needs.

        Args:
            viewport: Where the image lies.
            runs: The pixels.
            color: 0xAARRGGBB, premultiplied.

        Returns:
            The device pixels around what was drawn; None, with nothing drawn, where one does not show one image pixel,
            or a grid lies over them.
        """
        if self._layers is None or not (viewport.scale == 1 or NEAREST_SCALE <= viewport.scale < GRID_SCALE):
            return None
        shown = viewport.shown_runs(runs)
        if not shown.is_empty and self.opacity > 0:
            places = shown.places(self._pixels.shape[1])
            for start in range(0, len(places), self._strip.capacity):
                part = places[start : start + self._strip.capacity]
                self._pixels.reshape(-1)[part] = self._strip.blend(self._ground.reshape(-1), part, color, self.opacity)
        return shown.rect

    def _draw_grid(self, viewport: Viewport, rect: Rect) -> None:
        columns, rows = viewport.columns(rect.x - 1, rect.right), viewport.rows(rect.y - 1, rect.bottom)
        at_column, at_row = columns[1:] != columns[:-1], rows[1:] != rows[:-1]
        part = self._pixels[rect.slices]
        part[at_row] = _contrasting(part[at_row])
        crossing_free = np.ix_(~at_row, at_column)
        part[crossing_free] = _contrasting(part[crossing_free])


def _unsmoothed(viewport: Viewport, rect: Rect, pyramid: TilePyramid) -> Pixels:
    """The pixels that ``rect`` shows at 100 %, or as squares."""
    if viewport.scale == 1:
        return pyramid.gather(0, Rect(rect.x - viewport.offset_x, rect.y - viewport.offset_y, rect.w, rect.h))
    # Qt steps through a source in 16.16 fixed point from wherever the repainted part begins, so that squares of
    # one image would differ by a pixel between a full and a partial repaint. Hence the columns and rows are taken
    # here, exactly; rows are whole copies, so it costs no more than Qt does.
    columns, rows = viewport.columns(rect.x, rect.right), viewport.rows(rect.y, rect.bottom)
    x, y = int(columns[0]), int(rows[0])
    source = Rect(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
    pixels = pyramid.gather(0, source)
    return pixels.take(columns - x, axis=1, mode="clip").take(rows - y, axis=0, mode="clip")


def _draw_smoothly(
    painter: QPainter, viewport: Viewport, rect: Rect, pyramid: TilePyramid, form: QImage.Format
) -> None:
    """Draw what ``rect`` shows, at a scale below that of squares."""
    level = viewport.level
    x, y, w, h = at_level(viewport.image_rect(rect), level)
    source = Rect(x - 1, y - 1, w + 2, h + 2).intersect(pyramid.level_rect(level))
    pixels = pyramid.gather(level, source)
    step = viewport.scale * (1 << level)
    painter.resetTransform()
    painter.setClipRect(QRect(*rect))
    painter.setTransform(QTransform(step, 0, 0, step, viewport.offset_x, viewport.offset_y))
    painter.drawImage(source.x, source.y, _as_image(pixels, form))


class _Strip:
    """Lays one colour over single pixels, exactly as it is laid over whole rectangles.

    Attributes:
        capacity: How many pixels at once.
    """

    def __init__(self) -> None:
        self._pixels, self._paint = (np.zeros(_STRIP_SHAPE, np.uint32) for _ in range(2))
        self._image = _as_image(self._pixels, QImage.Format.Format_RGB32)
        self._paint_image = _as_image(self._paint, _OVERLAY_FORMAT)
        self._color = 0
        self.capacity = self._pixels.size

    def blend(self, ground: Pixels, places: NDArray[np.intp], color: int, opacity: float) -> Pixels:
        """Pixels of ``ground`` with ``color`` (premultiplied) over them; a view that holds until the next call."""
        if color != self._color:
            self._color = color
            self._paint.fill(color)
        result = self._pixels.reshape(-1)[: len(places)]
        ground.take(places, out=result, mode="clip")
        width = min(len(places), self._pixels.shape[1])
        painter = QPainter(self._image)
        painter.setOpacity(opacity)
        painter.drawImage(0, 0, self._paint_image, 0, 0, width, -(-len(places) // width))
        painter.end()
        return result


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
