"""Labelled images for the command line: a project, a data-set folder, or a Pascal VOC or Cityscapes folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.errors import DataError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.read import read_image
from pspnet_core.project.project import Project
from pspnet_core.project.records import Item, Split, Status
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Loader = Callable[[Item], tuple[RgbImage, ClassMap]]

# Names in the order of the ids. Source: Everingham et al., "The Pascal VOC Challenge" (2010), table 1; 0 is background.
_VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus"),
    *("car", "cat", "chair", "cow", "diningtable", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

# (labelId, name, colour) of the 19 classes that count; their order is the train id.
# Source: mcordts/cityscapesScripts, cityscapesscripts/helpers/labels.py.
_CITYSCAPES = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images by split.

    Attributes:
        root: The folder.
        classes: Complete: every id in every class map is among them.
        items: Items with a mask that are not skipped, by split, in natural order; every split is there, perhaps empty.
    """

    root: Path
    classes: ClassSet
    items: Mapping[Split, tuple[Item, ...]]
    _load: _Loader

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

    A mask of a project that cannot be used leaves its image unlabelled, which is logged as a warning. Without a class
    table all masks are read once, so that the classes are complete.

    Raises:
        ProjectError: No such folder, no image in it, or its project file is damaged.
        DataError: There are images but no mask.
    """
    path = Path(path)
    if (path / "leftImg8bit").is_dir() and (path / "gtFine").is_dir():
        return _open_cityscapes(path)
    for folder in (path, path / "VOCdevkit" / "VOC2012", path / "VOC2012"):
        if (folder / "JPEGImages").is_dir() and (folder / "SegmentationClass").is_dir():
            return _open_voc(folder)
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
    is_complete = (path / "classes.json").is_file() or (project.folder / "project.json").is_file()
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
    if not is_complete:
        for item in labelled:
            load(item)
    return _dataset(path, project.classes, labelled, load)


def _open_voc(root: Path) -> Dataset:
    items = []
    for split in (Split.TRAIN, Split.VAL, Split.TEST):
        listing = root / "ImageSets" / "Segmentation" / f"{split.value}.txt"
        if not listing.is_file():
            continue
        for name in listing.read_text(encoding="utf-8").split():
            image, mask = root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png"
            if image.is_file() and mask.is_file():
                items.append(Item(f"JPEGImages/{name}.jpg", image, 0, split, mask))
    classes = ClassSet(ClassDef(index, name, _voc_color(index)) for index, name in enumerate(_VOC_NAMES))
    return _dataset(root, classes, items, _loader(None))


def _open_cityscapes(root: Path) -> Dataset:
    items = []
    for split in (Split.TRAIN, Split.VAL):  # the masks of test are not public
        for image in sorted((root / "leftImg8bit" / split.value).glob("*/*_leftImg8bit.png")):
            stem = image.name.removesuffix("_leftImg8bit.png")
            mask = root / "gtFine" / split.value / image.parent.name / f"{stem}_gtFine_labelIds.png"
            if mask.is_file():
                items.append(Item(image.relative_to(root).as_posix(), image, 0, split, mask))
    classes = ClassSet(ClassDef(index, name, color) for index, (_, name, color) in enumerate(_CITYSCAPES))
    table = np.full(256, UNLABELLED, np.uint8)
    for index, (label_id, _, _) in enumerate(_CITYSCAPES):
        table[label_id] = index
    return _dataset(root, classes, items, _loader(table))


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
        image, class_map = read_image(item.image_path), read_class_map(item.found_mask)
        if class_map.shape != image.shape[:2]:
            raise DataError(
                f"The mask {item.found_mask.name} does not fit its image.",
                f"{item.found_mask} has {class_map.shape[1]} × {class_map.shape[0]} pixels, "
                f"the image {image.shape[1]} × {image.shape[0]}.",
                "Unpack the data set again.",
            )
        return image, class_map if table is None else table[class_map]

    return load


def _voc_color(index: int) -> tuple[int, int, int]:
    """Colour of the Pascal VOC palette: the bits of the id, dealt to the channels from the highest bit down.

    Source: VOCdevkit, VOCcode/VOClabelcolormap.m.
    """
    r, g, b = (sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)) for channel in range(3))
    return r, g, b
