"""Prediction of a whole image by overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pspnet_core.devices import is_out_of_memory, numerics_for, out_of_memory, resolve_device
from pspnet_core.inference.logits import LogitGrid
from pspnet_core.inference.upsample import BandedUpsampler
from pspnet_core.inference.windows import window_rects, window_weights
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.types import Prediction, Rect, RgbImage

if TYPE_CHECKING:
    from pspnet_core.imaging.source import ImageSource

# From 256 px to the whole image, mean IoU on aerial photographs changed by 0.006 in all (smaller was better), so the
# size is chosen for time: one window takes 60 to 140 ms on one CPU thread.
WINDOW_PX = 512
OVERLAP_PX = 128
_GRID_PX = 32
MAX_LOGIT_BYTES = 128 * 1024 * 1024
"""Largest logit grid that a prediction hands on: 12 classes at stride 4 for 75 megapixels."""


@dataclass(frozen=True, slots=True)
class WindowDone:
    """One more window of the image went through the network."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Predicted:
    """The last event: the whole image.

    Attributes:
        prediction: Class ids and confidence of all pixels.
        logits: Where they come from; None where that would be larger than :data:`MAX_LOGIT_BYTES`.
    """

    prediction: Prediction
    logits: LogitGrid | None = None


class Predictor:
    """A checkpoint that is ready to predict on one device. It moves the checkpoint's model there.

    Args:
        checkpoint: Its model is put in evaluation mode.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        window_px: Side of a window, a multiple of 32.

    Raises:
        DeviceError: The device is not there.
        ValueError: The name of the device or the size of the window is not possible.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", window_px: int = WINDOW_PX) -> None:
        if window_px < 2 * OVERLAP_PX or window_px % _GRID_PX:
            raise ValueError(
                f"window must be a multiple of {_GRID_PX} and at least {2 * OVERLAP_PX}, found {window_px}"
            )
        self.checkpoint = checkpoint
        self.numerics = numerics_for(resolve_device(device))
        self._window_px = window_px
        self._model = checkpoint.model.eval().to(self.numerics.device)
        self._model.to(memory_format=self.numerics.memory_format)

    def predict(self, image: RgbImage | ImageSource) -> Prediction:
        """Class ids and confidence of an (H, W, 3) uint8 RGB image. Raises: see :meth:`predict_windows`."""
        for event in self.predict_windows(image):
            if isinstance(event, Predicted):
                return event.prediction
        raise AssertionError("a prediction ends with its result")

    def predict_windows(self, image: RgbImage | ImageSource) -> Iterator[WindowDone | Predicted]:
        """As :meth:`predict`, step by step: yields after each window and each band of rows.

        Logits are kept at the model's stride, and only for the rows of windows that are still open.

        Raises:
            ValueError: The array is not (H, W, 3) uint8 or is empty.
            DeviceError: Memory ran out.
        """
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
                raise ValueError(f"image must be (H, W, 3) uint8, found {image.shape} {image.dtype}")
            height, width = image.shape[:2]
        else:
            height, width = image.height, image.width
        try:
            yield from self._run(image, height, width)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise out_of_memory(self.numerics.device, "predicting an image") from error
            raise

    def _run(self, image: RgbImage | ImageSource, height: int, width: int) -> Iterator[WindowDone | Predicted]:
        stride = self._model.logit_stride
        rows = window_rects(width, height, self._window_px, self._window_px - OVERLAP_PX, _GRID_PX)
        total, done = sum(len(row) for row in rows), 0
        upsampler = BandedUpsampler(self.checkpoint.classes.indices, height, width, self._model)
        open_rows = _OpenRows(self._model.num_logits(width))
        kept = self._empty_grid(height, width)
        for number, row in enumerate(rows):
            for rect in row:
                seen = self._extended(rect, width, height)
                open_rows.add(self._logits(_read(image, seen)), rect.y // stride, rect.x // stride)
                done += 1
                yield WindowDone(done, total)
            end = rows[number + 1][0].y // stride if number + 1 < len(rows) else self._model.num_logits(height)
            start, closed = open_rows.first, open_rows.take(end)
            if kept is not None:
                kept.values[:, start:end] = closed.to("cpu", torch.float16).numpy()
            for _ in upsampler.add(closed):
                yield WindowDone(done, total)
        yield Predicted(upsampler.prediction(), kept)

    def _empty_grid(self, height: int, width: int) -> LogitGrid | None:
        model, class_ids = self._model, self.checkpoint.classes.indices
        shape = len(class_ids), model.num_logits(height), model.num_logits(width)
        if 2 * math.prod(shape) > MAX_LOGIT_BYTES:
            return None
        values = np.empty(shape, np.float16)
        return LogitGrid(values, model.logit_stride, class_ids, height, width, model.config.align_corners)

    def _extended(self, rect: Rect, width: int, height: int) -> Rect:
        """A window one pixel longer, where there is one, if logits stand on pixels instead of between them."""
        more = int(self._model.config.align_corners)
        return Rect(rect.x, rect.y, min(rect.w + more, width - rect.x), min(rect.h + more, height - rect.y))

    # The generators must not yield inside these contexts: both are states of the thread.
    @torch.inference_mode()
    def _logits(self, image: RgbImage) -> Tensor:
        x = self.checkpoint.preprocessing(image).to(self.numerics.device)
        height, width = image.shape[:2]
        x = F.pad(x, (0, self._model.padding(width), 0, self._model.padding(height)))  # with the mean colour
        x = x.contiguous(memory_format=self.numerics.memory_format)
        with self.numerics.autocast():
            logits = self._model.logits(x)[0].float()  # (K, h, w)
        return logits[:, : self._model.num_logits(height), : self._model.num_logits(width)]


class _OpenRows:
    """Weighted sums of window logits for the rows that later windows may still reach."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.first = 0
        """Row of the first open logits."""
        self._sums: Tensor | None = None  # (K, n, w)
        self._weights = torch.empty(0, width)

    def add(self, logits: Tensor, top: int, left: int) -> None:
        channels, height, width = logits.shape
        if self._sums is None:
            self._sums = logits.new_zeros(channels, 0, self._width)
            self._weights = logits.new_zeros(0, self._width)
        missing = top + height - self.first - self._sums.shape[1]
        if missing > 0:
            self._sums = torch.cat([self._sums, logits.new_zeros(channels, missing, self._width)], dim=1)
            self._weights = torch.cat([self._weights, logits.new_zeros(missing, self._width)])
        weights = torch.from_numpy(window_weights(height, width)).to(logits.device)
        place = slice(top - self.first, top - self.first + height), slice(left, left + width)
        self._sums[:, *place] += logits * weights
        self._weights[place] += weights

    def take(self, end: int) -> Tensor:
        """Mean logits (K, n, w) of the open rows before row ``end``, which are then closed."""
        assert self._sums is not None
        count = end - self.first
        result = self._sums[:, :count] / self._weights[:count]
        self._sums, self._weights = self._sums[:, count:], self._weights[count:]
        self.first = end
        return result


def _read(image: RgbImage | ImageSource, rect: Rect) -> RgbImage:
    return image[rect.slices] if isinstance(image, np.ndarray) else image.read(rect)
