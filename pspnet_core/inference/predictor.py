"""Prediction of an image, as a whole or by overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pspnet_core.devices import free_cached, is_out_of_memory, out_of_memory, resolve_device
from pspnet_core.inference.batches import Batches, batch_size, bytes_per_pixel, largest_window, memory_budget
from pspnet_core.inference.engines import Engine, make_engine
from pspnet_core.inference.logits import LogitGrid
from pspnet_core.inference.sweep import OpenRows
from pspnet_core.inference.upsample import BandedUpsampler, PartDone, Planes, write_part
from pspnet_core.inference.views import Views, from_average, to_average, window_logits
from pspnet_core.inference.windows import even_window, window_rects
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.types import Prediction, Rect, RgbImage

if TYPE_CHECKING:
    from pspnet_core.imaging.source import ImageSource

# From 256 px to the whole image, mean IoU on aerial photographs changed by 0.006 in all (smaller was better), so the
# size is chosen for time: one window takes 60 to 140 ms on one CPU thread.
WINDOW_PX = 512
"""Side of windows after each of which something else may run."""

OVERLAP_PX = 128
_LARGE_OVERLAP_PX = 64  # of windows as large as memory allows, whose borders are a small part of them
_GRID_PX = 32
_SMALLEST_PX = 256
MAX_LOGIT_BYTES = 128 * 1024 * 1024
"""Largest logit grid that a prediction hands on: 12 classes at stride 4 for 75 megapixels."""

_MOST_FIRST = 64  # windows that are kept because they were wanted first


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


@dataclass(slots=True)
class _Run:
    """One prediction on its way."""

    image: RgbImage | ImageSource
    height: int
    width: int
    batches: Batches
    done: int = 0
    total: int = 0
    kept: LogitGrid | None = None
    known: dict[Rect, Tensor] = field(default_factory=dict)  # of windows that were wanted first
    margin: bool = False


class Predictor:
    """A checkpoint that is ready to predict on one device. Its model is copied: what happens to it later is not seen.

    How an image is predicted: windows (or the whole image), each seen as ``views`` says, give probabilities at the
    model's stride; where windows overlap their mean counts, weighted so that they fade into each other; the logarithm
    of the mean is interpolated to image size, and the highest channel is the class. With the decoder ``deconv``, which
    needs more of them than probabilities say, the logits themselves are averaged. For one window, one view, that is the
    network's own prediction.

    Args:
        checkpoint: Its model is put in evaluation mode.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        window_px: Side of a window, a multiple of 32; None for the whole image where it fits into memory, and
            windows as large as memory allows where it does not.
        overlap_px: Least overlap of windows of that size, a multiple of 32.
        views: How each window is seen.
        tune: Use the way to compute that is fastest here: measured once, then remembered.
        engine: Compute so, instead.

    Raises:
        DeviceError: The device is not there.
        ValueError: The name of the device or the size of the window is not possible.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        window_px: int | None = WINDOW_PX,
        overlap_px: int = OVERLAP_PX,
        views: Views | None = None,
        tune: bool = False,
        engine: Engine | None = None,
    ) -> None:
        if overlap_px < _GRID_PX or overlap_px % _GRID_PX:
            raise ValueError(f"overlap must be a multiple of {_GRID_PX}, found {overlap_px}")
        if window_px is not None and (window_px < 2 * overlap_px or window_px % _GRID_PX):
            raise ValueError(
                f"window must be a multiple of {_GRID_PX} and at least {2 * overlap_px}, found {window_px}"
            )
        self.checkpoint = checkpoint
        self._model = checkpoint.model.eval()
        self.engine = engine or make_engine(self._model, resolve_device(device), tune)
        self._window_px, self._overlap_px = window_px, overlap_px
        self._views = views or Views()
        if checkpoint.config.decoder == "deconv":
            self._model.upsampler.to(self.engine.device)
        scale = max(self._views.scales) ** 2
        self._per_px = math.ceil(bytes_per_pixel(checkpoint.config, self.engine.bytes_per_value) * max(1.0, scale))

    @property
    def description(self) -> str:
        """What predictions depend on, apart from the image."""
        return f"{self.checkpoint.id} {self._window_px} {self._overlap_px} {self._views}"

    def predict(self, image: RgbImage | ImageSource, margin: bool = False) -> Prediction:
        """Class ids and confidence of an (H, W, 3) uint8 RGB image. Raises: see :meth:`predict_windows`."""
        for event in self.predict_windows(image, margin=margin):
            if isinstance(event, Predicted):
                return event.prediction
        raise AssertionError("a prediction ends with its result")

    def predict_windows(
        self,
        image: RgbImage | ImageSource,
        first: Rect | None = None,
        margin: bool = False,
        into: Prediction | None = None,
    ) -> Iterator[WindowDone | PartDone | Predicted]:
        """As :meth:`predict`, step by step: yields after each window and each band of rows.

        Logits are kept at the model's stride, and only for the rows of windows that are still open.

        Args:
            image: (H, W, 3) uint8 RGB, or something to read it from by pieces.
            first: What is wanted first. It comes at once from the windows around it, and again, joined to all
                others, in the end.
            margin: Whether the margin between the two best classes is wanted, too.
            into: Is written to part by part, and is the result in the end, instead of a new prediction.

        Raises:
            ValueError: The array is not (H, W, 3) uint8 or is empty.
            DeviceError: Memory ran out.
        """
        height, width = _size(image)
        whole = into if into is not None else Planes(height, width, margin).prediction
        kept = self._empty_grid(height, width)
        for event in self._parts(image, height, width, first, margin, kept):
            if isinstance(event, PartDone):
                write_part(whole, event)
            yield event
        yield Predicted(whole, kept)

    def predict_whole(self, image: RgbImage) -> Prediction:
        """A small image in one go, whatever the size of windows. Raises: see :meth:`predict_windows`."""
        height, width = _size(image)
        run = _Run(image, height, width, Batches(self._logits, 1, self.engine.device), total=1)
        planes, area = Planes(height, width), Rect(0, 0, width, height)
        try:
            for event in self._sweep(run, [[area]], area):
                if isinstance(event, PartDone):
                    planes.write(event)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise out_of_memory(self.engine.device, "predicting an image") from error
            raise
        return planes.prediction

    def finish(self, logits: LogitGrid, into: Prediction | None = None) -> Iterator[PartDone | Predicted]:
        """A prediction from logits that were kept of it, without the network; events as of :meth:`predict_windows`."""
        whole = into if into is not None else Planes(logits.height, logits.width).prediction
        upsampler = BandedUpsampler(logits.class_ids, logits.height, logits.width, self._model)
        values = torch.from_numpy(logits.values.astype(np.float32)).to(self.engine.device)
        for part in upsampler.add(values):
            write_part(whole, part)
            yield part
        yield Predicted(whole, logits)

    def predict_parts(
        self, image: RgbImage | ImageSource, first: Rect | None = None, margin: bool = False
    ) -> Iterator[WindowDone | PartDone]:
        """As :meth:`predict_windows`, but keeps nothing: memory does not grow with the height of the image."""
        height, width = _size(image)
        yield from self._parts(image, height, width, first, margin, None)

    def _parts(
        self,
        image: RgbImage | ImageSource,
        height: int,
        width: int,
        first: Rect | None,
        margin: bool,
        kept: LogitGrid | None,
    ) -> Iterator[WindowDone | PartDone]:
        largest = self._window_px
        while True:
            rows = self._windows(height, width, largest)
            sides = [max(rect.w, rect.h) for row in rows for rect in row[:1]]
            pixels = max(rect.w * rect.h for row in rows for rect in row[:1])
            size = batch_size(pixels, self._per_px, self.engine.device)
            run = _Run(image, height, width, Batches(self._logits, size, self.engine.device), kept=kept, margin=margin)
            run.total = sum(len(row) for row in rows)
            try:
                if first is not None:
                    yield from self._first_parts(run, rows, first)
                yield from self._sweep(run, rows, Rect(0, 0, width, height))
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                largest = max(sides) // 2 // _GRID_PX * _GRID_PX
                if self._window_px is not None or largest < _SMALLEST_PX:
                    raise out_of_memory(self.engine.device, "predicting an image") from error
            free_cached(self.engine.device)

    def _windows(self, height: int, width: int, largest: int | None) -> list[list[Rect]]:
        overlap = self._overlap_px
        if self._window_px is not None:
            return window_rects(width, height, self._window_px, self._window_px - overlap, _GRID_PX)
        device = self.engine.device
        if largest is None:
            if width * height * self._per_px <= memory_budget(device):
                return [[Rect(0, 0, width, height)]]
            largest = largest_window(self._per_px, device, _GRID_PX)
        overlap = _LARGE_OVERLAP_PX
        sizes = [even_window(length, largest, overlap, _GRID_PX) for length in (width, height)]
        steps = [size - overlap for size in sizes]
        return window_rects(width, height, (sizes[0], sizes[1]), (steps[0], steps[1]), _GRID_PX)

    def _first_parts(self, run: _Run, rows: Sequence[Sequence[Rect]], wanted: Rect) -> Iterator[WindowDone | PartDone]:
        near = [[rect for rect in row if not rect.intersect(wanted).is_empty] for row in rows]
        near = [row for row in near if row]
        count = sum(len(row) for row in near)
        if not near or count == run.total or count > _MOST_FIRST:
            return
        area = near[0][0].union(near[-1][-1])
        yield from self._sweep(run, near, area, keep=True)

    def _sweep(
        self, run: _Run, rows: Sequence[Sequence[Rect]], area: Rect, keep: bool = False
    ) -> Iterator[WindowDone | PartDone]:
        """Predict ``area``, which starts and ends with windows; ``keep`` is for a part that comes first."""
        stride, model = self._model.logit_stride, self._model
        upsampler = BandedUpsampler(self.checkpoint.classes.indices, area.h, area.w, model, run.margin)
        is_single = len(rows) == len(rows[0]) == 1
        open_rows = OpenRows(model.num_logits(area.w))
        for number, row in enumerate(rows):
            for rect, logits in self._row(run, row, keep):
                if is_single:
                    open_rows.add_all(logits)
                else:
                    top, left = (rect.y - area.y) // stride, (rect.x - area.x) // stride
                    open_rows.add(to_average(logits, model.config), top, left)
                yield WindowDone(run.done, run.total)
            is_last = number + 1 == len(rows)
            end = model.num_logits(area.h) if is_last else (rows[number + 1][0].y - area.y) // stride
            start, closed = open_rows.first, open_rows.take(end)
            if not is_single:
                closed = from_average(closed, model.config)
            if run.kept is not None and not keep:
                run.kept.values[:, start:end] = closed.to("cpu", torch.float16).numpy()
            for part in upsampler.add(closed):
                yield PartDone(part.rect._replace(x=area.x, y=area.y + part.rect.y), part.prediction)

    def _row(self, run: _Run, row: Sequence[Rect], keep: bool) -> Iterator[tuple[Rect, Tensor]]:
        """Logits (K, h, w) of each window of a row, those of one size in batches."""
        position = 0
        while position < len(row):
            batch = [row[position]]
            seen = self._extended(row[position], run)
            if row[position] in run.known:
                position += 1
                yield batch[0], run.known.pop(batch[0])
                continue
            for rect in row[position + 1 : position + run.batches.size]:
                other = self._extended(rect, run)
                if rect in run.known or (other.w, other.h) != (seen.w, seen.h):
                    break
                batch.append(rect)
            position += len(batch)
            results = run.batches([_read(run.image, self._extended(rect, run)) for rect in batch])
            for rect, logits in zip(batch, results, strict=True):
                run.done += 1
                if keep:
                    run.known[rect] = logits.half()
                yield rect, logits

    def _empty_grid(self, height: int, width: int) -> LogitGrid | None:
        model, class_ids = self._model, self.checkpoint.classes.indices
        shape = len(class_ids), model.num_logits(height), model.num_logits(width)
        if 2 * math.prod(shape) > MAX_LOGIT_BYTES:
            return None
        values = np.empty(shape, np.float16)
        return LogitGrid(values, model.logit_stride, class_ids, height, width, model.config.align_corners)

    def _extended(self, rect: Rect, run: _Run) -> Rect:
        """A window one pixel longer, where there is one, if logits stand on pixels instead of between them."""
        more = int(self._model.config.align_corners)
        return Rect(rect.x, rect.y, min(rect.w + more, run.width - rect.x), min(rect.h + more, run.height - rect.y))

    # Generators must not yield inside of this: it is a state of the thread.
    @torch.inference_mode()
    def _logits(self, images: Sequence[RgbImage]) -> Tensor:
        return window_logits(images, self._views, self.engine, self.checkpoint.preprocessing, self.checkpoint.config)


def _size(image: RgbImage | ImageSource) -> tuple[int, int]:
    """(height, width). Raises: ValueError."""
    if not isinstance(image, np.ndarray):
        return image.height, image.width
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"image must be (H, W, 3) uint8, found {image.shape} {image.dtype}")
    return int(image.shape[0]), int(image.shape[1])


def _read(image: RgbImage | ImageSource, rect: Rect) -> RgbImage:
    return image[rect.slices] if isinstance(image, np.ndarray) else image.read(rect)
