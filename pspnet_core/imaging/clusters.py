"""k-means in colour and place with seeds on a grid: the inner loop of superpixels, as small matrix products.

Legend: R, C rows and columns of the grid; S pixels of one grid square; 6 features of a pixel (three of colour, x, y, 1,
where x and y count from the middle of its square); 9 squares around a square, row by row, itself the fifth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_NO_SQUARE = np.float32(1e12)  # cost of a square beyond the border


def assigned_cells(colors: Floats, cell_px: int, compactness: float, iterations: int) -> NDArray[np.int32]:
    """The cluster of each pixel.

    Args:
        colors: (H, W, 3) float32, such as CIELAB.
        cell_px: Side of a grid square, at least 2.
        compactness: Units of colour that a way of one grid square is worth.
        iterations: Rounds, at least 1; the last one sees all pixels, those before every second row and column.

    Returns:
        (H, W) int32, numbers of clusters; not all numbers need occur, and a cluster need not be connected.
    """
    height, width = colors.shape[:2]
    side_y, side_x = _even_side(height, cell_px), _even_side(width, cell_px)
    features = _features(colors, side_y, side_x)
    rows, columns = features.shape[:2]
    weight = compactness * compactness / (side_y * side_x)
    sparse = features.reshape(rows, columns, 6, side_y // 2, 2, side_x // 2, 2)[:, :, :, :, 0, :, 0]
    sparse = np.ascontiguousarray(sparse.reshape(rows, columns, 6, -1))
    sums = sparse.sum(axis=3)
    centres = sums[..., :5] / np.maximum(sums[..., 5:], 1)
    for _ in range(iterations - 1):
        centres = _updated(sparse, centres, side_y, side_x, weight)
    out = np.empty((rows, side_y, columns, side_x), np.int32)
    steps = np.array([down * columns + aside for down in (-1, 0, 1) for aside in (-1, 0, 1)], np.int32)
    costs = _coefficients(centres, side_y, side_x, weight)
    for row in range(rows):
        choice = steps[_cheapest(costs[row], features[row])].reshape(columns, side_y, side_x)
        own = row * columns + np.arange(columns, dtype=np.int32)
        out[row] = (choice + own[:, None, None]).transpose(1, 0, 2)
    return out.reshape(rows * side_y, columns * side_x)[:height, :width].copy()


def _even_side(length: int, cell_px: int) -> int:
    """Side of the squares that divide a length into about length / cell_px; even, as every second row is left out."""
    side = math.ceil(length / max(1, round(length / cell_px)))
    return side + side % 2


def _features(colors: Floats, side_y: int, side_x: int) -> Floats:
    """(R, C, 6, S): what is beyond the image is 0 in all features, so that it counts for nothing."""
    height, width = colors.shape[:2]
    rows, columns = math.ceil(height / side_y), math.ceil(width / side_x)
    planes = np.zeros((6, rows * side_y, columns * side_x), np.float32)
    planes[:3, :height, :width] = colors.transpose(2, 0, 1)
    x = np.tile(np.arange(side_x, dtype=np.float32) - (side_x - 1) / 2, columns)
    y = np.tile(np.arange(side_y, dtype=np.float32) - (side_y - 1) / 2, rows)
    planes[3, :height, :width] = x[:width]
    planes[4, :height, :width] = y[:height, None]
    planes[5, :height, :width] = 1
    by_square = planes.reshape(6, rows, side_y, columns, side_x).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(by_square).reshape(rows, columns, 6, side_y * side_x)


def _coefficients(centres: Floats, side_y: int, side_x: int, weight: float) -> Floats:
    """(R, C, 9, 6) so that coefficients @ features is the squared distance, but for a term of the pixel alone."""
    rows, columns = centres.shape[:2]
    out = np.zeros((rows, columns, 9, 6), np.float32)
    out[..., 5] = _NO_SQUARE
    scale = np.array([1, 1, 1, weight, weight], np.float32)
    for at, here, there, shift in _neighbours(rows, columns, side_y, side_x):
        centre = centres[there] + shift
        out[here][:, :, at, :5] = -2 * scale * centre
        out[here][:, :, at, 5] = (scale * centre * centre).sum(axis=2)
    return out


def _updated(features: Floats, centres: Floats, side_y: int, side_x: int, weight: float) -> Floats:
    """(R, C, 5): the mean of the pixels that are nearest to each centre; one without pixels stays."""
    rows, columns = centres.shape[:2]
    costs = _coefficients(centres, side_y, side_x, weight)
    given = np.empty((rows, columns, 9, 6), np.float32)  # what each square gives to the nine centres around it
    numbers = np.arange(9, dtype=np.uint8)[:, None]
    for row in range(rows):
        chosen = (_cheapest(costs[row], features[row])[:, None] == numbers).astype(np.float32)
        np.matmul(chosen, features[row].transpose(0, 2, 1), out=given[row])
    sums = np.zeros((rows, columns, 6), np.float32)
    for at, here, there, shift in _neighbours(rows, columns, side_y, side_x):
        part = given[here][:, :, at]
        sums[there] += part
        sums[there][..., :5] -= part[..., 5:] * shift
    empty = sums[..., 5:] < 0.5
    means = sums[..., :5] / np.where(empty, 1, sums[..., 5:])
    return np.where(empty, centres, means)


def _cheapest(costs: Floats, features: Floats) -> NDArray[np.uint8]:
    """(C, S) number 0 to 8 of the nearest centre, for one row of squares: (C, 9, 6) and (C, 6, S)."""
    distance = np.matmul(costs, features)
    best, choice = distance[:, 0].copy(), np.zeros((len(costs), features.shape[2]), np.uint8)
    for at in range(1, 9):
        nearer = distance[:, at] < best
        np.copyto(choice, at, where=nearer)
        np.minimum(best, distance[:, at], out=best)
    return choice


def _neighbours(
    rows: int, columns: int, side_y: int, side_x: int
) -> list[tuple[int, tuple[slice, slice], tuple[slice, slice], Floats]]:
    """For each of the nine directions: its number, the squares that have such a neighbour, these neighbours, and what
    to add to a centre of the neighbour to count from the middle of the square itself."""
    out = []
    for at in range(9):
        down, aside = at // 3 - 1, at % 3 - 1
        here = slice(max(0, -down), rows - max(0, down)), slice(max(0, -aside), columns - max(0, aside))
        there = slice(max(0, down), rows - max(0, -down)), slice(max(0, aside), columns - max(0, -aside))
        shift = np.array([0, 0, 0, aside * side_x, down * side_y], np.float32)
        out.append((at, here, there, shift))
    return out
