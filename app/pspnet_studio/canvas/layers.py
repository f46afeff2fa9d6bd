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
from pspnet_studio.model.view_state import Adjustments, Look

_PREVIEW_PX = 256


class Layer:
    """Something of the image's size that is drawn from a pyramid of tiles.

    Attributes:
        pyramid: Its pixels, opaque or premultiplied with alpha.
    """

    def __init__(self, document: Document, preview: Pixels | None = None) -> None:
        self._bounds = document.rect
        self.pyramid = TilePyramid(self._bounds.w, self._bounds.h, self._render, preview)

    def _render(self, rect: Rect, level: int) -> Pixels:
        source = Rect(*(v << level for v in rect)).intersect(self._bounds)
        pixels = self._read(source)
        for _ in range(level):
            pixels = halved(pixels)
        return pixels

    def _read(self, rect: Rect) -> Pixels:
        """Full-size pixels of ``rect``, owned by the caller."""
        raise NotImplementedError


class ImageLayer(Layer):
    """The photograph, opaque."""

    def __init__(self, document: Document) -> None:
        self._image = document.image
        # Every n-th pixel costs next to nothing at any size and stands in until the tiles are made.
        step = max(1, -(-max(self._image.shape[:2]) // _PREVIEW_PX))
        self._table: NDArray[np.uint8] | None = None
        super().__init__(document, _rgb32(self._image[::step, ::step]))

    def set_adjustments(self, adjustments: Adjustments) -> None:
        """Draw with other brightness, contrast and gamma from now on."""
        self._table = None if adjustments.is_identity else adjustments.table()
        self.pyramid.invalidate()

    def _read(self, rect: Rect) -> Pixels:
        pixels = self._image[rect.slices]
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

    def _render(self, rect: Rect, level: int) -> Pixels:
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


def _rgb32(pixels: RgbImage) -> Pixels:
    # Qt's conversion is ten times as fast as assigning channels with numpy.
    packed = np.ascontiguousarray(pixels)
    height, width = packed.shape[:2]
    image = QImage(packed.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    converted = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(converted.constBits(), np.uint32).reshape(height, width).copy()
