"""Predicting a folder of images with one version, in the torch lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class FolderRequest:
    """What is to be predicted.

    Attributes:
        checkpoint: File of the version.
        images: Folder of images.
        out: Folder for the class maps.
        confidence: Whether the confidence is written, too.
        flip: Whether mirrored images are averaged, which takes twice the time.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    checkpoint: Path
    images: Path
    out: Path
    confidence: bool = False
    flip: bool = False
    device: str = "auto"


def predict_folder(request: FolderRequest) -> Iterator[Any]:
    """Yield the events of :func:`pspnet_core.inference.folder.predict_files`. What is there already stays.

    Raises:
        DataError: There is no image, or a file is in the way.
        CheckpointError: The version's file is missing or broken.
        StorageError: A file could not be written.
    """
    from pspnet_core.inference.folder import check_targets, find_images, output_names, predict_files
    from pspnet_core.inference.predictor import Predictor
    from pspnet_core.inference.views import Views
    from pspnet_core.models.checkpoint import load_checkpoint

    names = output_names(find_images([request.images], request.out))
    yield None
    check_targets(names, request.out, request.confidence)
    yield None
    predictor = Predictor(load_checkpoint(request.checkpoint), request.device, views=Views(flip=request.flip))
    yield from predict_files(predictor, names, request.out, request.confidence)
