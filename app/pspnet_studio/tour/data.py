"""The copy of a data set that the tour works on, and the truth that only the hand knows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.errors import DataError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.read import IMAGE_SUFFIXES
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.types import UNLABELLED, ClassMap


@dataclass(frozen=True, slots=True)
class TourData:
    """Where things are.

    Attributes:
        root: The copy: images only, masks hidden.
        names: Class names, in the order in which they are typed; class id = row.
        label_keys: Items to correct, in order.
        test_keys: Items that are scored.
    """

    root: Path
    names: tuple[str, ...]
    label_keys: tuple[str, ...]
    test_keys: tuple[str, ...]
    truth_folder: Path
    ids: tuple[int, ...]

    def truth(self, key: str) -> ClassMap:
        """True class map of an item, in the ids of the copy. Raises: ClassMapError."""
        relative = Path(key).relative_to("images").with_suffix(".png")
        stored = read_class_map(self.truth_folder / relative)
        table = np.full(256, UNLABELLED, np.uint8)
        for row, index in enumerate(self.ids):
            table[index] = row
        mapped: ClassMap = table[stored]
        return mapped


def copy_without_masks(source: Path, folder: Path, num_images: int) -> TourData:
    """Copy the images of a data-set folder and hide its masks.

    Args:
        source: ``images/<split>``, ``masks/<split>`` (or ``.truth/<split>``) and ``classes.json``.
        folder: Is made; holds the copy.
        num_images: How many images of ``train`` are corrected, evenly spaced.

    Raises:
        DataError: It is not such a folder.
    """
    truth_folder = source / ".truth" if (source / ".truth").is_dir() else source / "masks"
    table = source / "classes.json"
    if not (source / "images").is_dir() or not truth_folder.is_dir() or not table.is_file():
        raise DataError(
            f"{source} is not a data-set folder.",
            "The tour needs images/<split>, masks/<split> and classes.json, because it corrects from true masks.",
        )
    import json

    classes = ClassSet.from_json(json.loads(table.read_text(encoding="utf-8")))
    shutil.copytree(source / "images", folder / "images")
    found = {split: _keys(folder, split) for split in ("train", "test")}
    if not found["train"] or not found["test"]:
        raise DataError(f"{source} has no train or no test images.", "Expected images/train and images/test.")
    train = found["train"]
    num_images = min(num_images, len(train))
    picks = [train[round(i * (len(train) - 1) / max(1, num_images - 1))] for i in range(num_images)]
    return TourData(folder, classes.names, tuple(picks), tuple(found["test"]), truth_folder, classes.indices)


def majority_miou(data: TourData, keys: tuple[str, ...]) -> float:
    """mIoU on ``keys`` of the best constant answer: what there is before any model."""
    counts = np.zeros(256, np.int64)
    truths = [data.truth(key) for key in keys]
    for truth in truths:
        counts += np.bincount(truth.ravel(), minlength=256)
    constant = int(counts[:UNLABELLED].argmax())
    matrix = ConfusionMatrix(tuple(range(len(data.names))))
    for truth in truths:
        matrix.update(truth, np.full_like(truth, constant))
    return float(matrix.mean_iou)


def _keys(root: Path, split: str) -> list[str]:
    folder = root / "images" / split
    if not folder.is_dir():
        return []
    return sorted(p.relative_to(root).as_posix() for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
