"""The command ``predict``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.cli_output import Output, report_error
from pspnet_core.errors import DataError, PspnetError, StorageError

if TYPE_CHECKING:
    from pspnet_core.models.checkpoint import Checkpoint

_KIND = "prediction"  # on the stamp of its files


def predict(options: argparse.Namespace) -> int:
    """Predict images and write their class maps; the exit code."""
    from pspnet_core.inference.predictor import Predictor
    from pspnet_core.models.checkpoint import load_checkpoint

    output = Output(options.json)
    names = _output_names(_find_images(options.inputs))
    _check_targets(names, options.out, options.confidence)
    predictor = Predictor(load_checkpoint(options.checkpoint), options.device)
    num_failed = 0
    for image_path, name in names.items():
        try:
            row = _predict_file(predictor, image_path, options.out / name, options.confidence)
        except PspnetError as error:
            if isinstance(error, StorageError):
                raise
            report_error(error)
            num_failed += 1
            continue
        output.event(row)
        output.text(f"{image_path} -> {row['output']}")
    output.event({"event": "finished", "predicted": len(names) - num_failed, "failed": num_failed})
    if num_failed:
        raise DataError(
            f"{num_failed} of {len(names)} image(s) could not be predicted.", "They are named above.", "Repair them."
        )
    return 0


def _predict_file(predictor: Any, image_path: Path, target: Path, confidence: bool) -> dict[str, Any]:
    from PIL import Image

    from pspnet_core.imaging.class_maps import write_class_map, write_png
    from pspnet_core.imaging.read import read_image
    from pspnet_core.imaging.stamp import stamp

    start = time.monotonic()
    prediction = predictor.predict(read_image(image_path))
    checkpoint: Checkpoint = predictor.checkpoint
    row: dict[str, Any] = {"event": "predicted", "input": str(image_path), "output": str(target)}
    write_class_map(target, prediction.class_map, checkpoint.classes, stamp(_KIND, prediction.class_map))
    if confidence:
        beside = _confidence_file(target)
        write_png(beside, Image.fromarray(prediction.confidence), stamp(_KIND, prediction.confidence))
        row["confidence"] = str(beside)
    return row | {"seconds": round(time.monotonic() - start, 3)}


def _find_images(inputs: Sequence[Path]) -> list[tuple[Path, Path]]:
    """(image, its path below the folder that was given), in order, each image once. Raises: DataError."""
    from pspnet_core.imaging.read import IMAGE_SUFFIXES

    found: dict[Path, Path] = {}
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
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


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _output_names(images: Iterable[tuple[Path, Path]]) -> dict[Path, Path]:
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


def _check_targets(names: Mapping[Path, Path], out: Path, confidence: bool) -> None:
    """Find everything that is in the way before the first file is written.

    Raises:
        DataError: A file to write is one of the images, or was not written by this command, or was edited since; or
            two files would have the same name.
    """
    from pspnet_core.imaging.stamp import is_stamped

    masks = [out / name for name in names.values()]
    targets = masks + ([_confidence_file(mask) for mask in masks] if confidence else [])
    if double := [path for path, count in Counter(targets).items() if count > 1]:
        raise DataError(f"Several files would be written to {double[0]}.", remedy="Predict the images separately.")
    images = {_identity(image) for image in names}
    present = [target for target in targets if target.exists()]
    if own := [target for target in present if _identity(target) in images]:
        raise DataError(
            f"{own[0]} is one of the images to predict and would be overwritten.",
            f"{len(own)} class map(s) would take the place of an image. Nothing was written.",
            "Choose another folder for --out.",
        )
    if foreign := [target for target in present if not is_stamped(target, _KIND)]:
        raise DataError(
            f"{len(foreign)} file(s) are in the way in {out}.",
            f"For example {foreign[0]}: it was not written by predict, or was changed since. Nothing was written.",
            "Choose an empty folder for --out.",
        )


def _identity(path: Path) -> tuple[int, int]:
    """The same for all names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _confidence_file(mask: Path) -> Path:
    return mask.with_name(f"{mask.stem}.confidence.png")
