"""Features of pictures without a network, for tests of the live head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.inference.features import FeatureBlock, ImageFeatures


def plain_features(image: NDArray[np.uint8], cell_px: int = 1) -> ImageFeatures:
    """The colours at the cells, and their means over 4 x 4 pixels."""
    height, width = image.shape[:2]
    return ImageFeatures(
        height,
        width,
        cell_px,
        (_block("colour", image, cell_px), _block("mean", image, 4)),
        _means(image, cell_px) / np.float32(255),
    )


def two_halves(height: int = 60, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    """Dark on the left, bright on the right, with noise."""
    rng = np.random.default_rng(seed)
    values = np.where(np.arange(width) < width // 2, 70, 180)[None, :, None]
    return (values + rng.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)


def _means(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    padded = np.pad(image.astype(np.float32), ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    return padded.reshape(rows, side, columns, side, 3).mean(axis=(1, 3))


def _block(name: str, image: NDArray[np.uint8], stride: int) -> FeatureBlock:
    means = _means(image, stride).transpose(2, 0, 1)
    mean = means.mean(axis=(1, 2), keepdims=True)
    deviation = means.std(axis=(1, 2), keepdims=True) + np.float32(1e-4)
    values = ((means - mean) / deviation).astype(np.float16)
    return FeatureBlock(name, True, stride, values, mean.reshape(-1), deviation.reshape(-1))
