"""Where a prediction and the labels of an image disagree, as connected regions. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import Area, tight_area
from pspnet_core.imaging.cv import cv2
from pspnet_core.training.review_events import Place, Suspect
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

_GRID_PX = 2_000_000  # a larger image is looked at in every n-th row and column
_PLACES_PER_CELL = 3
_SURE = 0.7  # margin from which on a disagreement is a confident one
_LEAST_RADIUS = 3.0  # grid pixels: along borders labels and predictions differ by a pixel or two without an error
_LEAST_AREA = 64
_SUSPECTS_PER_IMAGE = 20


def find_confusions(
    key: str,
    labels: ClassMap,
    predicted: ClassMap,
    margin: NDArray[np.uint8] | None = None,
    vouched: BoolMask | None = None,
) -> Generator[None, None, tuple[list[Place], list[Suspect]]]:
    """The largest regions of each confusion of two classes, and those where the labels look wrong.

    Args:
        key: Of the item, for the places.
        labels: (H, W) uint8 class ids, 255 = not compared.
        predicted: (H, W) uint8 class ids.
        margin: (H, W) uint8, round(255 x margin of the two most probable classes); None when no suspects are wanted.
        vouched: (H, W) bool, the pixels that a person gave a class; all when not given.

    Yields:
        After each confusion.

    Returns:
        Places, the largest first, at most three of a confusion; suspects, the most remarkable first, at most 20.

    Raises:
        ValueError: The shapes differ.
    """
    if labels.shape != predicted.shape:
        raise ValueError(f"labels {labels.shape}, prediction {predicted.shape}")
    step = max(1, math.ceil(math.sqrt(labels.size / _GRID_PX)))
    grid = np.s_[::step, ::step]
    truth, found = labels[grid], predicted[grid]
    sure = None if margin is None else margin[grid]
    given = None if vouched is None else vouched[grid]
    places: list[Place] = []
    suspects: list[Suspect] = []
    for true_id, predicted_id, rect in _confusions(truth, found):
        mask = (truth[rect.slices] == true_id) & (found[rect.slices] == predicted_id)
        regions = _largest(mask, _PLACES_PER_CELL)
        places += [_place(key, rect, region, step, true_id, predicted_id) for region in regions]
        if sure is not None:
            certain = mask & (sure[rect.slices] >= _SURE * 255)
            if given is not None:
                certain &= given[rect.slices]
            for region in _largest(certain, _SUSPECTS_PER_IMAGE):
                if region.area >= _LEAST_AREA and region.radius >= _LEAST_RADIUS:
                    mean = float(sure[rect.slices][region.inside()].mean()) / 255
                    suspects.append(Suspect(_place(key, rect, region, step, true_id, predicted_id), mean))
        yield
    places.sort(key=lambda place: -place.area_px)
    suspects.sort(key=lambda suspect: -suspect.rank)
    return places, suspects[:_SUSPECTS_PER_IMAGE]


def area_of(place: Place, labels: ClassMap, predicted: ClassMap) -> Area | None:
    """The pixels of a place that was found.

    Args:
        place: Of the image.
        labels: (place.rect.h, place.rect.w) uint8 class ids in its rectangle.
        predicted: The same, as predicted.

    Returns:
        The region around its point, in image coordinates; None where labels or prediction are others by now.

    Raises:
        ValueError: A shape is not that of the rectangle.
    """
    rect = place.rect
    if labels.shape != (rect.h, rect.w) or predicted.shape != labels.shape:
        raise ValueError(f"labels {labels.shape}, prediction {predicted.shape} for {rect}")
    mask = (labels == place.true_id) & (predicted == place.predicted_id)
    row, column = place.y - rect.y, place.x - rect.x
    if not mask[row, column]:
        return None
    _, numbers = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return tight_area(rect, np.asarray(numbers == numbers[row, column]))


def _confusions(truth: ClassMap, found: ClassMap) -> list[tuple[int, int, Rect]]:
    """(labelled, predicted, rectangle around all such pixels) of each pair of different classes that occurs."""
    wrong = np.flatnonzero((truth != UNLABELLED) & (truth != found))
    if not len(wrong):
        return []
    codes = truth.reshape(-1)[wrong].astype(np.int32) * 256 + found.reshape(-1)[wrong]
    order = np.argsort(codes, kind="stable")
    rows, columns = np.divmod(wrong[order], truth.shape[1])
    kinds, starts = np.unique(codes[order], return_index=True)
    tops, bottoms = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
    lefts, rights = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts)
    return [
        (code // 256, code % 256, Rect(int(x), int(y), int(right) + 1 - int(x), int(bottom) + 1 - int(y)))
        for code, x, y, right, bottom in zip(kinds.tolist(), lefts, tops, rights, bottoms, strict=True)
    ]


class _Region:
    """A connected region of a mask: its rectangle, pixels, and the pixel that is farthest from its border."""

    def __init__(self, labels: NDArray[np.int32], number: int, rect: Rect, area: int) -> None:
        self.rect, self.area = rect, area
        self._labels, self._number = labels, number
        own = np.pad(labels[rect.slices] == number, 1)  # what lies outside is no part of it
        distance = cv2.distanceTransform(own.view(np.uint8), cv2.DIST_L2, 3)
        row, column = divmod(int(distance.argmax()), distance.shape[1])
        self.radius = float(distance[row, column])
        self.x, self.y = rect.x + column - 1, rect.y + row - 1

    def inside(self) -> BoolMask:
        """Its pixels, of the shape of the whole mask."""
        inside: BoolMask = self._labels == self._number
        return inside


def _largest(mask: BoolMask, count: int) -> list[_Region]:
    """The largest connected regions, largest first; pixels that touch at a corner belong together."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    areas = np.asarray(stats)[1:, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")[:count]
    return [_Region(np.asarray(labels), n + 1, Rect(*(int(v) for v in stats[n + 1][:4])), int(areas[n])) for n in order]


def _place(key: str, origin: Rect, region: _Region, step: int, true_id: int, predicted_id: int) -> Place:
    """A region of the grid in image pixels."""
    rect = Rect(
        (origin.x + region.rect.x) * step, (origin.y + region.rect.y) * step, region.rect.w * step, region.rect.h * step
    )
    x, y = (origin.x + region.x) * step, (origin.y + region.y) * step
    return Place(key, rect, x, y, region.area * step * step, true_id, predicted_id)
