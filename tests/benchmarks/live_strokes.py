"""Strokes of a patient hand, made from full masks: random walks inside each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.types import UNLABELLED, ClassMap

LENGTH_PX = 60
RADIUS_PX = 2
_INSIDE_PX = 2.0
_TURN_RAD = 0.35
_TRIES = 8


def strokes_of(truth: ClassMap, per_class: int, seed: int) -> ClassMap:
    """Some strokes for each class of an image, 255 elsewhere.

    Each is a random walk of 60 px, drawn with radius 2; it starts at least 2 px inside of the class (where the class
    is thinner, in its middle) and is kept to the class.

    Args:
        truth: (H, W) uint8 class ids, 255 = unknown.
        per_class: Strokes for each class that is there.
        seed: Equal seeds draw equal strokes.

    Returns:
        (H, W) uint8 class ids.
    """
    rng = np.random.default_rng(seed)
    strokes: ClassMap = np.full(truth.shape, UNLABELLED, np.uint8)
    for class_id in np.unique(truth):
        if class_id == UNLABELLED:
            continue
        inside = truth == class_id
        padded = np.pad(inside, 1).astype(np.uint8)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        starts = np.flatnonzero(depth >= min(_INSIDE_PX, float(depth.max())))
        for _ in range(per_class):
            row, column = divmod(int(rng.choice(starts)), truth.shape[1])
            _draw(strokes, _walk(inside, row, column, rng), inside, int(class_id))
    return strokes


def _walk(inside: NDArray[np.bool_], row: int, column: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(LENGTH_PX + 1, 2) rows and columns: steps of 1 px that bend at random and turn back at the border."""
    height, width = inside.shape
    at = np.array([row + 0.5, column + 0.5])
    angle = rng.uniform(0, 2 * np.pi)
    points = [at.copy()]
    for _ in range(LENGTH_PX):
        for attempt in range(_TRIES):
            turned = angle + (rng.normal(0, _TURN_RAD) if attempt == 0 else rng.uniform(-np.pi, np.pi))
            there = at + (np.sin(turned), np.cos(turned))
            y, x = np.floor(there).astype(int)
            if 0 <= y < height and 0 <= x < width and inside[y, x]:
                at, angle = there, turned
                break
        points.append(at.copy())
    return np.floor(points).astype(np.intp)


def _draw(strokes: ClassMap, points: NDArray[np.intp], inside: NDArray[np.bool_], class_id: int) -> None:
    top, left = np.maximum(points.min(axis=0) - RADIUS_PX, 0)
    bottom, right = points.max(axis=0) + RADIUS_PX + 1
    part = np.zeros(inside[top:bottom, left:right].shape, np.uint8)
    for y, x in points - (top, left):
        cv2.circle(part, (int(x), int(y)), RADIUS_PX, 1, cv2.FILLED)
    strokes[top:bottom, left:right][(part > 0) & inside[top:bottom, left:right]] = class_id
