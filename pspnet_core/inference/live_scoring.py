"""Scores of a linear head at every cell of an image, and those of a model brought there.

Legend: K classes, cells: the grid of the features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.inference.live_sharpen import Planes
from pspnet_core.inference.live_solver import Solution

if TYPE_CHECKING:
    from pspnet_core.inference.features import FeatureBlock, ImageFeatures
    from pspnet_core.inference.logits import LogitGrid


class Scorer:
    """A linear head everywhere. Each block is scored at its own stride, and the few planes of scores are enlarged."""

    def __init__(self, features: ImageFeatures) -> None:
        self._grid, self._cell_px = features.grid, features.cell_px
        self._strides = [block.stride for block in features.blocks]
        self._values = [_flat(block) for block in features.blocks]
        self._shapes = [block.values.shape[1:] for block in features.blocks]

    def scores(self, solution: Solution) -> Planes:
        """(K, cells) float32."""
        rows, columns = self._grid
        by_stride: dict[int, Planes] = {}
        begin = 0
        for stride, values, shape in zip(self._strides, self._values, self._shapes, strict=True):
            weights = solution.weights[begin : begin + len(values)]
            begin += len(values)
            part = (weights.T @ values).reshape(-1, *shape)
            if stride in by_stride:
                by_stride[stride] += part
            else:
                by_stride[stride] = part
        total = by_stride.pop(self._cell_px, None)
        if total is None:
            total = np.zeros((len(solution.bias), rows, columns), np.float32)
        total += solution.bias[:, None, None]
        for stride, planes in by_stride.items():
            for target, plane in zip(total, planes, strict=True):
                target += _enlarged(plane, stride, self._cell_px, rows, columns)
        return total


def _flat(block: FeatureBlock) -> NDArray[np.float32]:
    return block.values.reshape(len(block.values), -1).astype(np.float32)


def _enlarged(plane: Planes, stride: int, cell_px: int, rows: int, columns: int) -> Planes:
    """A plane at the cells: strides are multiples of a cell, and the last feature may reach over the last cell."""
    times = stride // cell_px
    size = plane.shape[1] * times, plane.shape[0] * times
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))[:rows, :columns]


def in_cells(prior: LogitGrid, rows: int, columns: int) -> Planes:
    """(K, rows, columns) log probabilities at the middles of the cells."""
    shift = 0.0 if prior.align_corners else 0.5
    pixel = -0.5 if prior.align_corners else 0.0
    down, along = prior.height / rows, prior.width / columns
    matrix = np.array(
        [
            [along / prior.stride, 0, (along / 2 + pixel) / prior.stride - shift],
            [0, down / prior.stride, (down / 2 + pixel) / prior.stride - shift],
        ],
        np.float64,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    planes = np.empty((len(prior.values), rows, columns), np.float32)
    for values, target in zip(prior.values, planes, strict=True):
        source = values.astype(np.float32)
        cv2.warpAffine(source, matrix, (columns, rows), target, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    highest = planes.max(axis=0)
    planes -= highest + np.log(np.exp(planes - highest).sum(axis=0))
    return planes
