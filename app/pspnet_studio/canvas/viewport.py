"""Where the image lies in the view: scale and offset in device pixels, and nothing of Qt.

Everything here counts *device pixels* of the view: a widget of 400 logical pixels at a device pixel ratio of 1.5 is 600
wide. Scale 1 shows one image pixel on exactly one pixel of the screen, whatever the ratio. The offset is a whole number
of device pixels, so that pixels are crisp at 100 % and edges fall alike however small the repainted part is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.runs import Runs
from pspnet_core.types import Rect

MIN_SCALE, MAX_SCALE = 0.01, 64.0
NEAREST_SCALE = 2.0
"""From here on pixels are drawn as squares."""
GRID_SCALE = 12.0
"""From here on lines separate the pixels."""

_STEPS = (
    *(0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.33, 0.5, 0.67, 1.0),
    *(1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0),
)

# A scale that a chain of zoom steps has brought this near to 100 % is meant to be 100 %.
_SNAP = 0.01


@dataclass(frozen=True, slots=True)
class Viewport:
    """An image of ``image_w`` x ``image_h`` pixels seen through a view of ``view_w`` x ``view_h`` device pixels.

    A device point is ``offset + scale * image point``. Every method returns a new viewport.

    Attributes:
        image_w: Image columns, at least 1.
        image_h: Image rows, at least 1.
        view_w: Width of the view in device pixels.
        view_h: Height of the view in device pixels.
        scale: Device pixels an image pixel takes, 0.01 (less if the whole image needs it) to 64.
        offset_x: Device column of the image's left edge.
        offset_y: Device row of the image's upper edge.
    """

    image_w: int
    image_h: int
    view_w: int
    view_h: int
    scale: float = 1.0
    offset_x: int = 0
    offset_y: int = 0

    # --- mapping

    def to_device(self, x: float, y: float) -> tuple[float, float]:
        """Image point to device point."""
        return self.offset_x + x * self.scale, self.offset_y + y * self.scale

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Device point to image point; may lie outside the image."""
        return (x - self.offset_x) / self.scale, (y - self.offset_y) / self.scale

    def columns(self, first: int, stop: int) -> NDArray[np.intp]:
        """Image column under the centre of each device column ``first .. stop - 1``; may lie outside the image."""
        return self._pixels(first, stop, self.offset_x)

    def rows(self, first: int, stop: int) -> NDArray[np.intp]:
        """Image row under the centre of each device row ``first .. stop - 1``; may lie outside the image."""
        return self._pixels(first, stop, self.offset_y)

    @property
    def level(self) -> int:
        """The mip level that is drawn: the smallest that still has at least one pixel per device pixel."""
        return max(0, math.floor(math.log2(1 / self.scale) + 1e-9))

    @property
    def view_rect(self) -> Rect:
        """The view, in device pixels."""
        return Rect(0, 0, self.view_w, self.view_h)

    @property
    def image_device_rect(self) -> Rect:
        """The device pixels whose centres lie in the image; not clipped to the view."""
        w = max(1, math.ceil(self.image_w * self.scale - 0.5))
        h = max(1, math.ceil(self.image_h * self.scale - 0.5))
        return Rect(self.offset_x, self.offset_y, w, h)

    def device_rect(self, rect: Rect) -> Rect:
        """Every device pixel that can change with the image pixels of ``rect``, clipped to the view."""
        if rect.is_empty:
            return Rect(0, 0, 0, 0)
        # Smooth drawing reads one pixel of its mip level around each device pixel.
        margin = 0 if self.scale >= NEAREST_SCALE else math.ceil((1 << self.level) * self.scale) + 1
        x0, y0 = self.to_device(rect.x, rect.y)
        x1, y1 = self.to_device(rect.right, rect.bottom)
        x, y = math.floor(x0) - margin, math.floor(y0) - margin
        w, h = math.ceil(x1) + margin - x, math.ceil(y1) + margin - y
        return Rect(x, y, w, h).intersect(self.view_rect)

    def image_rect(self, rect: Rect | None = None) -> Rect:
        """The image pixels seen in a device rectangle (the whole view when not given), clipped to the image."""
        area = self.view_rect if rect is None else rect
        x0, y0 = self.to_image(area.x, area.y)
        x1, y1 = self.to_image(area.right, area.bottom)
        x, y = math.floor(x0), math.floor(y0)
        return Rect(x, y, math.ceil(x1) - x, math.ceil(y1) - y).intersect(Rect(0, 0, self.image_w, self.image_h))

    def shown_runs(self, runs: Runs) -> Runs:
        """The device pixels of the view that show pixels of ``runs``, where each shows the one under its centre."""
        view = self.view_rect
        if self.scale == 1:
            return runs.moved(self.offset_x, self.offset_y).within(view)
        columns, rows = self.columns(0, view.w), self.rows(0, view.h)
        first, stop = np.searchsorted(rows, runs.rows), np.searchsorted(rows, runs.rows, "right")
        starts, stops = np.searchsorted(columns, runs.starts), np.searchsorted(columns, runs.stops)
        heights = stop - first
        number = np.arange(int(heights.sum())) - np.repeat(heights.cumsum() - heights, heights)
        device_rows = number + np.repeat(first, heights)
        order = device_rows.argsort(kind="stable")
        return Runs.of(device_rows[order], starts.repeat(heights)[order], stops.repeat(heights)[order])

    # --- moving

    @property
    def larger_scale(self) -> float:
        """The next round scale above this one."""
        return next((s for s in _STEPS if s > self.scale * 1.01), MAX_SCALE)

    @property
    def smaller_scale(self) -> float:
        """The next round scale below this one."""
        return next((s for s in reversed(_STEPS) if s < self.scale / 1.01), MIN_SCALE)

    @property
    def fit_scale(self) -> float:
        """The scale at which the whole image is seen."""
        fit = min(self.view_w / self.image_w, self.view_h / self.image_h)
        return min(MAX_SCALE, fit) if fit > 0 else 1.0

    def fitted(self, margin: int = 0) -> Viewport:
        """The whole image in the middle of the view, with ``margin`` device pixels around it where there is room."""
        inner = replace(self, view_w=max(1, self.view_w - 2 * margin), view_h=max(1, self.view_h - 2 * margin))
        return replace(self, scale=inner.fit_scale)._centred_on(self.image_w / 2, self.image_h / 2)

    def showing(self, scale: float, x: float, y: float) -> Viewport:
        """Another scale, with an image point in the middle of the view."""
        return replace(self, scale=scale)._centred_on(x, y)

    def zoomed(self, scale: float, x: float, y: float) -> Viewport:
        """Another scale, clipped to what is allowed; the image point under the device point stays where it is.

        An image that has room in the view is moved into it.
        """
        if abs(scale - 1) < _SNAP:
            scale = 1.0
        scale = min(MAX_SCALE, max(min(MIN_SCALE, self.fit_scale), scale))
        image_x, image_y = self.to_image(x, y)
        new = replace(self, scale=scale, offset_x=round(x - image_x * scale), offset_y=round(y - image_y * scale))
        return new._kept_in_sight()._moved_in()

    def panned(self, dx: int, dy: int) -> Viewport:
        """Moved by whole device pixels, as far as the image stays under the middle of the view."""
        return replace(self, offset_x=self.offset_x + dx, offset_y=self.offset_y + dy)._kept_in_sight()

    def resized(self, view_w: int, view_h: int, ratio: float = 1.0) -> Viewport:
        """Another size of the view and, on a screen of another pixel ratio, a scale ``ratio`` times as large.

        The image point in the middle of the view stays there.
        """
        x, y = self.to_image(self.view_w / 2, self.view_h / 2)
        scale = min(MAX_SCALE, self.scale * ratio)
        return replace(self, view_w=view_w, view_h=view_h, scale=scale)._centred_on(x, y)

    def _centred_on(self, x: float, y: float) -> Viewport:
        return replace(
            self,
            offset_x=round(self.view_w / 2 - x * self.scale),
            offset_y=round(self.view_h / 2 - y * self.scale),
        )

    def _kept_in_sight(self) -> Viewport:
        """Moved back so that the middle of the view lies on the image: nobody loses it."""
        x, y = self.view_w // 2, self.view_h // 2
        image = self.image_device_rect
        offset_x = min(x, max(x - image.w + 1, self.offset_x))
        offset_y = min(y, max(y - image.h + 1, self.offset_y))
        return replace(self, offset_x=offset_x, offset_y=offset_y)

    def _moved_in(self) -> Viewport:
        """Along each side on which the whole image has room: wholly in the view."""
        image = self.image_device_rect
        x, y, room_x, room_y = image.x, image.y, self.view_w - image.w, self.view_h - image.h
        return replace(
            self,
            offset_x=min(room_x, max(0, x)) if room_x >= 0 else x,
            offset_y=min(room_y, max(0, y)) if room_y >= 0 else y,
        )

    def _pixels(self, first: int, stop: int, offset: int) -> NDArray[np.intp]:
        centres = np.arange(first, stop, dtype=np.float64) + (0.5 - offset)
        pixels: NDArray[np.intp] = np.floor(centres / self.scale).astype(np.intp)
        return pixels
