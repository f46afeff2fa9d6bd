"""Predicting files and folders: one class map an image, resumable, and shared among processes. Imports no torch.

Each class map names, in its "Software" field, what it was made from (image, checkpoint, options): what is there
already is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from pspnet_core.errors import DataError, PspnetError, StorageError
from pspnet_core.imaging.class_maps import write_class_map, write_png
from pspnet_core.imaging.opening import file_version, open_source
from pspnet_core.imaging.read import IMAGE_SUFFIXES
from pspnet_core.imaging.stamp import claimed_kind, stamp, stamped_kind
from pspnet_core.types import Prediction

if TYPE_CHECKING:
    from pspnet_core.inference.predictor import Predictor

_T = TypeVar("_T")
_KIND = "prediction"
_MUCH_FILES, _MUCH_BYTES = 16, 64_000_000


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
    """See :func:`find_steps`."""
    return _result(find_steps(inputs, out))


def find_steps(inputs: Sequence[Path], out: Path) -> Generator[None, None, list[tuple[Path, Path]]]:
    """(image, its path below the folder that was given), in order, each image once; yields after each file.

    Left out are a folder ``out`` below the one that was given, and in ``out`` all that was written by this.

    Raises:
        DataError: There is no image, or an input is missing.
    """
    found: dict[Path, Path] = {}
    written = out.resolve()
    for path in inputs:
        if path.is_dir():
            is_below = path.resolve() in written.parents
            inside: list[Path] = []
            for file in path.rglob("*"):
                yield
                if file.suffix.lower() not in IMAGE_SUFFIXES or _is_hidden(file.relative_to(path)):
                    continue
                if file.is_file() and not (_lies_in(file, written) if is_below else _is_result(file, written)):
                    inside.append(file)
            found |= {file: file.relative_to(path) for file in sorted(inside)}
        elif path.exists():
            yield
            if not _is_result(path, written):
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


def check_targets(names: Mapping[Path, Path], out: Path, confidence: bool, own: Iterable[Path] | None = None) -> None:
    """See :func:`check_steps`."""
    _result(check_steps(names, out, confidence, own))


def check_steps(
    names: Mapping[Path, Path], out: Path, confidence: bool, own: Iterable[Path] | None = None
) -> Generator[None, None, None]:
    """Find everything that is in the way before the first file is written; yields after each file.

    Args:
        names: Of all images, see :func:`output_names`.
        out: Where to.
        confidence: Whether the confidence is written, too.
        own: The images of this process, where there are several: for these it looks at what is there.

    Raises:
        DataError: A file to write is one of the images, or was not written by this, or was edited since; or two files
            would have the same name.
    """
    targets = _targets(names.values(), out, confidence)
    if double := [path for path, count in Counter(targets).items() if count > 1]:
        raise DataError(f"Several files would be written to {double[0]}.", remedy="Predict the images separately.")
    images = set()
    for image in names:
        with suppress(FileNotFoundError):  # gone by now: it cannot be overwritten, and will be told as not readable
            images.add(_identity(image))
        yield
    replaced: list[Path] = []
    foreign: list[Path] = []
    for target in _targets((names[image] for image in own), out, confidence) if own is not None else targets:
        yield
        if not target.exists():
            continue
        if _identity(target) in images:
            replaced.append(target)
        elif not replaced and not _is_ours(target):  # which takes the longest
            foreign.append(target)
    if replaced:
        raise DataError(
            f"{replaced[0]} is one of the images to predict and would be overwritten.",
            f"{len(replaced)} class map(s) would take the place of an image. Nothing was written.",
            "Choose another folder to write to.",
        )
    if foreign:
        raise DataError(
            f"{len(foreign)} file(s) are in the way in {out}.",
            f"For example {foreign[0]}: it was not written by predict, or was changed since. Nothing was written.",
            "Choose an empty folder to write to.",
        )


def is_much(images: Iterable[Path]) -> bool:
    """Whether it pays to look for the fastest way to compute before images are predicted."""
    versions = [file_version(image) for image in images]
    return len(versions) >= _MUCH_FILES or sum(version[1] for version in versions if version) >= _MUCH_BYTES


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
        failure: PspnetError | None = None
        was_there = False
        try:
            was_there = not again and all(stamped_kind(file) == kind for file in (target, beside) if file is not None)
            if not was_there:
                yield from _predict_file(predictor, image, (target, beside, kind), (number - 1, len(names)))
        except StorageError:
            raise
        except PspnetError as error:
            failure = error
        except (MemoryError, RuntimeError) as error:
            failure = _no_memory(error, predictor, image)
            if failure is None:
                raise
        if failure is not None:
            yield ImageFailed(image, _without_frames(failure), number, len(names))
            continue
        worked += not was_there
        seconds_left = (time.monotonic() - begin) / worked * (len(names) - number) if worked else None
        seconds = time.monotonic() - start
        yield ImagePredicted(image, target, beside, seconds, was_there, number, len(names), seconds_left)


def _predict_file(
    predictor: Predictor, image: Path, targets: tuple[Path, Path | None, str], place: tuple[int, int]
) -> Iterator[WindowProgress]:
    from pspnet_core.inference.predictor import Predicted, WindowDone

    target, beside, kind = targets
    files = [file for file in (target, beside) if file is not None]
    _check_still_ours(files)
    prediction: Prediction | None = None
    for event in predictor.predict_windows(open_source(image)):
        if isinstance(event, Predicted):
            prediction = event.prediction
        elif isinstance(event, WindowDone):
            yield WindowProgress(image, event.done / event.total, *place)
    assert prediction is not None
    _check_still_ours(files)  # a large image takes long
    if beside is not None:  # first, because the class map says that both are there
        write_png(beside, Image.fromarray(prediction.confidence), stamp(kind, prediction.confidence))
    write_class_map(target, prediction.class_map, predictor.checkpoint.classes, stamp(kind, prediction.class_map))


def _check_still_ours(files: Iterable[Path]) -> None:
    """Raises: DataError (what is there by now is not to be overwritten)."""
    for file in files:
        if file.exists() and not _is_ours(file):
            raise DataError(
                f"{file} is in the way.",
                "It was not written by predict, or was changed since. It was left as it is.",
                "Move it away, or choose another folder to write to, and predict again.",
            )


def _no_memory(error: MemoryError | RuntimeError, predictor: Predictor, image: Path) -> PspnetError | None:
    from pspnet_core.devices import is_out_of_memory, out_of_memory, resolve_device

    if not is_out_of_memory(error):
        return None
    device = resolve_device("cpu") if isinstance(error, MemoryError) else predictor.engine.device
    return out_of_memory(device, f"predicting {image.name}")


def _without_frames(error: PspnetError) -> PspnetError:
    """An error that may be kept: its traceback would keep the pixels of its image in memory."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def confidence_file(mask: Path) -> Path:
    """Where the confidence lies beside a class map."""
    return mask.with_name(f"{mask.stem}.confidence.png")


def _kind_of(image: Path, description: str) -> str:
    version = file_version(image)
    text = f"{description} {version[:2] if version is not None else None}"  # not the inode: a copy is the same image
    return f"{_KIND}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _is_ours(path: Path) -> bool:
    return _is_kind(stamped_kind(path))


def _targets(names: Iterable[Path], out: Path, confidence: bool) -> list[Path]:
    masks = [out / name for name in names]
    return masks + ([confidence_file(mask) for mask in masks] if confidence else [])


def _lies_in(path: Path, folder: Path) -> bool:
    return folder in path.resolve().parents


def _is_result(path: Path, out: Path) -> bool:
    """Whether it was written by this into ``out``, whoever may have changed it since."""
    return path.suffix.lower() == ".png" and _lies_in(path, out) and _is_kind(claimed_kind(path))


def _is_kind(kind: str | None) -> bool:
    return kind is not None and (kind == _KIND or kind.startswith(f"{_KIND}-"))


def _result(steps: Generator[None, None, _T]) -> _T:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            value: _T = stop.value
            return value


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
