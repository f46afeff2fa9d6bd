"""The layers of the canvas: the photograph, and the classes over it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from pspnet_core.types import Rect, RgbImage
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.overlays import keys, outlines, overlay, painted_color
from pspnet_studio.canvas.tiles import Pixels, TilePyramid, halved
from pspnet_studio.model.document import Document
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.view_state import Adjustments, Look

_PREVIEW_PX = 256
_GREY = 0xFF808080

_SAMPLE_HALVINGS, _PHOTO_HALVINGS = 2, 3
_MAX_STEP_BITS = 9  # of PlaneStore.read


class Layer:
    """Something of the image's size that is drawn from a pyramid of tiles.

    Attributes:
        pyramid: Its pixels, opaque or premultiplied with alpha.
    """

    def __init__(self, document: Document, preview: Pixels | None = None) -> None:
        self._bounds = document.rect
        self.pyramid = TilePyramid(self._bounds.w, self._bounds.h, self._render, preview)

    def _render(self, rect: Rect, level: int) -> Pixels | None:
        """Pixels of ``rect`` (in pixels of ``level``) at that level; None when they are not there yet."""
        raise NotImplementedError

    def _source(self, rect: Rect, level: int) -> Rect:
        """The image pixels that ``rect`` (in pixels of ``level``) stands for."""
        return Rect(*(v << level for v in rect)).intersect(self._bounds)


class ImageLayer(Layer):
    """The photograph, opaque. It never decodes: what is not there yet is shown coarsely until it comes.

    Of an image in memory, a pixel of a coarser level is the mean of at most 8 x 8 of those that it stands for: more
    cannot be seen, and would take seconds where the image is large.
    """

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
        self.pyramid.set_halvings(_PHOTO_HALVINGS if self._is_in_memory else 0)

    def _render(self, rect: Rect, level: int) -> Pixels | None:
        if not self._is_in_memory:
            pixels = self._pixels.read(rect, level)
            return None if pixels is None else self._colored(pixels)
        whole = self._pixels.read(self._source(rect, level))
        if whole is None:
            return None
        num_halvings = min(level, _PHOTO_HALVINGS)
        step = 1 << level - num_halvings
        pixels = self._colored(whole[::step, ::step])
        for _ in range(num_halvings):
            pixels = halved(pixels)
        return pixels

    def _colored(self, pixels: RgbImage) -> Pixels:
        return _rgb32(pixels if self._table is None else self._table[pixels])


class OverlayLayer(Layer):
    """Classes in their colours, or another view of them; whole regions or their outlines.

    A pixel of a coarser level is the mean of at most 4 x 4 of those that it stands for: enough for smooth edges, and
    the cost of a stroke does not grow with the image.
    """

    def __init__(self, document: Document, colors: ColorTable, look: Look) -> None:
        self._document = document
        self._colors, self._look = colors, look
        super().__init__(document)
        self.pyramid.set_halvings(_SAMPLE_HALVINGS)

    def set_colors(self, colors: ColorTable, look: Look) -> None:
        """Draw with other colours or in another way from now on."""
        self._colors, self._look = colors, look
        self.pyramid.invalidate()

    def painted_color(self, class_id: int) -> int | None:
        """The one colour (premultiplied) of pixels that got a class by hand; None where there may be several."""
        return None if self._look.contours else painted_color(class_id, self._look.mode, self._colors)

    def _render(self, rect: Rect, level: int) -> Pixels | None:
        source = self._source(rect, level)
        if self._document.is_blank(source):  # most of a large image, most of the time
            return np.zeros((rect.h, rect.w), np.uint32)
        if self._look.contours:
            return self._render_outlines(rect, level)
        num_halvings = min(level, max(self._useful_halvings(source, level), level - _MAX_STEP_BITS))
        pixels: Pixels = overlay(self._document, source, self._look.mode, self._colors, 1 << level - num_halvings)
        for _ in range(num_halvings):
            pixels = halved(pixels)
        return pixels

    def _useful_halvings(self, source: Rect, level: int) -> int:
        """Fewer for a first answer in squares, which a better one follows at once: the hand waits for it.

        Where squares alone are seen, and are no smaller than a pixel of the level, there is nothing to be averaged.
        """
        prediction = self._document.prediction
        if prediction is None or prediction.cell_px <= 1:
            return _SAMPLE_HALVINGS
        missing = max(0, level - round(math.log2(prediction.cell_px)))
        is_untouched = self._document.provenance_plane.is_unwritten(source)
        return min(missing if is_untouched else max(1, missing), _SAMPLE_HALVINGS)

    def _render_outlines(self, rect: Rect, level: int) -> Pixels:
        """Outlines of one pixel of this level on each side: every n-th pixel decides, nothing is averaged away."""
        whole = self.pyramid.level_rect(level)
        around = Rect(rect.x - 1, rect.y - 1, rect.w + 2, rect.h + 2).intersect(whole)
        source = self._source(around, level)
        inside = Rect(rect.x - around.x, rect.y - around.y, rect.w, rect.h).slices
        step, rest = 1 << min(level, _MAX_STEP_BITS), 1 << max(0, level - _MAX_STEP_BITS)
        edges = outlines(keys(self._document, source, self._look.mode, step)[::rest, ::rest])[inside]
        pixels = overlay(self._document, source, self._look.mode, self._colors, step)[::rest, ::rest][inside]
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
