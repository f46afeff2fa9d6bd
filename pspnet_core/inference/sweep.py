"""Windows of a sliding prediction, joined row by row.

Legend: K classes, h, w logit size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pspnet_core.inference.windows import window_weights


class OpenRows:
    """Weighted sums of what windows say, for the rows that later windows may still reach.

    Args:
        width: w, of the whole image.
    """

    def __init__(self, width: int) -> None:
        self.first = 0
        """The first row that is still open."""
        self._width = width
        self._sums: Tensor | None = None  # (K, n, w)
        self._weights: Tensor | None = None  # (n, w); None where the one window counts alone

    @torch.inference_mode()
    def add_all(self, values: Tensor) -> None:
        """Take the one window that there is, (K, h, w)."""
        assert self._sums is None
        self._sums = values

    @torch.inference_mode()
    def add(self, values: Tensor, top: int, left: int) -> None:
        """Add a window, (K, h', w') float32, whose first value lies at row ``top``, column ``left``."""
        channels, height, width = values.shape
        if self._sums is None or self._weights is None:
            self._sums = values.new_zeros(channels, 0, self._width)
            self._weights = values.new_zeros(0, self._width)
        missing = top + height - self.first - self._sums.shape[1]
        if missing > 0:
            self._sums = torch.cat([self._sums, values.new_zeros(channels, missing, self._width)], dim=1)
            self._weights = torch.cat([self._weights, values.new_zeros(missing, self._width)])
        weights = torch.from_numpy(window_weights(height, width)).to(values.device)
        place = slice(top - self.first, top - self.first + height), slice(left, left + width)
        self._sums[:, *place] += values * weights
        self._weights[place] += weights

    @torch.inference_mode()
    def take(self, end: int) -> Tensor:
        """Means (K, n, w) of the open rows before row ``end``, which are then closed."""
        assert self._sums is not None
        count = end - self.first
        self.first = end
        result = self._sums[:, :count]
        if self._weights is None:
            self._sums = None
            return result
        result = result / self._weights[:count]
        self._sums, self._weights = self._sums[:, count:].clone(), self._weights[count:].clone()
        return result
