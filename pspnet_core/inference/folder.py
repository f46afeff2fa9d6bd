"""Predicting files and folders: one class map an image, resumable, and shared among processes. Imports no torch.

Each class map names, in its "Software" field, what it was made from (image, checkpoint, options): what is there
already is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from pspnet_core.errors import DataError, PspnetError, StorageError
from pspnet_core.imaging.class_maps import write_class_map, write_png
from pspnet_core.imaging.opening import file_version, open_source
from pspnet_core.imaging.read import IMAGE_SUFFIXES
from pspnet_core.imaging.stamp import stamp, stamped_kind
from pspnet_core.types import Prediction

if TYPE_CHECKING:
    from pspnet_core.inference.predictor import Predictor

_KIND = "prediction"


@dataclass(frozen=True, slots=True)
class ImagePredicted:
    """One image is done.

    Attributes:
        image: Which.
        output: Its class map.
        confidence: Its confidence, where that was wanted.
        seconds: It took.
        was_there: Whether it was there already, made from the same image in the same way.
        done: Images so far, those that failed included.
        total: Of this process.
        seconds_left: Until the end, as far as can be told; None before the first image.
    """

    image: Path
    output: Path
    confidence: Path | None
    seconds: float
    was_there: bool
    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ImageFailed:
    """One image could not be predicted; the others go on.

    Attributes:
        image: Which.
        error: Why.
        done: Images so far.
        total: Of this process.
    """

    image: Path
    error: PspnetError
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """How far the image at hand is, 0 to 1."""

    image: Path
    share: float
    done: int
    total: int


FolderEvent = ImagePredicted | ImageFailed | WindowProgress


def find_images(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """(image, its path below the folder that was given), in order, each image once; nothing that lies in ``out``.

    Raises:
        DataError: There is no image, or an input is missing.
    """
    found: dict[Path, Path] = {}
    written = out.resolve()
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
            if written != path.resolve():
                inside = [p for p in inside if written not in p.resolve().parents]
            found |= {p: p.relative_to(path) for p in inside if not _is_hidden(p.relative_to(path))}
        elif path.exists():
            found[path] = Path(path.name)
        else:
            raise DataError(f"There is no file or folder {path}.", remedy="Check the name.")
    if not found:
        raise DataError(
            "There is no image to predict.",
            f"Looked in {', '.join(map(str, inputs))} for {', '.join(sorted(IMAGE_SUFFIXES))}.",
            "Give images or folders that hold some.",
        )
    return list(found.items())


def output_names(images: Iterable[tuple[Path, Path]]) -> dict[Path, Path]:
    """Image -> path of its class map below the output folder: its stem, or its whole name where stems collide.

    Raises:
        DataError: Two images from different folders have the same name.
    """
    images = list(images)
    uses = Counter(relative.with_suffix(".png") for _, relative in images)
    names = {
        image: relative.with_suffix(".png") if uses[relative.with_suffix(".png")] == 1 else Path(f"{relative}.png")
        for image, relative in images
    }
    double = [name for name, count in Counter(names.values()).items() if count > 1]
    if double:
        who = ", ".join(str(image) for image, name in names.items() if name == double[0])
        raise DataError(f"Several images would be written to {double[0]}.", f"{who}.", "Predict them separately.")
    return names


def check_targets(names: Mapping[Path, Path], out: Path, confidence: bool) -> None:
    """Find everything that is in the way before the first file is written.

    Raises:
        DataError: A file to write is one of the images, or was not written by this, or was edited since; or two files
            would have the same name.
    """
    masks = [out / name for name in names.values()]
    targets = masks + ([confidence_file(mask) for mask in masks] if confidence else [])
    if double := [path for path, count in Counter(targets).items() if count > 1]:
        raise DataError(f"Several files would be written to {double[0]}.", remedy="Predict the images separately.")
    images = {_identity(image) for image in names}
    present = [target for target in targets if target.exists()]
    if own := [target for target in present if _identity(target) in images]:
        raise DataError(
            f"{own[0]} is one of the images to predict and would be overwritten.",
            f"{len(own)} class map(s) would take the place of an image. Nothing was written.",
            "Choose another folder to write to.",
        )
    if foreign := [target for target in present if not _is_ours(target)]:
        raise DataError(
            f"{len(foreign)} file(s) are in the way in {out}.",
            f"For example {foreign[0]}: it was not written by predict, or was changed since. Nothing was written.",
            "Choose an empty folder to write to.",
        )


def share_of(names: Mapping[Path, Path], rank: int, num_processes: int) -> dict[Path, Path]:
    """The images of one of several processes, every n-th: each gets large and small ones."""
    return dict(list(names.items())[rank::num_processes])


def predict_files(
    predictor: Predictor, names: Mapping[Path, Path], out: Path, confidence: bool = False, again: bool = False
) -> Iterator[FolderEvent]:
    """Predict images and write their class maps. Close the generator to cancel: each file is whole or not there.

    Args:
        predictor: Its options count as part of what was done.
        names: Image -> path of its class map below ``out``, see :func:`output_names`.
        out: Is made.
        confidence: Whether the confidence is written, too.
        again: Predict also what is there already.

    Raises:
        StorageError: A file could not be written.
    """
    begin, worked = time.monotonic(), 0
    for number, (image, name) in enumerate(names.items(), 1):
        start, target = time.monotonic(), out / name
        beside = confidence_file(target) if confidence else None
        kind = _kind_of(image, predictor.description)
        was_there = not again and all(
            file.exists() and stamped_kind(file) == kind for file in (target, beside) if file is not None
        )
        if not was_there:
            try:
                yield from _predict_file(predictor, image, (target, beside, kind), (number - 1, len(names)))
            except StorageError:
                raise
            except PspnetError as error:
                yield ImageFailed(image, error, number, len(names))
                continue
            worked += 1
        seconds_left = (time.monotonic() - begin) / worked * (len(names) - number) if worked else None
        seconds = time.monotonic() - start
        yield ImagePredicted(image, target, beside, seconds, was_there, number, len(names), seconds_left)


def _predict_file(
    predictor: Predictor, image: Path, targets: tuple[Path, Path | None, str], place: tuple[int, int]
) -> Iterator[WindowProgress]:
    from pspnet_core.inference.predictor import Predicted, WindowDone

    target, beside, kind = targets
    prediction: Prediction | None = None
    for event in predictor.predict_windows(open_source(image)):
        if isinstance(event, Predicted):
            prediction = event.prediction
        elif isinstance(event, WindowDone):
            yield WindowProgress(image, event.done / event.total, *place)
    assert prediction is not None
    if beside is not None:  # first, because the class map says that both are there
        write_png(beside, Image.fromarray(prediction.confidence), stamp(kind, prediction.confidence))
    write_class_map(target, prediction.class_map, predictor.checkpoint.classes, stamp(kind, prediction.class_map))


def confidence_file(mask: Path) -> Path:
    """Where the confidence lies beside a class map."""
    return mask.with_name(f"{mask.stem}.confidence.png")


def _kind_of(image: Path, description: str) -> str:
    version = file_version(image)
    text = f"{description} {version[:2] if version is not None else None}"  # not the inode: a copy is the same image
    return f"{_KIND}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _is_ours(path: Path) -> bool:
    kind = stamped_kind(path)
    return kind is not None and (kind == _KIND or kind.startswith(f"{_KIND}-"))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _identity(path: Path) -> tuple[int, int]:
    """The same for all names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def process_place() -> tuple[int, int, int]:
    """(rank, processes, rank on this machine), as ``torchrun`` tells; (0, 1, 0) without it."""
    rank, count, local = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if not (rank.isdecimal() and count.isdecimal()):
        return 0, 1, 0
    return int(rank), int(count), int(local) if local.isdecimal() else 0
