"""The layers of the canvas: the photograph, and the classes over it."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage

from pspnet_core.types import Rect, RgbImage
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.tiles import Pixels, TilePyramid, halved
from pspnet_studio.model.document import Document

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
        super().__init__(document, _rgb32(self._image[::step, ::step]))

    def _read(self, rect: Rect) -> Pixels:
        return _rgb32(self._image[rect.slices])


class OverlayLayer(Layer):
    """Classes in their colours: the user's own pixels, and under them the prediction, fainter."""

    def __init__(self, document: Document, colors: ColorTable) -> None:
        self._document = document
        self._colors = colors
        super().__init__(document)

    def set_colors(self, colors: ColorTable) -> None:
        """Draw with other colours from now on."""
        self._colors = colors
        self.pyramid.invalidate()

    def _read(self, rect: Rect) -> Pixels:
        return self._colors.colored(*self._document.displayed(rect))


def _rgb32(pixels: RgbImage) -> Pixels:
    # Qt's conversion is ten times as fast as assigning channels with numpy.
    packed = np.ascontiguousarray(pixels)
    height, width = packed.shape[:2]
    image = QImage(packed.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    converted = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(converted.constBits(), np.uint32).reshape(height, width).copy()
