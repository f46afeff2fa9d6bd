"""The command ``evaluate``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pspnet_core.cli_output import Output
from pspnet_core.errors import DataError

if TYPE_CHECKING:
    from pspnet_core.boundary import BoundaryScore
    from pspnet_core.inference.calibration import Reliability
    from pspnet_core.metrics import ConfusionMatrix
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.project.dataset import Dataset
    from pspnet_core.project.records import Item

_log = logging.getLogger(__name__)


class _Scores(NamedTuple):
    """What was counted over all images."""

    matrix: ConfusionMatrix
    boundary: BoundaryScore
    reliability: Reliability


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
    scores = _measure(checkpoint, data, items, options.device)
    matrix, boundary, reliability = scores
    output.event({"event": "evaluated", "split": options.split, "images": len(items)} | _results(scores, names))
    _show(output, matrix, boundary, names)
    output.text(f"{matrix.mean_iou:7.4f}  mean IoU of {len(items)} image(s), split {options.split}")
    for value, text in (
        (matrix.mean_iou_absent_zero, "mean IoU with absent classes as 0"),
        (matrix.frequency_weighted_iou, "frequency-weighted IoU"),
        (matrix.pixel_accuracy, "pixel accuracy"),
        (matrix.mean_class_accuracy, "mean class accuracy"),
        (matrix.mean_dice, "mean Dice"),
        (boundary.mean_f1, f"mean boundary F1 within {boundary.tolerance:.2%} of the diagonal"),
        (reliability.expected_calibration_error, "expected calibration error of the confidence (0 is perfect)"),
    ):
        output.text(f"{value:7.4f}  {text}")
    return 0


def _results(scores: _Scores, names: Mapping[int, str]) -> dict[str, Any]:
    """Every score by its name; per class those that occur; None where there is nothing to measure."""
    matrix, boundary, reliability = scores
    means = {
        "mean_iou": matrix.mean_iou,
        "mean_iou_absent_zero": matrix.mean_iou_absent_zero,
        "frequency_weighted_iou": matrix.frequency_weighted_iou,
        "pixel_accuracy": matrix.pixel_accuracy,
        "mean_class_accuracy": matrix.mean_class_accuracy,
        "mean_dice": matrix.mean_dice,
        "mean_boundary_f1": boundary.mean_f1,
        "expected_calibration_error": reliability.expected_calibration_error,
    }
    per_class = {
        "iou": matrix.iou_by_id,
        "class_accuracy": matrix.class_accuracy_by_id,
        "dice": matrix.dice_by_id,
        "boundary_f1": boundary.f1_by_id,
    }
    return {
        **{key: None if math.isnan(value) else round(value, 4) for key, value in means.items()},
        "boundary_tolerance": boundary.tolerance,
        **{key: {names[i]: round(v, 4) for i, v in values.items()} for key, values in per_class.items()},
    }


def _show(output: Output, matrix: ConfusionMatrix, boundary: BoundaryScore, names: Mapping[int, str]) -> None:
    """A table of the classes that occur: IoU, accuracy, Dice, boundary F1."""
    accuracy, dice, edges = matrix.class_accuracy_by_id, matrix.dice_by_id, boundary.f1_by_id
    output.text("    IoU  accuracy    Dice  boundary")
    for i, iou in matrix.iou_by_id.items():
        edge = f"{edges[i]:8.4f}" if i in edges else "       –"
        output.text(f"{iou:7.4f}   {accuracy[i]:7.4f} {dice[i]:7.4f}  {edge}  {names[i]}")


def _measure(checkpoint: Checkpoint, data: Dataset, items: Sequence[Item], device: str) -> _Scores:
    from pspnet_core.boundary import BoundaryScore
    from pspnet_core.inference.calibration import Reliability
    from pspnet_core.training.data import LabelledCache, labelled_images
    from pspnet_core.training.evaluation import evaluate_images

    boundary, reliability = BoundaryScore(data.classes.indices), Reliability()
    cache = LabelledCache(data.classes, 0)
    images = labelled_images(data, items)
    evaluation = evaluate_images(checkpoint, images, cache, device, boundary=boundary, reliability=reliability)
    while True:
        try:
            next(evaluation)
        except StopIteration as stop:
            matrix: ConfusionMatrix = stop.value[0]
            if not matrix.num_pixels:
                raise DataError("No pixel of these images is labelled.", remedy="Choose another --split.") from None
            return _Scores(matrix, boundary, reliability)
