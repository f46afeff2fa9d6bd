"""A project made of a data set, whose images are corrected one after the other, and scores on its test images."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet_core.project.dataset import Dataset
from pspnet_core.project.project import Project
from pspnet_core.project.records import Item, Split, Status
from pspnet_core.training.evidence import Counts, Evidence, compare, count
from pspnet_core.types import Provenance, Rect

if TYPE_CHECKING:
    from pspnet_core.models.checkpoint import Checkpoint


def make_project(dataset: Dataset, folder: Path, train: Sequence[Item], with_val: bool = True) -> Project:
    """Copies of these training images without a mask, of the test images without, and of those of val with theirs.

    A folder that holds a project is opened as it is.
    """
    if not (folder / ".pspnet-studio").is_dir():
        val = dataset.items[Split.VAL] if with_val else ()
        for item in (*train, *dataset.items[Split.TEST], *val):
            _copy(item.image_path, folder / item.key)
        for item in val:
            assert item.found_mask is not None, "val images have masks"
            _copy(item.found_mask, folder / item.found_mask.relative_to(dataset.root))
    project = Project.open(folder)
    project.set_classes(dataset.classes)
    project.save()
    return project


def correct(project: Project, dataset: Dataset, item: Item) -> None:
    """Paint the whole mask of an image by hand and mark it as done, with the prediction in sight if there is one."""
    _, class_map = dataset.load(item)
    provenance = np.where(class_map == 255, Provenance.UNTOUCHED, Provenance.PAINTED).astype(np.uint8)
    project.save_annotation(project.item(item.key), class_map, provenance)
    has_version = (project.folder / "versions" / "current.json").is_file()
    project.set_state(item.key, status=Status.DONE, prediction_shown=has_version)
    project.save()


def score(checkpoint: Checkpoint, dataset: Dataset, items: Sequence[Item]) -> dict[str, Counts]:
    """Pixels found, true and predicted of each class, by image."""
    from pspnet_core.inference import Predictor

    predictor, counts = Predictor(checkpoint), {}
    for item in items:
        image, truth = dataset.load(item)
        counts[item.key] = counts_of(dataset, truth, predictor.predict(image).class_map)
    return counts


def counts_of(dataset: Dataset, truth: Any, prediction: Any) -> Counts:
    """The same of one image, from (H, W) uint8 class ids."""
    return count(truth, prediction, Rect(0, 0, truth.shape[1], truth.shape[0]), dataset.classes.indices)


def mean_iou(counts: Mapping[str, Counts]) -> float:
    """Of all images together; classes that are neither true nor predicted do not count."""
    iou = class_iou(counts)
    return round(float(np.nanmean(iou)), 4)


def class_iou(counts: Mapping[str, Counts]) -> Any:
    """(C,) float64 IoU of each class; NaN where it is neither true nor predicted."""
    found, true, predicted = np.sum(list(counts.values()), axis=0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return found / (true + predicted - found)


def difference(dataset: Dataset, old: Mapping[str, Counts], new: Mapping[str, Counts]) -> Evidence:
    """The paired comparison of two versions on the same test images."""
    blocks = [{(key, 0, 0): counts for key, counts in side.items()} for side in (old, new)]
    evidence = compare(*blocks, dataset.classes.indices)
    assert evidence is not None, "test images have labels"
    return evidence


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
