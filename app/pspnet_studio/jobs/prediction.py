"""Predicting one image with one version, in the torch lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet_core.imaging.opening import file_version
from pspnet_core.types import Prediction, Rect, RgbImage

if TYPE_CHECKING:
    from pspnet_core.imaging.source import FileVersion, ImageSource
    from pspnet_core.inference.logit_store import LogitStore
    from pspnet_core.inference.logits import LogitGrid
    from pspnet_core.inference.predictor import Predictor

LEAST_COARSE_PX, COARSE_PX = 512, 960
"""Of the longest side of the picture that the first answer comes from.

On aerial photos of 3 megapixels 640 px agreed with the fine answer in 0.86 of the pixels, 1024 px in 0.91; they took 80
and 180 ms."""


def coarse_px(height: int, width: int) -> int:
    """Longest side of the picture that the first answer for an image comes from: half of the image's, within bounds."""
    return min(COARSE_PX, max(LEAST_COARSE_PX, max(height, width) // 2))


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What is to be predicted.

    Attributes:
        path: Checkpoint of the version.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        preview: The image, reduced to any size; None where a first answer is not wanted or there already.
        source: The image itself; None while it is still on its way: then there is only the first answer.
        first: What is seen of it.
        into: The first answer, which the parts are written to.
        image_path: File of the image, whose logits are kept on the disk.
        page: Of the file.
        store: Keeps them; None for not at all.
        image_version: Of the image's file before its pixels were read.
        checkpoint_version: Of the version's file.
    """

    path: Path
    height: int
    width: int
    preview: RgbImage | None = None
    source: ImageSource | None = None
    first: Rect | None = None
    into: Prediction | None = None
    image_path: Path | None = None
    page: int = 0
    store: LogitStore | None = None
    image_version: FileVersion | None = None
    checkpoint_version: FileVersion | None = None

    def now(
        self, preview: RgbImage | None, source: ImageSource | None, first: Rect | None, into: Prediction | None
    ) -> Request:
        """The same, with what there is of the image by now."""
        return replace(self, preview=preview, source=source, first=first, into=into)

    def store_key(self) -> tuple[object, ...]:
        """What changes with either file."""
        image = str(self.image_path), self.page, self.image_version
        return str(self.path), self.checkpoint_version, *image


@dataclass(frozen=True, slots=True, eq=False)
class Coarse:
    """The first answer: from a reduced picture, at the size of the image."""

    prediction: Prediction


@dataclass(frozen=True, slots=True, eq=False)
class PartWritten:
    """A part of the first answer was replaced by the fine one.

    Attributes:
        rect: Where.
        whole: The prediction that holds both.
    """

    rect: Rect
    whole: Prediction


class PredictionEngine:
    """Keeps the predictor of the version that was used last; lives in the torch lane only.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._path: Path | None = None
        self._version: FileVersion | None = None
        self._predictor: Predictor | None = None

    def prepare(self, path: Path) -> Iterator[Any]:
        """Load the version in ``path`` before the first image is there.

        Raises:
            CheckpointError: The file is missing or broken.
        """
        yield from self._load(path)
        assert self._predictor is not None
        self._predictor.predict_whole(np.zeros((COARSE_PX * 3 // 4, COARSE_PX, 3), np.uint8))  # the first one is slow
        yield None

    def predict(self, request: Request) -> Iterator[Any]:
        """Yield the first answer (``Coarse``), progress, ``PartWritten`` into it and, last, ``Predicted``.

        The image may be read by pieces; the prediction is kept as a whole: two bytes a pixel.

        Raises:
            CheckpointError: The version's file is missing or broken.
        """
        yield from self._load(request.path)
        predictor = self._predictor
        assert predictor is not None
        known = self._known(request)
        if known is not None:
            yield from _told(predictor.finish(known, request.into), request.into)
            return
        into = request.into
        if request.preview is not None and into is None:
            into = self._coarse(request, request.preview)
            yield Coarse(into)
        if request.source is not None:
            yield from _told(predictor.predict_windows(request.source, first=request.first, into=into), into)

    def _load(self, path: Path) -> Iterator[Any]:
        version = file_version(path)
        is_same = self._path == path and version in (self._version, None)
        if is_same and self._predictor is not None:
            return
        from pspnet_core.devices import resolve_device
        from pspnet_core.inference.engines import remembered_engine
        from pspnet_core.inference.predictor import Predictor
        from pspnet_core.models.checkpoint import load_checkpoint

        self._predictor = None
        checkpoint = load_checkpoint(path)
        yield None
        engine = remembered_engine(checkpoint.model.eval(), resolve_device(self._device))
        yield None
        self._predictor = Predictor(checkpoint, device=self._device, engine=engine)
        self._path, self._version = path, version

    def _known(self, request: Request) -> LogitGrid | None:
        if request.store is None or request.source is None:
            return None
        known = request.store.get(request.store_key())
        assert self._predictor is not None
        ids = self._predictor.checkpoint.classes.indices
        fits = known is not None and (known.height, known.width, known.class_ids) == (
            request.height,
            request.width,
            ids,
        )
        return known if fits else None

    def _coarse(self, request: Request, preview: RgbImage) -> Prediction:
        from pspnet_core.imaging.cv import cv2
        from pspnet_core.inference.live_sharpen import coarse

        assert self._predictor is not None
        height, width = preview.shape[:2]
        scale = coarse_px(request.height, request.width) / max(height, width)
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            preview = np.asarray(cv2.resize(preview, size, interpolation=cv2.INTER_AREA))
        small = self._predictor.predict_whole(preview)
        large = coarse(small.class_map, small.confidence, request.height, request.width)
        return replace(large, cell_px=1.0)  # the fine answer is written into it, part by part


def _told(events: Iterator[Any], into: Prediction | None) -> Iterator[Any]:
    """The events without the pixels, which are in ``into`` already."""
    from pspnet_core.inference.upsample import PartDone

    for event in events:
        if isinstance(event, PartDone):
            yield PartWritten(event.rect, into) if into is not None else None
        else:
            yield event


def keep_logits(request: Request, logits: LogitGrid) -> None:
    """Write the logits of an image that was predicted to the disk; for the io lane. Raises: StorageError."""
    assert request.store is not None
    request.store.put(request.store_key(), logits)
