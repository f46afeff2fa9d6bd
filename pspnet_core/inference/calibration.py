"""Confidence that means what it says: one temperature, found on held-out pixels, divides the logits.

Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), section 4.2, temperature scaling.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pspnet_core.inference.logits import LogitGrid
from pspnet_core.types import UNLABELLED, ClassMap, Prediction

_PER_IMAGE = 4_000  # rows of one image: neighbours say almost the same
_MIN_ROWS = 500
_LIMIT = 5.0  # a hold-out without a mistake would ask for certainty
_NEWTON_STEPS = 30
_TOLERANCE = 1e-6
_NUM_BINS = 15

Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


class Calibration:
    """Collects logits of held-out pixels and their true classes.

    Args:
        seed: Of the pixels that are taken from each image.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._rows: list[Rows] = []

    def update(self, logits: LogitGrid, target: ClassMap) -> None:
        """Take in an image: the logits that lie on labelled pixels, at most 4,000 of them.

        Args:
            logits: Of the whole image.
            target: (H, W) uint8 class ids of the same image; 255 and classes that the logits lack do not count.

        Raises:
            ValueError: The sizes do not agree.
        """
        if target.shape != (logits.height, logits.width):
            raise ValueError(f"logits of {(logits.height, logits.width)} for a class map of {target.shape}")
        channel_of = np.full(256, -1, np.int64)
        channel_of[list(logits.class_ids)] = np.arange(len(logits.class_ids))
        channel_of[UNLABELLED] = -1
        rows, columns = (
            _places(n, size, logits) for n, size in zip(logits.values.shape[1:], target.shape, strict=True)
        )
        channel = channel_of[target[np.ix_(rows, columns)]].reshape(-1)
        known = np.flatnonzero(channel >= 0)
        if len(known) > _PER_IMAGE:
            known = np.sort(self._rng.choice(known, _PER_IMAGE, replace=False))
        values = logits.values.reshape(len(logits.class_ids), -1)[:, known].T.astype(np.float32)
        self._rows.append((values, channel[known]))

    def temperature(self) -> float:
        """What to divide logits by so that held-out pixels are as likely as possible, 0.2 to 5.

        Returns:
            1.0, nothing to change, with fewer than 500 pixels or less than two classes.
        """
        if not self._rows:
            return 1.0
        z, y = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        if len(y) < _MIN_ROWS or len(np.unique(y)) < 2:
            return 1.0
        return 1.0 / _inverse_temperature(z.astype(np.float64), y)


class Reliability:
    """How often pixels of each confidence are right."""

    def __init__(self) -> None:
        self._pixels = np.zeros(256, np.int64)  # by confidence
        self._right = np.zeros(256, np.int64)

    def update(self, target: ClassMap, prediction: Prediction) -> None:
        """Count the labelled pixels of an image.

        Args:
            target: (H, W) uint8 class ids; 255 does not count.
            prediction: Of the same image.

        Raises:
            ValueError: The sizes do not agree.
        """
        if target.shape != prediction.class_map.shape:
            raise ValueError(f"prediction {prediction.class_map.shape} for a class map of {target.shape}")
        known = target != UNLABELLED
        confidence = prediction.confidence[known]
        right = prediction.class_map[known] == target[known]
        self._pixels += np.bincount(confidence, minlength=256)
        self._right += np.bincount(confidence[right], minlength=256)

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of confidence and accuracy over 15 equal bins of confidence, weighted by pixels; 0 is perfect.

        NaN when nothing was counted. Source: Guo et al. (2017), section 2, with their number of bins.
        """
        if not self._pixels.any():
            return math.nan
        confidence = np.arange(256) / 255
        bins = np.minimum((confidence * _NUM_BINS).astype(np.int64), _NUM_BINS - 1)
        gaps = np.bincount(bins, confidence * self._pixels - self._right, _NUM_BINS)
        return float(np.abs(gaps).sum() / self._pixels.sum())


def _places(count: int, size: int, logits: LogitGrid) -> NDArray[np.int64]:
    """The pixel under each logit of one axis."""
    offset = 0 if logits.align_corners else logits.stride // 2
    return np.minimum(np.arange(count) * logits.stride + offset, size - 1)


def _inverse_temperature(z: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Newton's method; the negative log-likelihood is convex in the inverse temperature."""
    z = z - z.max(axis=1, keepdims=True)
    true = z[np.arange(len(y)), y]
    beta = 1.0
    for _ in range(_NEWTON_STEPS):
        p = np.exp(beta * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        slope = float((mean - true).mean())
        curvature = float(((p * z * z).sum(axis=1) - mean**2).mean())
        if curvature <= 0.0:
            break
        # Steps of at most a factor of two: far away the curve is flat.
        step = float(np.clip(beta - slope / curvature, beta / 2, beta * 2))
        step = min(max(step, 1 / _LIMIT), _LIMIT)
        if abs(step - beta) < _TOLERANCE:
            return step
        beta = step
    return beta
