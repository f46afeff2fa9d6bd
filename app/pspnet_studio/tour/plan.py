"""From a true mask to the gestures of a hand: outlines for regions, strokes for specks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap

Points = NDArray[np.float64]
_POLYGON_MIN_PX = 400
_OUTLINE_TOLERANCE = 0.8
_APART_SCREEN_PX = 10.0


@dataclass(frozen=True, slots=True)
class Gesture:
    """One thing the hand does.

    Attributes:
        tool: ``polygon`` or ``brush``.
        class_id: What it paints.
        points: (n, 2) float64, x and y in image pixels: corners of the outline, or the path of the stroke.
        diameter: Brush diameter in image pixels.
    """

    tool: str
    class_id: int
    points: Points
    diameter: int = 1


def plan_gestures(shown: ClassMap, truth: ClassMap, zoom: float, min_px: int) -> list[Gesture]:
    """What to do to bring ``shown`` to ``truth``.

    Every connected region of one true class in which something else is shown becomes a gesture, large ones first.

    Args:
        shown: (H, W) uint8, class ids that are displayed, 255 = none.
        truth: (H, W) uint8, true class ids; 255 is left alone.
        zoom: Screen pixels per image pixel; outlines are no finer than a screen pixel.
        min_px: Regions of fewer image pixels are left alone.
    """
    found: list[tuple[int, Gesture]] = []
    wrong = (truth != UNLABELLED) & (shown != truth)
    for class_id in np.unique(truth[wrong]):
        mask = wrong & (truth == class_id)
        for area, x, y, region in _regions(mask, min_px):
            if area >= _POLYGON_MIN_PX:
                path = outline(region, tolerance_px=_OUTLINE_TOLERANCE * max(1.0, 1.0 / zoom))
                path = begin_apart(path, _APART_SCREEN_PX / zoom)
                gesture = Gesture("polygon", int(class_id), path + (x, y))
            else:
                path, diameter = speck_stroke(region)
                gesture = Gesture("brush", int(class_id), path + (x, y), diameter)
            found.append((area, gesture))
    found.sort(key=lambda row: -row[0])
    return [gesture for _, gesture in found]


def outline(region: BoolMask, tolerance_px: float) -> Points:
    """One closed outline of a region, its holes joined to it by bridges of no width.

    Filled by the even-odd rule it gives the region back, up to ``tolerance_px``. Returns (n, 2) float64.
    """
    # cv2 walks through pixel centres; twice the size and half a pixel more of margin put the path on pixel borders.
    large = np.repeat(np.repeat(region.astype(np.uint8), 2, axis=0), 2, axis=1)
    large = cv2.copyMakeBorder(large, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    contours, hierarchy = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = []
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        ring = cv2.approxPolyDP(contour, 2 * tolerance_px, closed=True)[:, 0, :].astype(np.float64)
        if len(ring) >= 3:
            rings.append((parent < 0, (ring - 0.5) / 2))
    outer = [ring for is_outer, ring in rings if is_outer]
    holes = [ring for is_outer, ring in rings if not is_outer]
    path = outer[0] if outer else np.array([[0, 0], [region.shape[1], 0], [region.shape[1], region.shape[0]]], float)
    for ring in [*outer[1:], *holes]:
        start = int(np.argmin(((path[:, None] - ring[None]) ** 2).sum(-1).min(1)))
        entry = int(np.argmin(((ring - path[start]) ** 2).sum(-1)))
        loop = np.roll(ring, -entry, axis=0)
        path = np.concatenate([path[: start + 1], loop, loop[:1], path[start:]])
    return path


def begin_apart(path: Points, distance: float) -> Points:
    """The same closed path, begun at the corner that is farthest from all others.

    A click near the first corner closes an outline, so no later corner may come within ``distance`` of it; where one
    does all the same, it is left out.
    """
    squared = ((path[:, None] - path[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    path = np.roll(path, -int(squared.min(axis=1).argmax()), axis=0)
    is_apart = ((path - path[0]) ** 2).sum(-1) > distance**2
    is_apart[0] = True
    return path[is_apart] if is_apart.sum() >= 3 else path


def speck_stroke(region: BoolMask) -> tuple[Points, int]:
    """A stroke along the longer axis of a small region: (path, diameter)."""
    ys, xs = np.nonzero(region)
    points = np.stack([xs, ys], axis=1) + 0.5
    centre = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - centre, full_matrices=False)
    along = (points - centre) @ axes[0]
    length = max(1.0, float(along.max() - along.min()) + 1)
    diameter = max(1, round(len(points) / length))
    reach = max(0.0, (length - diameter) / 2)
    steps = np.linspace(-reach, reach, num=max(2, int(length / 6)))
    return centre + steps[:, None] * axes[0], diameter


def _regions(mask: BoolMask, min_px: int) -> Iterator[tuple[int, int, int, BoolMask]]:
    num_labels, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for label in range(1, num_labels):
        x, y, w, h, area = (int(v) for v in stats[label])
        if area >= min_px:
            yield area, x, y, labels[y : y + h, x : x + w] == label
