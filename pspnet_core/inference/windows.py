"""Where the windows of a sliding prediction lie, and how much each of their pixels counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import Rect


def window_rects(
    width: int, height: int, size: int | tuple[int, int], stride: int | tuple[int, int], grid: int
) -> list[list[Rect]]:
    """Windows that cover an image, as rows from top to bottom, each from left to right.

    An axis that fits into one window has one, of the image's length. Longer axes have windows of ``size`` at even
    distances of at most ``stride``; because starts lie on the grid, the last one may be up to ``grid - 1`` shorter.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        size: Side of a window, a multiple of ``grid``; or its width and height.
        stride: Largest distance between windows, a multiple of ``grid`` up to ``size``; or across and down.
        grid: Starts are multiples of this.

    Raises:
        ValueError: Impossible numbers.
    """
    sizes = (size, size) if isinstance(size, int) else size
    strides = (stride, stride) if isinstance(stride, int) else stride
    possible = min(width, height) >= 1 and grid >= 1
    for one, step in zip(sizes, strides, strict=True):
        possible = possible and one % grid == 0 and step % grid == 0 and grid <= step <= one
    if not possible:
        raise ValueError(f"no windows of {size} at distance {stride}, grid {grid}, in {width} x {height}")
    columns = _spans(width, sizes[0], strides[0], grid)
    return [[Rect(x, y, w, h) for x, w in columns] for y, h in _spans(height, sizes[1], strides[1], grid)]


def even_window(length: int, largest: int, overlap: int, grid: int) -> int:
    """The size of the fewest windows up to ``largest`` that cover ``length`` with at least ``overlap``, a multiple of
    ``grid``; they then overlap no more than they must."""
    if length <= largest:
        return -(-length // grid) * grid
    count = -(-(length - overlap) // (largest - overlap))
    return min(largest, -(-(length + (count - 1) * overlap) // (count * grid)) * grid)


def _spans(length: int, size: int, stride: int, grid: int) -> list[tuple[int, int]]:
    if length <= size:
        return [(0, length)]
    steps = -(-(length - size) // grid)  # of the grid, to the last start
    count = -(-steps * grid // stride) + 1
    starts = [steps * i // (count - 1) * grid for i in range(count)]
    return [(start, min(size, length - start)) for start in starts]


def window_weights(height: int, width: int) -> NDArray[np.float32]:
    """(height, width) float32 weights in (0, 1]: a pyramid, so that windows fade into each other without a seam."""
    rows, columns = (np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in (height, width))
    weights: NDArray[np.float32] = np.multiply.outer(rows / rows.max(), columns / columns.max()).astype(np.float32)
    return weights
