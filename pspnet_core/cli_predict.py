"""The command ``predict``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.cli_output import Output, report_error
from pspnet_core.errors import DataError, PspnetError, StorageError

if TYPE_CHECKING:
    from pspnet_core.models.checkpoint import Checkpoint


def predict(options: argparse.Namespace) -> int:
    """Predict images and write their class maps; the exit code."""
    from pspnet_core.inference.predictor import Predictor
    from pspnet_core.models.checkpoint import load_checkpoint

    output = Output(options.json)
    names = _output_names(_find_images(options.inputs))
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

    start = time.monotonic()
    prediction = predictor.predict(read_image(image_path))
    checkpoint: Checkpoint = predictor.checkpoint
    row: dict[str, Any] = {"event": "predicted", "input": str(image_path), "output": str(target)}
    write_class_map(target, prediction.class_map, checkpoint.classes)
    if confidence:
        beside = target.with_name(f"{target.stem}.confidence.png")
        write_png(beside, Image.fromarray(prediction.confidence))
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
