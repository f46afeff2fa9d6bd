"""From RGB to CIELAB, where the distance of two colours is about as large as it looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2

_BAND_PX = 1 << 14  # so many pixels at a time stay in the cache

# sRGB (IEC 61966-2-1:1999) to XYZ under D65, each row divided by the white point.
_RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_TO_XYZ = (_RGB_TO_XYZ / _RGB_TO_XYZ.sum(axis=1, keepdims=True)).astype(np.float32)
_TO_LAB = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], np.float32)

# Below it the cube root becomes a straight line.
_DARK = np.float32(216 / 24389)
_SLOPE = 24389 / 27


def lab_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pixels in CIELAB (D65, 2 degree observer), exact to 0.01.

    OpenCV's own conversion reads coarse tables and is up to 0.45 off.

    Args:
        pixels: (..., 3) uint8, sRGB.

    Returns:
        (..., 3) float32: L 0 to 100, a and b about -108 to 99, owned by the caller.

    Source: CIE 15:2004, section 8.2.1 (the formulas); IEC 61966-2-1:1999 (the curve of sRGB).
    """
    flat = pixels.reshape(-1, 1, 3)
    out = np.empty(flat.shape, np.float32)
    for first in range(0, len(flat), _BAND_PX):
        xyz = cv2.transform(cv2.LUT(flat[first : first + _BAND_PX], _LINEAR), _TO_XYZ)
        bent = cv2.pow(xyz, 1 / 3)
        dark = xyz <= _DARK
        if dark.any():
            np.copyto(bent, xyz * np.float32(_SLOPE / 116) + np.float32(16 / 116), where=dark)
        cv2.transform(bent, _TO_LAB, out[first : first + _BAND_PX])
    return out.reshape(pixels.shape)


def _linear_table() -> NDArray[np.float32]:
    """Linear light 0 to 1 of each value of an sRGB channel."""
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear_table()
