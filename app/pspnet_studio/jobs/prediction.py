"""Predicting one image with one version, in the torch lane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pspnet_core.imaging.source import ImageSource
    from pspnet_core.inference.predictor import Predictor


class PredictionEngine:
    """Keeps the predictor of the version that was used last; lives in the torch lane only.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._path: Path | None = None
        self._predictor: Predictor | None = None

    def predict(self, checkpoint_path: Path, image: ImageSource) -> Iterator[Any]:
        """Yield progress and, last, ``Predicted``.

        The image may be read by pieces; the prediction is kept as a whole: two bytes a pixel.

        Raises:
            CheckpointError: The version's file is missing or broken.
        """
        if self._path != checkpoint_path or self._predictor is None:
            from pspnet_core.inference.predictor import Predictor
            from pspnet_core.models.checkpoint import load_checkpoint

            self._predictor = None
            self._predictor = Predictor(load_checkpoint(checkpoint_path), device=self._device)
            self._path = checkpoint_path
        yield from self._predictor.predict_windows(image)
