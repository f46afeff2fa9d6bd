"""The command ``evaluate``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pspnet_core.cli_output import Output
from pspnet_core.errors import DataError

if TYPE_CHECKING:
    from pspnet_core.metrics import ConfusionMatrix
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.project.dataset import Dataset
    from pspnet_core.project.records import Item

_log = logging.getLogger(__name__)


def evaluate(options: argparse.Namespace) -> int:
    """Measure a checkpoint on a split of labelled images; the exit code."""
    from pspnet_core.models.checkpoint import load_checkpoint
    from pspnet_core.project.dataset import open_dataset
    from pspnet_core.project.records import Split

    output = Output(options.json)
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
    from pspnet_core.training.data import LabelledCache, labelled_images
    from pspnet_core.training.evaluation import evaluate_images

    evaluation = evaluate_images(checkpoint, labelled_images(data, items), LabelledCache(data.classes, 0), device)
    while True:
        try:
            next(evaluation)
        except StopIteration as stop:
            matrix: ConfusionMatrix = stop.value[0]
            if not matrix.num_pixels:
                raise DataError("No pixel of these images is labelled.", remedy="Choose another --split.") from None
            return matrix
