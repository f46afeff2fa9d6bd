"""Brushes of the sample generator: a picture and its class map that are painted together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import ClassMap, RgbImage

Floats = NDArray[np.float32]
Rgb = tuple[float, float, float]

_SUBPIXEL_BITS = 4


@dataclass(slots=True)
class Scene:
    """A picture in the making.

    Attributes:
        color: (H, W, 3) float32, 0 to 1, sRGB values.
        classes: (H, W) uint8 class ids.
        sun: Where shadows fall, (x, y) of length 1.
        rng: All randomness comes from here.
    """

    color: Floats
    classes: ClassMap
    sun: tuple[float, float]
    rng: np.random.Generator

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.color.shape[0])

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.color.shape[1])

    def coordinates(self) -> tuple[Floats, Floats]:
        """x and y of the pixel centres, each (H, W) float32."""
        y, x = np.mgrid[: self.height, : self.width].astype(np.float32)
        return x + np.float32(0.5), y + np.float32(0.5)

    def paint(self, alpha: Floats, rgb: Rgb | Floats, class_id: int | None = None) -> None:
        """Lay a colour over everything with an opacity (H, W) of 0 to 1; over one half it also sets the class."""
        self.color += alpha[..., None] * (np.asarray(rgb, np.float32) - self.color)
        if class_id is not None:
            self.classes[alpha > 0.5] = class_id

    def shade(self, alpha: Floats, strength: float = 0.5) -> None:
        """Darken with an opacity (H, W) as a shadow does: less in the blue."""
        tint = np.array([1.0, 0.97, 0.86], np.float32) * np.float32(strength)
        self.color *= 1 - alpha[..., None] * tint

    def polygon(self, points: NDArray[np.float64], rgb: Rgb, class_id: int | None = None) -> None:
        """Fill a polygon (n, 2) of (x, y) with a smooth edge."""
        area, alpha = self._local(points, _fill)
        if alpha is not None:
            self._paint_part(area, alpha, rgb, class_id)

    def polygon_shadow(self, points: NDArray[np.float64], length: float, strength: float = 0.5) -> None:
        """The shadow of an upright block over a convex polygon; ``length`` in pixels."""
        from pspnet_core.imaging.cv import cv2

        offset = np.array(self.sun) * length
        both = np.concatenate([points, points + offset]).astype(np.float32)
        hull = cv2.convexHull(both).reshape(-1, 2).astype(np.float64)
        area, alpha = self._local(hull, _fill)
        if alpha is not None:
            tint = np.array([1.0, 0.97, 0.86], np.float32) * np.float32(strength)
            self.color[area] *= 1 - alpha[..., None] * tint

    def line(
        self,
        points: NDArray[np.float64],
        width_px: int,
        rgb: Rgb,
        class_id: int | None = None,
        over: int | None = None,
    ) -> None:
        """Draw a polyline (n, 2) of (x, y) with a smooth edge; with ``over`` it sets the class only there."""
        area, alpha = self._local(points, lambda canvas, moved: _stroke(canvas, moved, width_px), width_px)
        if alpha is not None:
            self._paint_part(area, alpha, rgb, class_id, over)

    def _paint_part(
        self, area: tuple[slice, slice], alpha: Floats, rgb: Rgb, class_id: int | None, over: int | None = None
    ) -> None:
        part = self.color[area]
        part += alpha[..., None] * (np.asarray(rgb, np.float32) - part)
        if class_id is not None:
            classes = self.classes[area]
            classes[(alpha > 0.5) & (True if over is None else classes == over)] = class_id

    def _local(
        self,
        points: NDArray[np.float64],
        draw: Callable[[NDArray[np.uint8], NDArray[np.float64]], None],
        margin: int = 2,
    ) -> tuple[tuple[slice, slice], Floats | None]:
        """Run a drawing function on the part of the picture around some points; gives its place and opacity."""
        low = np.floor(points.min(0)).astype(int) - margin
        high = np.ceil(points.max(0)).astype(int) + margin
        x, y = max(0, int(low[0])), max(0, int(low[1]))
        right, bottom = min(self.width, int(high[0])), min(self.height, int(high[1]))
        area = (slice(y, bottom), slice(x, right))
        if right <= x or bottom <= y:
            return area, None
        canvas = np.zeros((bottom - y, right - x), np.uint8)
        draw(canvas, points - (x, y))
        return area, canvas.astype(np.float32) / np.float32(255)


def noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: float, octaves: int = 3) -> Floats:
    """Smooth noise (H, W) float32 of about -1 to 1: octaves of bicubic random grids."""
    from pspnet_core.imaging.cv import cv2

    reduction = 4  # coarse noise is made small and enlarged: the difference cannot be seen
    if cell_px / 2 ** (octaves - 1) >= 4 * reduction:
        small = noise(rng, (-(-shape[0] // reduction), -(-shape[1] // reduction)), cell_px / reduction, octaves)
        enlarged: Floats = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)
        return enlarged
    height, width = shape
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        cell, amplitude = max(1.0, cell_px / 2**octave), 0.5**octave
        rows, columns = math.ceil(height / cell) + 3, math.ceil(width / cell) + 3
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        size = (math.ceil(columns * cell), math.ceil(rows * cell))
        large = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        offset = int(cell)
        total += np.float32(amplitude) * large[offset : offset + height, offset : offset + width]
        weight += amplitude
    return total / np.float32(weight)


def smooth_curve(points: NDArray[np.float64], num: int) -> NDArray[np.float64]:
    """A Catmull-Rom curve (num, 2) through control points (n, 2), n at least 2."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, len(points) - 1 - 1e-9, num)
    start = t.astype(int)
    f = (t - start)[:, None]
    a, b, c, d = (padded[start + k] for k in range(4))
    result: NDArray[np.float64] = 0.5 * (
        2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3
    )
    return result


def distance_to_line(points: NDArray[np.float64], shape: tuple[int, int]) -> Floats:
    """Distance (H, W) float32 in pixels of every pixel to a polyline (n, 2)."""
    from pspnet_core.imaging.cv import cv2

    margin = 120  # the line goes on outside of the picture
    canvas = np.full((shape[0] + 2 * margin, shape[1] + 2 * margin), 255, np.uint8)
    _stroke_value(canvas, points + margin, 1, 0)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    part: Floats = distance[margin:-margin, margin:-margin]
    return part


def blurred(values: Floats, sigma_px: float) -> Floats:
    """Gaussian blur of an (H, W) or (H, W, C) array."""
    from pspnet_core.imaging.cv import cv2

    result: Floats = cv2.GaussianBlur(values, (0, 0), sigma_px)
    return result


def to_uint8(color: Floats) -> RgbImage:
    """0 to 1 as (H, W, 3) uint8."""
    return np.rint(np.clip(color, 0, 1) * 255).astype(np.uint8)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    # OpenCV's coordinates have the pixel centres at whole numbers.
    return np.rint((points - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _fill(canvas: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
    from pspnet_core.imaging.cv import cv2

    cv2.fillPoly(canvas, [_fixed(points)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)


def _stroke(canvas: NDArray[np.uint8], points: NDArray[np.float64], width_px: int) -> None:
    _stroke_value(canvas, points, width_px, 255)


def _stroke_value(canvas: NDArray[np.uint8], points: NDArray[np.float64], width_px: int, value: int) -> None:
    from pspnet_core.imaging.cv import cv2

    line_type = cv2.LINE_AA if value else cv2.LINE_8
    cv2.polylines(canvas, [_fixed(points)], False, value, width_px, line_type, _SUBPIXEL_BITS)
