"""The commands that compute: ``train``, ``predict``, ``evaluate``. Building the parser imports no torch."""

from __future__ import annotations

import argparse
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.cli_output import Output, report_error
from pspnet_core.errors import DataError, PspnetError, StorageError

if TYPE_CHECKING:
    from pspnet_core.metrics import ConfusionMatrix
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.project.dataset import Dataset
    from pspnet_core.project.records import Item
    from pspnet_core.training.config import TrainConfig
    from pspnet_core.training.data import LabelledImage

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_DEFAULT_SECONDS = 300.0
_HOLD_OUT_FROM = 6  # images of train, when there is no val

_log = logging.getLogger(__name__)

_Commands = argparse._SubParsersAction  # the type of what `add_subparsers` gives has no public name


def add_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    """Add ``train``, ``predict`` and ``evaluate``; each sets ``run``: options -> exit code."""
    _add_train(commands)
    _add_predict(commands)
    _add_evaluate(commands)


def _add_train(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on labelled images",
        description="Train a network. DATA is a project, a data-set folder (images/<split>, masks/<split>, "
        "classes.json), or a VOC or Cityscapes folder. Without a val split part of train is held out to measure on.",
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--out", metavar="CKPT", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument(
        "--init",
        metavar="imagenet|none|CKPT",
        default="imagenet",
        help="initial weights: an ImageNet backbone, random ones, or a checkpoint (default: imagenet)",
    )
    parser.add_argument("--images", metavar="N", type=_positive, help="use N evenly spaced images of train")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        metavar="S",
        type=_positive_float,
        help=f"wall time for everything (default: {_DEFAULT_SECONDS:.0f})",
    )
    length.add_argument("--steps", metavar="N", type=_positive, help="number of steps; the result is then repeatable")
    parser.add_argument("--seed", metavar="N", type=_natural, default=0, help="of weights and crops (default: 0)")
    _add_common(parser)
    parser.set_defaults(run=_train)


def _add_predict(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "predict",
        help="predict class maps of images",
        description="Predict images. Each class map is written as DIR/<name>.png, 8-bit with a palette, value = class "
        "id; images of a folder keep their place in it.",
    )
    parser.add_argument("checkpoint", metavar="CKPT", type=Path)
    parser.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help="images, or folders of images")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the class maps; it is made")
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="also write DIR/<name>.confidence.png: round(255 x highest probability)",
    )
    _add_common(parser)
    parser.set_defaults(run=_predict)


def _add_evaluate(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a checkpoint on labelled images",
        description="Predict whole images of a split and report mean IoU and pixel accuracy over all their pixels.",
    )
    parser.add_argument("checkpoint", metavar="CKPT", type=Path)
    parser.add_argument("data", metavar="DATA", type=Path, help="as for train")
    parser.add_argument("--split", choices=("train", "val", "test", "none"), default="test", help="(default: test)")
    _add_common(parser)
    parser.set_defaults(run=_evaluate)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="auto|cpu|cuda[:N]|mps", type=_device, default="auto", help="(default: auto)"
    )
    parser.add_argument("--json", action="store_true", help="events and result as JSON lines on stdout")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, found {text}")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, found {text}")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, found {text}")
    return value


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be auto, cpu, cuda, cuda:N or mps, found {text}")
    return text


# --- train


def _train(options: argparse.Namespace) -> int:
    from pspnet_core.models.checkpoint import save_checkpoint
    from pspnet_core.training.events import Finished
    from pspnet_core.training.loop import fit

    output = Output(options.json)
    _check_writable(options.out)
    config = _train_config(options)
    output.text(f"Training on {len(config.train)} image(s), measuring on {len(config.holdout)}.")
    report = _Report(output)
    for event in fit(config):
        report(event)
        if isinstance(event, Finished):
            save_checkpoint(event.checkpoint, options.out)
            output.text(f"Trained {event.metrics['steps']} steps in {event.metrics['seconds']:.0f} s: {options.out}")
    return 0


def _train_config(options: argparse.Namespace) -> TrainConfig:
    from pspnet_core.models.checkpoint import load_checkpoint
    from pspnet_core.project.dataset import evenly_spaced, open_dataset
    from pspnet_core.project.records import Split
    from pspnet_core.training.config import TrainConfig

    data = open_dataset(options.data)
    items: Sequence[Item] = [*data.items[Split.TRAIN], *data.items[Split.NONE]]
    if options.images is not None:
        items = evenly_spaced(items, options.images)
    if not items:
        raise DataError(
            f"There is no labelled image to train on in {options.data}.",
            "Splits: " + ", ".join(f"{split.value} {len(found)}" for split, found in data.items.items()) + ".",
            "Expected labelled images of split train, or of none.",
        )
    train, holdout = _labelled(data, items), _labelled(data, data.items[Split.VAL])
    if not holdout:
        train, holdout = _hold_out(train)
    seconds = options.seconds if options.steps is None else None
    return TrainConfig(
        train=train,
        holdout=holdout,
        classes=data.classes,
        init=options.init if options.init in ("imagenet", "none") else load_checkpoint(Path(options.init)),
        seconds=_DEFAULT_SECONDS if seconds is None and options.steps is None else seconds,
        steps=options.steps,
        seed=options.seed,
        device=options.device,
        num_threads=_num_threads(),
        origin={"init": str(options.init), "data": data.root.name, "images": len(train)},
    )


def _hold_out(items: list[LabelledImage]) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Every sixth image to measure on, where there are at least six."""
    if len(items) < _HOLD_OUT_FROM:
        return items, []
    held = set(range(_HOLD_OUT_FROM // 2, len(items), _HOLD_OUT_FROM))
    return [i for n, i in enumerate(items) if n not in held], [i for n, i in enumerate(items) if n in held]


class _Report:
    """Events as they come: all but the signs of life as JSON, now and then a line for people."""

    _PERIOD_S = 5.0

    def __init__(self, output: Output) -> None:
        self._output = output
        self._said_s = 0.0
        self._phase = ""

    def __call__(self, event: Any) -> None:
        from pspnet_core.training.events import Evaluated, Phase, Step

        if isinstance(event, Phase):
            if event.name != self._phase:
                self._output.event(event.to_json())
            self._phase = event.name
            return
        self._output.event(event.to_json())
        if isinstance(event, Step) and event.elapsed_s - self._said_s >= self._PERIOD_S:
            self._said_s = event.elapsed_s
            self._output.text(
                f"step {event.step}/{event.num_steps}  loss {event.loss:.3f}  "
                f"{event.elapsed_s:.0f} s, {event.eta_s:.0f} s left"
            )
        elif isinstance(event, Evaluated):
            self._output.text(f"step {event.step}  held-out mean IoU {event.mean_iou:.4f}")


def _check_writable(path: Path) -> None:
    """Fail before the training, not after it; nothing is made yet. Raises: StorageError."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder.", "Expected a file name.", "Give a name such as model.safetensors.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise StorageError(
            f"{path} cannot be written.",
            f"{folder} is {'not a folder' if not folder.is_dir() else 'read-only'}.",
            "Choose another place for --out.",
        )


def _num_threads() -> int | None:
    """As many torch threads as there are free cores; what the user has set is left alone."""
    from pspnet_core.devices import free_cores

    return None if "OMP_NUM_THREADS" in os.environ else free_cores()


# --- predict


def _predict(options: argparse.Namespace) -> int:
    from pspnet_core.devices import set_threads
    from pspnet_core.inference.predictor import Predictor
    from pspnet_core.models.checkpoint import load_checkpoint

    output = Output(options.json)
    set_threads(_num_threads())
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


# --- evaluate


def _evaluate(options: argparse.Namespace) -> int:
    from pspnet_core.devices import set_threads
    from pspnet_core.models.checkpoint import load_checkpoint
    from pspnet_core.project.dataset import open_dataset
    from pspnet_core.project.records import Split

    output = Output(options.json)
    set_threads(_num_threads())
    checkpoint = load_checkpoint(options.checkpoint)
    data = open_dataset(options.data)
    items = data.items[Split(options.split)]
    if not items:
        counts = ", ".join(f"{split.value} {len(found)}" for split, found in data.items.items())
        raise DataError(
            f"There is no labelled image of split {options.split} in {options.data}.",
            f"Splits: {counts}.",
            "Choose another --split.",
        )
    names = {c.index: c.name for c in data.classes}
    if missing := [f"{i} {names[i]}" for i in data.classes.indices if i not in checkpoint.classes]:
        _log.warning("The checkpoint does not know these classes; their pixels count as wrong: %s", ", ".join(missing))
    for c in checkpoint.classes:
        if names.get(c.index, c.name) != c.name:
            _log.warning("Class %d is %r in the checkpoint and %r in the data.", c.index, c.name, names[c.index])
    matrix = _measure(checkpoint, data, items, options.device)
    result = {
        "event": "evaluated",
        "split": options.split,
        "images": len(items),
        "mean_iou": round(matrix.mean_iou, 4),
        "pixel_accuracy": round(matrix.pixel_accuracy, 4),
        "iou": {names[i]: round(v, 4) for i, v in matrix.iou_by_id.items()},
    }
    output.event(result)
    for name, value in result["iou"].items():
        output.text(f"{value:7.4f}  {name}")
    output.text(f"{matrix.mean_iou:7.4f}  mean IoU of {len(items)} image(s), split {options.split}")
    output.text(f"{matrix.pixel_accuracy:7.4f}  pixel accuracy")
    return 0


def _measure(checkpoint: Checkpoint, data: Dataset, items: Sequence[Item], device: str) -> ConfusionMatrix:
    from pspnet_core.training.data import LabelledCache
    from pspnet_core.training.evaluation import evaluate_images

    evaluation = evaluate_images(checkpoint, _labelled(data, items), LabelledCache(data.classes, 0), device)
    while True:
        try:
            next(evaluation)
        except StopIteration as stop:
            matrix: ConfusionMatrix = stop.value[0]
            if not matrix.num_pixels:
                raise DataError("No pixel of these images is labelled.", remedy="Choose another --split.") from None
            return matrix


def _labelled(data: Dataset, items: Iterable[Item]) -> list[LabelledImage]:
    from pspnet_core.training.data import LabelledImage

    return [LabelledImage(item.key, partial(data.load, item)) for item in items]
