"""Labelled images, checked and kept in memory within a budget. Needs no torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError, TrainingError
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, RgbImage

if TYPE_CHECKING:
    from pspnet_core.project.dataset import Dataset
    from pspnet_core.project.records import Item

CACHE_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image with a class map, which may be partial (255 = unlabelled).

    Attributes:
        key: Names it in messages.
        load: Reads (H, W, 3) uint8 RGB and (H, W) uint8 class ids; the caller does not change them.
        check: Looks at its files before training begins, without decoding them, and raises what :attr:`load` would.
        load_accepted: Reads (H, W) bool: the pixels whose class was accepted from a model; None where none was.
    """

    key: str
    load: Callable[[], tuple[RgbImage, ClassMap]]
    check: Callable[[], None] | None = None
    load_accepted: Callable[[], BoolMask] | None = None


class LabelledCache:
    """Loads labelled images, checks them, and keeps the most recently used ones.

    Args:
        classes: The ids that class maps may hold, beside 255.
        budget_bytes: Of pixels kept.
    """

    def __init__(self, classes: ClassSet, budget_bytes: int = CACHE_BYTES) -> None:
        self.classes = classes
        self._budget = budget_bytes
        self._kept: OrderedDict[LabelledImage, tuple[RgbImage, ClassMap]] = OrderedDict()
        self._accepted: dict[LabelledImage, BoolMask | None] = {}  # of those kept, as far as it was asked for
        self._bytes = 0

    def get(self, item: LabelledImage) -> tuple[RgbImage, ClassMap]:
        """Image and class map of ``item``.

        Raises:
            TrainingError: It could not be read, its parts differ in size, or its class map holds unknown ids.
        """
        if item in self._kept:
            self._kept.move_to_end(item)
            return self._kept[item]
        pair = self._load(item)
        self._kept[item] = pair
        self._bytes += _size(pair)
        while self._bytes > self._budget and len(self._kept) > 1:
            gone, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest) + _size_of_mask(self._accepted.pop(gone, None))
        return pair

    def accepted(self, item: LabelledImage) -> BoolMask | None:
        """(H, W) bool: the pixels of ``item`` whose class was accepted from a model; None where there are none.

        Raises:
            TrainingError: It could not be read, or does not fit the image.
        """
        _, class_map = self.get(item)
        if item not in self._accepted:
            mask = self._accepted[item] = _load_accepted(item, class_map.shape)
            self._bytes += _size_of_mask(mask)
        return self._accepted[item]

    def _load(self, item: LabelledImage) -> tuple[RgbImage, ClassMap]:
        try:
            image, class_map = item.load()
        except (PspnetError, OSError) as error:
            raise unreadable(item.key, error) from error
        if image.shape[:2] != class_map.shape:
            raise TrainingError(
                f"The class map of {item.key} does not fit its image.",
                f"Class map (height, width) {class_map.shape}, image {image.shape[:2]}.",
                "Repair or remove one of them, then train again.",
            )
        present = np.flatnonzero(np.bincount(class_map.reshape(-1), minlength=256))
        unknown = sorted(set(present.tolist()) - set(self.classes.indices) - {UNLABELLED})
        if unknown:
            raise TrainingError(
                f"The class map of {item.key} holds ids that no class has: {unknown}.",
                f"Known ids: {list(self.classes.indices)}; 255 means unlabelled.",
                "Add these classes, or correct the class map.",
            )
        return image, class_map


def labelled_images(dataset: Dataset, items: Iterable[Item]) -> list[LabelledImage]:
    """Items of a data set, to be read when they are needed."""
    return [
        LabelledImage(item.key, partial(dataset.load, item), partial(_look_at, item.image_path, item.page))
        for item in items
    ]


def _look_at(path: Path, page: int) -> None:
    """Raises: ImageReadError when it is not there, or is no image."""
    from pspnet_core.imaging.read import read_info

    read_info(path, page)


def unreadable(key: str, error: Exception) -> TrainingError:
    """The error that names the image which ``error`` is about."""
    return TrainingError(
        f"{key} could not be read.",
        str(error) or type(error).__name__,
        "Repair this image or skip it (Ctrl+K in the studio), then train again.",
    )


def _load_accepted(item: LabelledImage, shape: tuple[int, ...]) -> BoolMask | None:
    if item.load_accepted is None:
        return None
    try:
        mask = item.load_accepted()
    except (PspnetError, OSError) as error:
        raise unreadable(item.key, error) from error
    if mask.shape != shape:
        raise unreadable(item.key, ValueError(f"Accepted pixels (height, width) {mask.shape}, class map {shape}."))
    return mask if mask.any() else None


def _size_of_mask(mask: BoolMask | None) -> int:
    return 0 if mask is None else mask.nbytes


def _size(pair: tuple[RgbImage, ClassMap]) -> int:
    return pair[0].nbytes + pair[1].nbytes
