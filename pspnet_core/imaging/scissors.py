"""Intelligent scissors: the path between two points that follows the edges of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pspnet_core.imaging.areas import check_pixels
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import Rect, RgbImage

_CANNY_LOW, _CANNY_HIGH = 32, 100  # grey levels
_GRADIENT_LIMIT = 200  # any stronger edge is as good


class Scissors:
    """Finds paths along edges in a part of an image, from one anchor to any point.

    Meant for about 512 x 512 px around the anchor: setting an anchor works out the paths to all pixels, then asking
    for one takes microseconds.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB; not kept.
        rect: Where they lie in the image.

    Raises:
        ValueError: The pixels do not fit the rectangle.

    Source: E. N. Mortensen and W. A. Barrett, "Intelligent Scissors for Image Composition", SIGGRAPH 1995, as OpenCV
        has it (cv2.segmentation.IntelligentScissorsMB, OpenCV 4.5.4 and later).
    """

    def __init__(self, pixels: RgbImage, rect: Rect) -> None:
        check_pixels(rect, pixels)
        self.rect = rect
        self._anchor: tuple[int, int] | None = None
        self._tool = cv2.segmentation.IntelligentScissorsMB()
        self._tool.setEdgeFeatureCannyParameters(_CANNY_LOW, _CANNY_HIGH)
        self._tool.setGradientMagnitudeMaxLimit(_GRADIENT_LIMIT)
        # OpenCV looks at both neighbours of each pixel: a thin part gets a border of its own pixels.
        self._tool.applyImage(cv2.copyMakeBorder(np.ascontiguousarray(pixels), 2, 2, 2, 2, cv2.BORDER_REPLICATE))

    @property
    def anchor(self) -> Point | None:
        """The centre of the pixel that paths begin at, in image pixels; None before :meth:`set_anchor`."""
        return None if self._anchor is None else self._centre(*self._anchor)

    def set_anchor(self, point: Point) -> None:
        """Begin the paths at the pixel under ``point`` (x, y), or the nearest one of the part.

        Raises:
            ValueError: The point is not finite.
        """
        self._anchor = self._pixel(point)
        self._tool.buildMap((self._anchor[0] + 2, self._anchor[1] + 2))

    def path_to(self, point: Point) -> list[Point]:
        """The path from the anchor to the pixel under ``point`` (x, y), or to the nearest one of the part.

        Returns:
            Centres of pixels in image coordinates, both ends included, each 8-connected to the one before.

        Raises:
            ValueError: The point is not finite, or no anchor was set.
        """
        if self._anchor is None:
            raise ValueError("set an anchor first")
        column, row = self._pixel(point)
        contour = np.asarray(self._tool.getContour((column + 2, row + 2))).reshape(-1, 2) - 2
        # The border of 2 px is not in the image: a path through it runs along the outermost pixels.
        contour = np.clip(contour, 0, (self.rect.w - 1, self.rect.h - 1))
        if tuple(contour[0]) != self._anchor:
            contour = contour[::-1]
        kept = np.ones(len(contour), np.bool_)
        kept[1:] = (contour[1:] != contour[:-1]).any(axis=1)
        return [self._centre(int(x), int(y)) for x, y in contour[kept]]

    def _pixel(self, point: Point) -> tuple[int, int]:
        if not all(map(math.isfinite, point)):
            raise ValueError(f"not finite: {point}")
        column = min(max(math.floor(point[0]) - self.rect.x, 0), self.rect.w - 1)
        row = min(max(math.floor(point[1]) - self.rect.y, 0), self.rect.h - 1)
        return column, row

    def _centre(self, column: int, row: int) -> Point:
        return self.rect.x + column + 0.5, self.rect.y + row + 0.5


def edge_path(pixels: RgbImage, rect: Rect, start: Point, end: Point) -> list[Point]:
    """The path between two points that follows the edges in a part of an image.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB.
        rect: Where they lie in the image.
        start: (x, y) in image pixels; the nearest pixel of the part where it lies outside.
        end: Likewise.

    Returns:
        Centres of pixels in image coordinates, both ends included, each 8-connected to the one before.

    Raises:
        ValueError: The pixels do not fit the rectangle, or a point is not finite.
    """
    scissors = Scissors(pixels, rect)
    scissors.set_anchor(start)
    return scissors.path_to(end)


def simplified_path(points: Sequence[Point], tolerance_px: float) -> list[Point]:
    """Fewer points that tell the same path: none of those left out is further than the tolerance from it.

    Args:
        points: (x, y) in order, open.
        tolerance_px: At least 0.

    Returns:
        Some of the points in the same order, always the first and the last.

    Raises:
        ValueError: The tolerance is negative or not finite.

    Source: D. H. Douglas and T. K. Peucker, "Algorithms for the Reduction of the Number of Points Required to
        Represent a Digitized Line or Its Caricature", 1973.
    """
    if not (math.isfinite(tolerance_px) and tolerance_px >= 0):
        raise ValueError(f"tolerance_px must be at least 0, got {tolerance_px}")
    if len(points) < 3:
        return list(points)
    array = np.asarray(points, np.float64)
    kept = np.zeros(len(array), np.bool_)
    kept[[0, -1]] = True
    open_parts = [(0, len(array) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        if last - first < 2:
            continue
        distance = _distance_to_segment(array[first + 1 : last], array[first], array[last])
        furthest = int(np.argmax(distance))
        if distance[furthest] > tolerance_px:
            middle = first + 1 + furthest
            kept[middle] = True
            open_parts += [(first, middle), (middle, last)]
    return [points[int(index)] for index in np.flatnonzero(kept)]


def _distance_to_segment(
    points: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    start: np.ndarray[tuple[int], np.dtype[np.float64]],
    end: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    along = end - start
    squared = float(along @ along)
    share = np.clip((points - start) @ along / squared, 0, 1) if squared else np.zeros(len(points))
    away = points - start - share[:, None] * along
    return np.hypot(away[:, 0], away[:, 1])
