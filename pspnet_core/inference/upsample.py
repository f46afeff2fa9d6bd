"""From logits at the model's stride to class ids and confidence at image size, in bands of rows.

Full-size logits (K x H x W floats) are never held: at 150 classes and 12 megapixels they would be 7 GB.

Legend: K classes, h, w logit size, H, W image size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pspnet_core.inference.views import is_same_for_all
from pspnet_core.models.pspnet import PSPNet
from pspnet_core.types import ClassMap, Prediction, Rect

_BAND_FLOATS = 4_000_000
_LEAST = -80.0  # `exp` of it is still far above the least float32


@dataclass(frozen=True, slots=True)
class PartDone:
    """A part of the image is predicted. A later part may lie over an earlier one and then counts.

    Attributes:
        rect: Where.
        prediction: What, of the size of ``rect``.
    """

    rect: Rect
    prediction: Prediction


class BandedUpsampler:
    """Takes rows of logits from top to bottom and gives rows of the prediction.

    The result does not depend on how the rows were cut.

    Args:
        class_ids: Class id of each channel.
        height: Of the image.
        width: Of the image.
        model: Says how far apart logits lie, and interpolates them.
        margin: Whether the margin between the two best classes is wanted.
    """

    def __init__(
        self, class_ids: tuple[int, ...], height: int, width: int, model: PSPNet, margin: bool = False
    ) -> None:
        self._ids = np.array(class_ids, np.uint8)
        self._model = model
        self._stride = model.logit_stride
        self._height, self._width = height, width
        self._margin = margin
        self._rows: Tensor | None = None  # (K, n, w): logits from row `_first` on
        self._first = 0
        self._done_px = 0

    def add(self, logits: Tensor) -> Iterator[PartDone]:
        """Append the next rows, (K, n, w) float; yields each band of the image that they complete."""
        self._rows = logits if self._rows is None else torch.cat([self._rows, logits], dim=1)
        available = self._first + self._rows.shape[1]
        is_last = available >= self._model.num_logits(self._height)
        end = self._height if is_last else (available - 1) * self._stride
        rows_per_band = max(1, _BAND_FLOATS // (len(self._ids) * self._width * self._stride)) * self._stride
        while self._done_px < end:
            start, stop = self._done_px, min(self._done_px + rows_per_band, end)
            self._done_px = stop
            yield PartDone(Rect(0, start, self._width, stop - start), self._band(start, stop))
        keep = max(self._done_px // self._stride - 1 - self._first, 0)
        self._rows, self._first = self._rows[:, keep:].clone(), self._first + keep

    @torch.inference_mode()
    def _band(self, start: int, stop: int) -> Prediction:
        assert self._rows is not None
        stride = self._stride
        first = max(start // stride - 1, self._first)
        last = -(-stop // stride) + 1
        rows = self._rows[None, :, first - self._first : last - self._first].float()
        if is_same_for_all(self._model.config):
            rows = rows - rows.amax(dim=1, keepdim=True)
        rows = rows.contiguous(memory_format=torch.channels_last)
        top = start - first * stride
        full = self._model.upsample_grid(rows)[0, :, top : top + stop - start, : self._width]
        values = full.permute(1, 2, 0)  # (rows, W, K): three times as fast as with the classes outside
        if is_same_for_all(self._model.config) and float(rows.min()) >= _LEAST:
            # The highest of all classes is 0 before interpolation: `exp` neither overflows nor vanishes after it, and
            # of values that all are positive the highest is the same one.
            highest, channel = values.exp_().max(dim=2)
        else:
            highest, channel = values.max(dim=2)
            values = values.sub_(highest[..., None]).exp_()
            highest = torch.ones_like(highest)
        total = values.sum(dim=2)
        margin = None
        if self._margin:
            second = values.scatter_(2, channel[..., None], 0.0).amax(dim=2)
            margin = _as_bytes((highest - second) / total)
        class_map: ClassMap = self._ids[channel.to("cpu", torch.uint8).numpy()]
        return Prediction(class_map, _as_bytes(highest / total), margin)


class Planes:
    """A prediction that is put together from its parts. Memory is taken where a part was written.

    Args:
        height: Of the image.
        width: Of the image.
        margin: Whether the margin is kept, too.
    """

    def __init__(self, height: int, width: int, margin: bool = False) -> None:
        class_map, confidence = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
        self.prediction = Prediction(class_map, confidence, np.empty((height, width), np.uint8) if margin else None)
        """The whole, owned by the caller, after all parts were written."""

    def write(self, part: PartDone) -> None:
        """Put a part in its place."""
        write_part(self.prediction, part)


def write_part(whole: Prediction, part: PartDone) -> None:
    """Put a part of a prediction in its place."""
    whole.class_map[part.rect.slices] = part.prediction.class_map
    whole.confidence[part.rect.slices] = part.prediction.confidence
    if whole.margin is not None and part.prediction.margin is not None:
        whole.margin[part.rect.slices] = part.prediction.margin


def _as_bytes(share: Tensor) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = (share * 255).round_().to("cpu", torch.uint8).numpy()
    return result
