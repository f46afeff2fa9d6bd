"""Where in an image the model doubts most: the places to look at next. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import Provenance, Rect

_GRID = 512  # cells of the longer side
_BAND_ROWS = 1024


class Spot(NamedTuple):
    """A place to look at.

    Attributes:
        x: Column of its middle, in pixels.
        y: Row of its middle.
        doubt: Mean of 1 - confidence around it, 0 to 1; what a person has decided counts as 0.
    """

    x: int
    y: int
    doubt: float


def doubtful_spots(
    confidence: NDArray[np.uint8], provenance: PlaneStore, radius_px: int, count: int = 50
) -> list[Spot]:
    """The places where the model is least sure among the pixels that nobody has decided on, the worst first.

    Args:
        confidence: (H, W) uint8, round(255 x maximum probability).
        provenance: Of the same image; only untouched pixels count.
        radius_px: Half the side of the square over which doubt is averaged, at least 1. Spots are no nearer to each
            other than that.
        count: At most so many.

    Returns:
        None at all where nothing is left to doubt.

    Raises:
        ValueError: The sizes do not agree, or the radius is not positive.
    """
    height, width = provenance.shape
    if confidence.shape != (height, width):
        raise ValueError(f"confidence {confidence.shape} for an image of {(height, width)}")
    if radius_px < 1:
        raise ValueError(f"radius_px must be at least 1, found {radius_px}")
    cell = max(1, -(-max(height, width) // _GRID))
    doubt = _reduced_doubt(confidence, provenance, cell)
    side = 2 * max(1, round(radius_px / cell)) + 1
    # What lies outside of the image does not make its edge any surer.
    mean = cv2.boxFilter(doubt, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    mean /= cv2.boxFilter(np.ones_like(doubt), -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return _peaks(mean, cell, (height, width), side // 2, count)


def _peaks(mean: NDArray[np.float32], cell: int, shape: tuple[int, int], distance: int, count: int) -> list[Spot]:
    """The highest cells that are more than ``distance`` cells apart, row or column."""
    height, width = shape
    left = mean.copy()
    spots: list[Spot] = []
    while len(spots) < count:
        row, column = divmod(int(left.argmax()), left.shape[1])
        if left[row, column] <= 0.0:
            break
        x, y = min(column * cell + cell // 2, width - 1), min(row * cell + cell // 2, height - 1)
        spots.append(Spot(x, y, float(mean[row, column])))
        left[max(row - distance, 0) : row + distance + 1, max(column - distance, 0) : column + distance + 1] = 0.0
    return spots


def _reduced_doubt(confidence: NDArray[np.uint8], provenance: PlaneStore, cell: int) -> NDArray[np.float32]:
    """Mean doubt of square cells, 0 to 1; a band of rows at a time, so that large images need no copy of their size."""
    height, width = confidence.shape
    rows = max(1, _BAND_ROWS // cell) * cell
    bands = []
    for top in range(0, height, rows):
        rect = Rect(0, top, width, min(rows, height - top))
        doubt = 255 - confidence[rect.slices]
        doubt[provenance.read(rect) != Provenance.UNTOUCHED] = 0
        pad = -rect.h % cell, -width % cell
        edge = cv2.copyMakeBorder(doubt, 0, pad[0], 0, pad[1], cv2.BORDER_REPLICATE)
        size = edge.shape[1] // cell, edge.shape[0] // cell
        bands.append(cv2.resize(edge.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    result: NDArray[np.float32] = np.concatenate(bands).astype(np.float32, copy=False)
    result /= 255
    return result
