"""Predicting a folder of images with one version: looked for in the lane of files, computed in the torch lane."""

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


@dataclass(frozen=True, slots=True)
class FolderWork:
    """What was found.

    Attributes:
        names: Image -> path of its class map below the folder for them.
        is_much: Whether it pays to look for the fastest way to compute first.
    """

    names: dict[Path, Path]
    is_much: bool


def look_at_folder(request: FolderRequest) -> Iterator[FolderWork | None]:
    """Find the images, and what is in the way of their class maps; in the lane of files. The last event is the work.

    Raises:
        DataError: There is no image, or a file is in the way.
    """
    from pspnet_core.inference.folder import check_steps, find_steps, is_much, output_names

    names = output_names((yield from find_steps([request.images], request.out)))
    yield None
    yield from check_steps(names, request.out, request.confidence)
    yield FolderWork(names, is_much(names))


def predict_folder(request: FolderRequest, work: FolderWork) -> Iterator[Any]:
    """Yield the events of :func:`pspnet_core.inference.folder.predict_files`. What is there already stays.

    Raises:
        CheckpointError: The version's file is missing or broken.
        StorageError: A file could not be written.
    """
    from pspnet_core.devices import resolve_device
    from pspnet_core.inference.engines import engine_steps
    from pspnet_core.inference.folder import predict_files
    from pspnet_core.inference.predictor import Predictor
    from pspnet_core.inference.views import Views
    from pspnet_core.models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(request.checkpoint)
    yield None
    engine = None
    if work.is_much:
        for found in engine_steps(checkpoint.model.eval(), resolve_device(request.device)):
            engine = found
            yield None
    predictor = Predictor(checkpoint, request.device, views=Views(flip=request.flip), engine=engine)
    yield None
    yield from predict_files(predictor, work.names, request.out, request.confidence)
