"""The peer: a random forest on multi-scale pixel features, as in interactive pixel classifiers. Pinned; do not tune."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

MAX_STROKE_PIXELS = 4_000
MAX_MASK_PIXELS = 20_000
_ROWS_AT_ONCE = 500_000


def features(image: RgbImage) -> NDArray[np.float32]:
    """(H, W, C) float32: intensity, edges and texture at sigma 1 to 16, at full image size."""
    from skimage.feature import multiscale_basic_features

    found = multiscale_basic_features(
        image, intensity=True, edges=True, texture=True, sigma_min=1, sigma_max=16, channel_axis=-1
    )
    return np.asarray(found, np.float32)


class Forest:
    """100 full trees on labelled pixels of one or more images.

    Args:
        seed: Of the trees and of the choice of pixels.
        max_pixels: Of each image; more are thinned out at random.
    """

    def __init__(self, seed: int, max_pixels: int = MAX_STROKE_PIXELS) -> None:
        from sklearn.ensemble import RandomForestClassifier

        self._max_pixels = max_pixels
        self._rng = np.random.default_rng(seed)
        self._forest = RandomForestClassifier(100, class_weight="balanced_subsample", random_state=seed)
        self._rows: list[NDArray[np.float32]] = []
        self._classes: list[NDArray[np.uint8]] = []

    def add(self, values: NDArray[np.float32], labels: ClassMap) -> None:
        """Take the labelled pixels of an image: its (H, W, C) features and its (H, W) class ids, 255 = none."""
        chosen = np.flatnonzero(labels != UNLABELLED)
        if len(chosen) > self._max_pixels:
            chosen = np.sort(self._rng.choice(chosen, self._max_pixels, replace=False))
        self._rows.append(values.reshape(-1, values.shape[-1])[chosen])
        self._classes.append(labels.ravel()[chosen])

    def fit(self) -> None:
        """Grow the trees."""
        self._forest.fit(np.concatenate(self._rows), np.concatenate(self._classes))

    def predict(self, values: NDArray[np.float32]) -> ClassMap:
        """(H, W) uint8 class ids of an image with these (H, W, C) features."""
        rows = values.reshape(-1, values.shape[-1])
        parts = [self._forest.predict(rows[i : i + _ROWS_AT_ONCE]) for i in range(0, len(rows), _ROWS_AT_ONCE)]
        classes: ClassMap = np.concatenate(parts).astype(np.uint8).reshape(values.shape[:2])
        return classes
