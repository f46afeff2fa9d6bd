"""Adaptive average pooling that may be exported with a height and width left open.

Legend: N batch, C channels, H, W feature size, b side of the pooled grid.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pool_by_matrices(x: Tensor, side: int) -> Tensor:
    """``F.adaptive_avg_pool2d(x, side)`` as two matrix products.

    Exporters write ``adaptive_avg_pool2d`` down for the one size they have seen: the file is then wrong at every other
    size without an error. Here the cells follow from the size by plain arithmetic: cell i covers rows
    ``(i * H) // b`` to ``((i + 1) * H + b - 1) // b``, the end excluded, and cells overlap where b does not divide H.

    Args:
        x: (N, C, H, W) floating point.
        side: b, 1 or more; larger than H or W is possible, too.

    Returns:
        (N, C, b, b), type of ``x``.

    Source: the cells are those of PyTorch's ``AdaptiveAveragePooling.cpp``.
    """
    n, c, height, width = x.shape
    rows, columns = _cells(x, -2, side), _cells(x, -1, side)  # (b, H), (b, W): 1 inside of the cell, else 0
    # Plain mm and bmm: `matmul` would make torch.export rule out features of one row.
    narrow = torch.mm(x.reshape(n * c * height, width), columns.T).view(n * c, height, side)
    sums = torch.bmm(rows.expand(n * c, side, height), narrow).view(n, c, side, side)
    return sums / (rows.sum(1)[:, None] * columns.sum(1))


def _cells(x: Tensor, axis: int, side: int) -> Tensor:
    size = x.shape[axis]
    number = torch.arange(side, device=x.device)[:, None]
    position = torch.arange(size, device=x.device)
    begin, end = (number * size) // side, ((number + 1) * size + side - 1) // side
    return ((position >= begin) & (position < end)).to(x.dtype)
