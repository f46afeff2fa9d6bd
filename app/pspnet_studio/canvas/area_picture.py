"""A set of pixels drawn over the image: an outline in two tones, and a light hatch or glow inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtGui import QImage, QPainter

from pspnet_core.imaging.areas import Area, mask_within
from pspnet_core.types import BoolMask, Rect
from pspnet_studio.canvas.tiles import Pixels
from pspnet_studio.canvas.viewport import Viewport

_DARK, _LIGHT = np.uint32(0x96000000), np.uint32(0xFFFFFFFF)  # premultiplied, as everything below
_HATCH_LIGHT, _HATCH_DARK, _GLOW = np.uint32(0x78787878), np.uint32(0x50000000), np.uint32(0x50505050)
_HATCH_STEP_PX = 8
_EMPTY = Rect(0, 0, 0, 0)


class AreaPicture:
    """Draws areas of one image at any zoom; however ragged they are, it costs what is in sight.

    Zoomed out, a pixel on the screen is drawn if any pixel of the image below it belongs: no speck is lost.

    Args:
        areas: Disjoint or not; they are kept and must not be changed.
        glows: Fill with a glow (what is under the pointer) and not with a hatch (what waits to be applied).
    """

    def __init__(self, areas: Sequence[Area], glows: bool = False) -> None:
        self._levels: list[list[Area]] = [[area for area in areas if not area[0].is_empty]]
        self._glows = glows
        self._bounds = _EMPTY
        for rect, _ in self._levels[0]:
            self._bounds = self._bounds.union(rect)
        self._drawn_for: tuple[Viewport, float] | None = None
        self._place = _EMPTY
        self._pixels: Pixels = np.zeros((1, 1), np.uint32)

    def device_rect(self, viewport: Viewport, ratio: float) -> Rect:
        """The device pixels that :meth:`paint` may touch, in the view."""
        if self._bounds.is_empty:
            return _EMPTY
        # What has no room to its own pixel at this scale takes one.
        x, y, w, h = viewport.device_rect(self._bounds)
        margin = _thickness(ratio) + 1
        return Rect(x - margin, y - margin, w + 2 * margin, h + 2 * margin).intersect(viewport.view_rect)

    def paint(self, painter: QPainter, viewport: Viewport, ratio: float) -> None:
        """Draw in device pixels."""
        if self._drawn_for != (viewport, ratio):
            self._drawn_for = (viewport, ratio)
            self._place = self.device_rect(viewport, ratio)
            if not self._place.is_empty:
                self._pixels = self._drawn(viewport, ratio)
        if self._place.is_empty:
            return
        height, width = self._pixels.shape
        form = QImage.Format.Format_ARGB32_Premultiplied
        painter.drawImage(self._place.x, self._place.y, QImage(self._pixels.data, width, height, 4 * width, form))

    def _drawn(self, viewport: Viewport, ratio: float) -> Pixels:
        thickness = _thickness(ratio)
        x, y, w, h = self._place
        # Sampled beyond the border of the view, so that no outline runs along it.
        wide = Rect(x - thickness, y - thickness, w + 2 * thickness, h + 2 * thickness)
        inside = self._sampled(viewport, wide)
        grown, core = inside, inside
        for _ in range(thickness):
            grown, core = _grown(grown), ~_grown(~core)
        inner = slice(thickness, -thickness), slice(thickness, -thickness)
        inside, grown, core = inside[inner], grown[inner], core[inner]
        fill = _GLOW if self._glows else self._hatch(viewport, thickness)
        pixels: Pixels = np.where(inside, fill, np.uint32(0))
        np.copyto(pixels, _DARK, where=grown & ~inside)
        np.copyto(pixels, _LIGHT, where=inside & ~core)
        return pixels

    def _hatch(self, viewport: Viewport, thickness: int) -> Pixels:
        """Diagonal lines that lie still on the image, of the shape of what is drawn; not to be written to."""
        x, y, w, h = self._place
        step = _HATCH_STEP_PX * thickness
        place = (np.arange(w + h - 1) + (x - viewport.offset_x + y - viewport.offset_y)) % step
        line = np.where(place < thickness, _HATCH_LIGHT, np.where(place < 2 * thickness, _HATCH_DARK, np.uint32(0)))
        return np.lib.stride_tricks.sliding_window_view(line.astype(np.uint32), w)

    def _sampled(self, viewport: Viewport, rect: Rect) -> BoolMask:
        """(rect.h, rect.w) bool: the device pixels that show a pixel of the areas."""
        level = viewport.level
        columns = viewport.columns(rect.x, rect.right) >> level
        rows = viewport.rows(rect.y, rect.bottom) >> level
        x, y = int(columns[0]), int(rows[0])
        source = Rect(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
        mask = np.zeros((source.h, source.w), np.bool_)
        for area in self._at_level(level):
            if not area[0].intersect(source).is_empty:
                mask |= mask_within(area, source)
        return mask.take(rows - y, axis=0).take(columns - x, axis=1)

    def _at_level(self, level: int) -> list[Area]:
        while len(self._levels) <= level:
            self._levels.append([_halved(area) for area in self._levels[-1]])
        return self._levels[level]


def _thickness(ratio: float) -> int:
    return max(1, round(ratio))


def _halved(area: Area) -> Area:
    """The same area where a pixel stands for 2 x 2: it belongs if any of them does."""
    rect, mask = area
    x, y = rect.x >> 1, rect.y >> 1
    w, h = ((rect.right + 1) >> 1) - x, ((rect.bottom + 1) >> 1) - y
    full = mask_within((rect, mask), Rect(2 * x, 2 * y, 2 * w, 2 * h))
    rows = full[::2] | full[1::2]
    return Rect(x, y, w, h), rows[:, ::2] | rows[:, 1::2]


def _grown(mask: BoolMask) -> BoolMask:
    """With the pixels beside, above and below."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out
