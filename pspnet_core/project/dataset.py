"""Labelled images for the command line: a project, a data-set folder, or a Pascal VOC or Cityscapes folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pspnet_core.class_sets import class_set
from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassMapError, DataError, ImageReadError
from pspnet_core.imaging.class_maps import ids_of, read_class_map
from pspnet_core.imaging.read import read_image, read_info
from pspnet_core.project.class_ids import read_class_table
from pspnet_core.project.discovery import natural_key
from pspnet_core.project.project import Project
from pspnet_core.project.records import Item, Split, Status
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Loader = Callable[[Item], tuple[RgbImage, ClassMap]]

# Where the archive of each year unpacks to. Source: torchvision.datasets.voc.
_VOC_FOLDERS = {
    "2012": Path("VOCdevkit", "VOC2012"),
    "2011": Path("TrainVal", "VOCdevkit", "VOC2011"),
} | {year: Path("VOCdevkit", f"VOC{year}") for year in ("2010", "2009", "2008", "2007")}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images by split.

    Attributes:
        root: The folder.
        classes: Complete: every id in every class map is among them.
        items: Items with a mask that are not skipped, by split, in natural order; every split is there, perhaps empty.
        project: Id of the project that the folder is; None when it is none.
    """

    root: Path
    classes: ClassSet
    items: Mapping[Split, tuple[Item, ...]]
    _load: _Loader
    project: str | None = None

    def load(self, item: Item) -> tuple[RgbImage, ClassMap]:
        """Image (H, W, 3) uint8 RGB and class map (H, W) uint8 of an item, 255 = unlabelled; owned by the caller.

        Raises:
            ImageReadError: The image cannot be read.
            ClassMapError: The mask is damaged.
            DataError: The mask does not fit the image (VOC and Cityscapes).
        """
        return self._load(item)


def open_dataset(path: Path) -> Dataset:
    """Open a folder of labelled images.

    A mask of a project that cannot be used leaves its image unlabelled, which is logged as a warning. All masks are
    read once for the ids that they hold.

    Raises:
        ProjectError: No such folder, no image in it, or its project file is damaged.
        DataError: There are images but no mask, or a mask holds an id that the class table of the data set lacks.
    """
    path = Path(os.path.abspath(path))
    if (path / "leftImg8bit").is_dir() and (path / "gtFine").is_dir():
        return _open_cityscapes(path)
    for year, place in _VOC_FOLDERS.items():
        for root in (path, *path.parents[: len(place.parts)]):
            folder = root / place
            if folder.is_relative_to(path) and (folder / "SegmentationClass").is_dir():
                return _open_voc(root, folder, year)
    return _open_project(path)


def evenly_spaced(items: Sequence[_T], num: int) -> list[_T]:
    """``num`` items at even distances, the first one included; all when there are no more than that.

    Raises:
        ValueError: ``num`` is below 1.
    """
    if num < 1:
        raise ValueError(f"num must be at least 1, got {num}")
    if num >= len(items):
        return list(items)
    return [items[position * len(items) // num] for position in range(num)]


def _open_project(path: Path) -> Dataset:
    project = Project.open(path)
    is_new = not (project.folder / "project.json").is_file()
    has_table = is_new and read_class_table(path)[0] is not None
    for notice in project.notices:
        _log.warning("%s %s", notice.title, notice.detail)

    def load(item: Item) -> tuple[RgbImage, ClassMap]:
        image = read_image(item.image_path, item.page)
        annotation = project.load_annotation(item, image.shape[1], image.shape[0])
        for notice in annotation.notices:
            _log.warning("%s: %s %s", item.key, notice.title, notice.detail)
        return image, annotation.class_map

    labelled = [
        item
        for item in project.items
        if project.has_annotation(item) and project.state(item.key).status is not Status.SKIPPED
    ]
    classes, unknown = project.classes, {}
    for item in labelled:
        try:
            info = read_info(item.image_path, item.page)
            class_map = project.load_annotation(item, info.width, info.height).class_map
        except (ImageReadError, ClassMapError):
            continue  # told when it is loaded, and not at all where it is not needed
        if ids := set(ids_of(class_map)).difference(classes.indices):
            unknown[item] = ids
    if unknown and has_table:
        raise _unknown_ids(unknown, "classes.json")
    found = _dataset(path, project.classes, labelled, load)
    return found if is_new else replace(found, project=project.uuid)


def _open_voc(root: Path, folder: Path, year: str) -> Dataset:
    from torchvision.datasets import VOCSegmentation

    items = []
    for split in (Split.TRAIN, Split.VAL, Split.TEST):
        if not (folder / "ImageSets" / "Segmentation" / f"{split.value}.txt").is_file():
            continue
        if split is Split.TEST and year != "2007":
            continue  # the masks of the other years are not public
        with _listing(folder):
            found = VOCSegmentation(root, year, split.value)
        items += _items(folder, split, found.images, found.masks)
    classes = read_class_table(folder)[0] or class_set("voc")  # an export of this program has a table of its own
    unknown = {}
    for item in items:
        assert item.found_mask is not None
        try:
            ids = set(ids_of(read_class_map(item.found_mask))).difference(classes.indices)
        except ClassMapError:
            continue  # told when it is loaded
        if ids:
            unknown[item] = ids
    if unknown:
        raise _unknown_ids(unknown, "Pascal VOC")
    return _dataset(folder, classes, items, _loader(None))


def _open_cityscapes(root: Path) -> Dataset:
    from torchvision.datasets import Cityscapes

    items = []
    for split in (Split.TRAIN, Split.VAL):  # the masks of test are not public
        # Where one of these is missing torchvision would look for archives, and unpack them.
        if (root / "leftImg8bit" / split.value).is_dir() and (root / "gtFine" / split.value).is_dir():
            with _listing(root):
                found = Cityscapes(root, split.value, target_type="semantic")
            items += _items(root, split, found.images, [masks[0] for masks in found.targets])
    items.sort(key=lambda item: natural_key(item.key))
    table = np.full(256, UNLABELLED, np.uint8)
    own = read_class_table(root)[0]
    if own is not None:  # an export of this program
        table[list(own.indices)] = own.indices
        return _dataset(root, own, items, _loader(table))
    for c in Cityscapes.classes:
        if 0 <= c.train_id < UNLABELLED:
            table[c.id] = c.train_id
    return _dataset(root, class_set("cityscapes"), items, _loader(table))


@contextmanager
def _listing(folder: Path) -> Iterator[None]:
    """Say in words why torchvision could not list a folder. Raises: DataError."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The files of {folder.name} could not be listed.",
            f"{error}.",
            "Expected the folders as their archives unpack them, and nothing else among them.",
        ) from error


def _items(root: Path, split: Split, images: Sequence[str], masks: Sequence[str]) -> list[Item]:
    """Items of those pairs that are there, as torchvision lists them."""
    pairs = [(Path(image), Path(mask)) for image, mask in zip(images, masks, strict=True)]
    return [
        Item(image.relative_to(root).as_posix(), image, 0, split, mask)
        for image, mask in pairs
        if image.is_file() and mask.is_file()
    ]


def _unknown_ids(unknown: Mapping[Item, Set[int]], table: str) -> DataError:
    item, ids = next(iter(unknown.items()))
    place = item.found_mask or item.image_path
    return DataError(
        f"{len(unknown)} mask(s) hold ids that {table} does not list.",
        f"For example {place}: {', '.join(map(str, sorted(ids)))}.",
        "Check that these are class maps; then add the ids to the table of classes, or make them 255 (unlabelled).",
    )


def _dataset(root: Path, classes: ClassSet, items: Sequence[Item], load: _Loader) -> Dataset:
    if not items:
        raise DataError(
            f"There is no labelled image in {root.name or root}.",
            f"{root} holds no mask that belongs to an image.",
            "Expected: images/<split>/<stem>.jpg with masks/<split>/<stem>.png, or a project with painted images.",
        )
    return Dataset(root, classes, {split: tuple(i for i in items if i.split is split) for split in Split}, load)


def _loader(table: NDArray[np.uint8] | None) -> _Loader:
    """Reads an item and its mask; ``table`` turns stored ids into class ids."""

    def load(item: Item) -> tuple[RgbImage, ClassMap]:
        assert item.found_mask is not None
        image, class_map = read_image(item.image_path, item.page), read_class_map(item.found_mask)
        if class_map.shape != image.shape[:2]:
            raise DataError(
                f"The mask {item.found_mask.name} does not fit its image.",
                f"{item.found_mask} has {class_map.shape[1]} × {class_map.shape[0]} pixels, "
                f"the image {image.shape[1]} × {image.shape[0]}.",
                "Unpack the data set again.",
            )
        return image, class_map if table is None else table[class_map]

    return load
