"""From logits at the model's stride to class ids and confidence at image size, in bands of rows.

Full-size logits (K x H x W floats) are never held: at 150 classes and 12 megapixels they would be 7 GB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pspnet_core.models.pspnet import PSPNet
from pspnet_core.types import Prediction

_BAND_FLOATS = 4_000_000


class BandedUpsampler:
    """Takes rows of logits from top to bottom and fills a prediction.

    The result does not depend on how the rows were cut.

    Args:
        class_ids: Class id of each channel.
        height: Of the image.
        width: Of the image.
        model: Says how far apart logits lie, and interpolates them.
    """

    def __init__(self, class_ids: tuple[int, ...], height: int, width: int, model: PSPNet) -> None:
        self._ids = np.array(class_ids, np.uint8)
        self._model = model
        self._stride = model.logit_stride
        self._class_map: NDArray[np.uint8] = np.empty((height, width), np.uint8)
        self._confidence: NDArray[np.uint8] = np.empty((height, width), np.uint8)
        self._rows: Tensor | None = None  # (K, n, w): logits from row `_first` on
        self._first = 0
        self._done_px = 0

    def add(self, logits: Tensor) -> Iterator[None]:
        """Append the next rows, (K, n, w) float; yields after each band that was written."""
        self._rows = logits if self._rows is None else torch.cat([self._rows, logits], dim=1)
        height, width = self._class_map.shape
        available = self._first + self._rows.shape[1]
        is_last = available >= self._model.num_logits(height)
        end = height if is_last else (available - 1) * self._stride
        rows_per_band = max(1, _BAND_FLOATS // (len(self._ids) * width * self._stride)) * self._stride
        while self._done_px < end:
            stop = min(self._done_px + rows_per_band, end)
            self._write(self._done_px, stop)
            self._done_px = stop
            yield
        keep = max(self._done_px // self._stride - 1 - self._first, 0)
        self._rows, self._first = self._rows[:, keep:], self._first + keep

    def prediction(self) -> Prediction:
        """The result, owned by the caller, after all rows were added."""
        assert self._done_px == self._class_map.shape[0]
        return Prediction(self._class_map, self._confidence)

    @torch.no_grad()
    def _write(self, start: int, stop: int) -> None:
        assert self._rows is not None
        stride = self._stride
        first = max(start // stride - 1, self._first)
        last = -(-stop // stride) + 1
        part = self._rows[None, :, first - self._first : last - self._first].float()
        full = self._model.upsample_grid(part)[0]
        offset = first * stride
        full = full[:, start - offset : stop - offset, : self._class_map.shape[1]]  # (K, rows, W)
        highest, channel = full.max(dim=0)
        probability = 1.0 / (full - highest).exp_().sum(dim=0)
        self._class_map[start:stop] = self._ids[channel.to("cpu", torch.uint8).numpy()]
        self._confidence[start:stop] = (probability * 255).round_().to("cpu", torch.uint8).numpy()
