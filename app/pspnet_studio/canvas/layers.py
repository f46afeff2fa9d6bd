"""The layers of the canvas: the photograph, and the classes over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from pspnet_core.types import Rect, RgbImage
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.overlays import keys, outlines, overlay
from pspnet_studio.canvas.tiles import Pixels, TilePyramid, halved
from pspnet_studio.model.document import Document
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.view_state import Adjustments, Look

_PREVIEW_PX = 256
_GREY = 0xFF808080


class Layer:
    """Something of the image's size that is drawn from a pyramid of tiles.

    Attributes:
        pyramid: Its pixels, opaque or premultiplied with alpha.
    """

    def __init__(self, document: Document, preview: Pixels | None = None) -> None:
        self._bounds = document.rect
        self.pyramid = TilePyramid(self._bounds.w, self._bounds.h, self._render, preview)

    def _render(self, rect: Rect, level: int) -> Pixels | None:
        source = Rect(*(v << level for v in rect)).intersect(self._bounds)
        pixels = self._read(source)
        if pixels is None:
            return None
        for _ in range(level):
            pixels = halved(pixels)
        return pixels

    def _read(self, rect: Rect) -> Pixels | None:
        """Full-size pixels of ``rect``, owned by the caller; None when they are not there yet."""
        raise NotImplementedError


class ImageLayer(Layer):
    """The photograph, opaque. It never decodes: what is not there yet is shown coarsely until it comes."""

    def __init__(self, document: Document) -> None:
        self._pixels = document.pixels
        self._table: NDArray[np.uint8] | None = None
        super().__init__(document, _preview(self._pixels))
        self._is_in_memory = False
        self._take_source()

    def set_adjustments(self, adjustments: Adjustments) -> None:
        """Draw with other brightness, contrast and gamma from now on."""
        self._table = None if adjustments.is_identity else adjustments.table()
        self.pyramid.invalidate()

    def on_pixels_changed(self, rect: Rect) -> None:
        """A part of the photograph, in image pixels, can be seen better now."""
        self._take_source()
        self.pyramid.invalidate(rect)

    def _take_source(self) -> None:
        self._is_in_memory = self._pixels.array is not None
        self.pyramid.set_whole_pieces(not self._is_in_memory)

    def _render(self, rect: Rect, level: int) -> Pixels | None:
        if self._is_in_memory:
            return super()._render(rect, level)
        return self._drawn(self._pixels.read(rect, level))

    def _read(self, rect: Rect) -> Pixels | None:
        return self._drawn(self._pixels.read(rect))

    def _drawn(self, pixels: RgbImage | None) -> Pixels | None:
        if pixels is None:
            return None
        return _rgb32(pixels if self._table is None else self._table[pixels])


class OverlayLayer(Layer):
    """Classes in their colours, or another view of them; whole regions or their outlines."""

    def __init__(self, document: Document, colors: ColorTable, look: Look) -> None:
        self._document = document
        self._colors, self._look = colors, look
        super().__init__(document)

    def set_colors(self, colors: ColorTable, look: Look) -> None:
        """Draw with other colours or in another way from now on."""
        self._colors, self._look = colors, look
        self.pyramid.invalidate()

    def _render(self, rect: Rect, level: int) -> Pixels | None:
        source = Rect(*(v << level for v in rect)).intersect(self._bounds)
        if self._document.is_blank(source):  # most of a large image, most of the time
            return np.zeros((rect.h, rect.w), np.uint32)
        return self._render_outlines(rect, level) if self._look.contours else super()._render(rect, level)

    def _read(self, rect: Rect) -> Pixels:
        return overlay(self._document, rect, self._look.mode, self._colors)

    def _render_outlines(self, rect: Rect, level: int) -> Pixels:
        """Outlines of one pixel of this level on each side: every n-th pixel decides, nothing is averaged away."""
        step = 1 << level
        whole = self.pyramid.level_rect(level)
        around = Rect(rect.x - 1, rect.y - 1, rect.w + 2, rect.h + 2).intersect(whole)
        source = Rect(*(v << level for v in around)).intersect(self._bounds)
        inside = Rect(rect.x - around.x, rect.y - around.y, rect.w, rect.h).slices
        edges = outlines(keys(self._document, source, self._look.mode)[::step, ::step])[inside]
        pixels = overlay(self._document, source, self._look.mode, self._colors)[::step, ::step][inside]
        return np.where(edges, pixels, np.uint32(0))


def _preview(pixels: ImagePixels) -> Pixels:
    """What stands in until tiles are made: what was decoded first, or every n-th pixel, which costs next to nothing."""
    if pixels.preview is not None:
        return _rgb32(pixels.preview)
    if pixels.array is None:
        return np.full((1, 1), _GREY, np.uint32)
    step = max(1, -(-max(pixels.rect.w, pixels.rect.h) // _PREVIEW_PX))
    return _rgb32(pixels.array[::step, ::step])


def _rgb32(pixels: RgbImage) -> Pixels:
    # Qt's conversion is ten times as fast as assigning channels with numpy.
    packed = np.ascontiguousarray(pixels)
    height, width = packed.shape[:2]
    image = QImage(packed.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    converted = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(converted.constBits(), np.uint32).reshape(height, width).copy()
