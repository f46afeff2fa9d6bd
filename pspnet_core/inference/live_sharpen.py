"""From scores in cells to class ids in pixels: probabilities that follow the borders of the picture.

Legend: K classes, cells: the grid of scores, H, W image size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.types import ClassMap, Prediction, Rect

Planes = NDArray[np.float32]

_EPSILON = 3e-4
_RADIUS_IN_STEPS = 4
_BAND_FLOATS = 4_000_000


def softmax(scores: Planes) -> Planes:
    """(K, cells) probabilities of (K, cells) scores, in the same memory."""
    highest = scores[0].copy()
    for plane in scores[1:]:
        np.maximum(highest, plane, out=highest)
    for plane in scores:
        plane -= highest
        cv2.exp(plane, plane)
    total = scores.sum(axis=0)
    scores /= total
    return scores


class Sharpener:
    """Smooths planes along the borders of a picture: the guided filter (He, Sun, Tang 2013) with three colours.

    Coefficients come from every few cells (He, Sun 2015), which a large window does not mind. What depends on the
    picture alone is computed once.

    Args:
        guide: (cells, 3) float32 RGB, 0 to 1.
        radius: Of the windows, in cells.
    """

    def __init__(self, guide: Planes, radius: int) -> None:
        self._guide = [np.ascontiguousarray(guide[..., channel]) for channel in range(3)]
        self._step = max(1, radius // _RADIUS_IN_STEPS)
        self._window = 2 * max(1, round(radius / self._step)) + 1
        self._small = [self._reduced(colour) for colour in self._guide]
        self._centre = [self._mean(colour) for colour in self._small]
        covariance = np.empty((*self._small[0].shape, 3, 3), np.float64)
        for i in range(3):
            for j in range(3):
                product = self._mean(self._small[i] * self._small[j])
                covariance[..., i, j] = product - self._centre[i] * self._centre[j]
            covariance[..., i, i] += _EPSILON
        inverse = np.linalg.inv(covariance).astype(np.float32)
        self._inverse = [[np.ascontiguousarray(inverse[..., i, j]) for j in range(3)] for i in range(3)]

    def smooth(self, planes: Planes) -> Planes:
        """(K, cells) of (K, cells); not changed in place."""
        smooth = np.empty_like(planes)
        for plane, target in zip(planes, smooth, strict=True):
            part = self._reduced(plane)
            average = self._mean(part)
            shared = [self._mean(c * part) - m * average for c, m in zip(self._small, self._centre, strict=True)]
            rest = average
            target[:] = 0
            for row, centre, colour in zip(self._inverse, self._centre, self._guide, strict=True):
                slope = row[0] * shared[0] + row[1] * shared[1] + row[2] * shared[2]
                rest = rest - slope * centre
                cv2.accumulateProduct(self._enlarged(self._mean(slope)), colour, target)
            target += self._enlarged(self._mean(rest))
        return smooth

    def _reduced(self, x: Planes) -> Planes:
        height, width = x.shape
        size = max(1, width // self._step), max(1, height // self._step)
        return x if self._step == 1 else np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA))

    def _mean(self, x: Planes) -> Planes:
        return np.asarray(cv2.blur(x, (self._window, self._window), borderType=cv2.BORDER_REFLECT))

    def _enlarged(self, x: Planes) -> Planes:
        height, width = self._guide[0].shape
        return x if self._step == 1 else np.asarray(cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR))


def best_of(planes: Planes, class_ids: Sequence[int]) -> tuple[ClassMap, NDArray[np.uint8]]:
    """Class id and confidence (0 to 255) of (K, h, w) probabilities, both (h, w) uint8."""
    highest = planes[0].copy()
    classes: ClassMap = np.full(highest.shape, class_ids[0], np.uint8)
    for plane, class_id in zip(planes[1:], class_ids[1:], strict=True):
        classes[plane > highest] = class_id
        np.maximum(highest, plane, out=highest)
    confidence = np.clip(highest * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
    return classes, confidence


def coarse(classes: ClassMap, confidence: NDArray[np.uint8], height: int, width: int) -> Prediction:
    """The answer of :func:`best_of` at image size, with the borders of the cells.

    Takes two bytes and some nanoseconds for each pixel of the image: tenths of a second at 64 megapixels.
    """
    if classes.shape == (height, width):
        return Prediction(classes, confidence)
    rows, columns = (
        (2 * np.arange(length) + 1) * cells // (2 * length)  # where the middle of a pixel lies
        for length, cells in zip((height, width), classes.shape, strict=True)
    )
    # Five times as fast as resizing in OpenCV: most of it copies rows.
    large, sure = (plane.take(columns, axis=1).take(rows, axis=0) for plane in (classes, confidence))
    return Prediction(large, sure, cell_px=(height * width / classes.size) ** 0.5)


def fine(planes: Planes, class_ids: Sequence[int], height: int, width: int) -> Iterator[Prediction | None]:
    """The answer at image size, interpolated before the best class is taken; yields after each band of rows.

    The last that it yields is the prediction.
    """
    classes: ClassMap = np.empty((height, width), np.uint8)
    confidence: NDArray[np.uint8] = np.empty((height, width), np.uint8)
    tall = max(1, _BAND_FLOATS // (len(planes) * width))
    for top in range(0, height, tall):
        band = Rect(0, top, width, min(tall, height - top))
        classes[band.slices], confidence[band.slices] = best_of(part(planes, band, height, width), class_ids)
        yield None
    yield Prediction(classes, confidence)


def part(planes: Planes, rect: Rect, height: int, width: int) -> Planes:
    """(K, rect.h, rect.w) planes interpolated at the pixels of a rectangle of an image of ``height`` x ``width``."""
    rows, columns = planes.shape[1:]
    down, along = rows / height, columns / width
    matrix = np.array([[along, 0, (rect.x + 0.5) * along - 0.5], [0, down, (rect.y + 0.5) * down - 0.5]], np.float64)
    first = max(0, int(matrix[1, 2]) - 1)
    last = min(rows, int((rect.bottom + 0.5) * down) + 2)
    matrix[1, 2] -= first
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = np.empty((len(planes), rect.h, rect.w), np.float32)
    for plane, target in zip(planes, result, strict=True):
        cv2.warpAffine(
            plane[first:last], matrix, (rect.w, rect.h), target, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    return result
