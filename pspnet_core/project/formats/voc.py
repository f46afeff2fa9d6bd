"""Pascal VOC: ``<out>/VOCdevkit/VOC2012`` with JPEGImages, SegmentationClass and ImageSets/Segmentation.

Value = class id, in the palette of VOC; 255 is void, as there. VOC has no file for the names of classes: they are in
``classes.json`` and ``labelmap.txt``. Readers of the original challenge take 0 for the background.

Source of the palette: VOCdevkit/VOCcode/VOClabelcolormap.m.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.class_sets import class_set
from pspnet_core.errors import ClassMapError, ImageReadError
from pspnet_core.imaging.class_maps import write_png
from pspnet_core.imaging.read import open_raw
from pspnet_core.imaging.stamp import SOFTWARE
from pspnet_core.project.formats.label_map import label_map_text, read_label_map
from pspnet_core.project.formats.mask_reading import MaskReader
from pspnet_core.project.formats.source_files import SourceFiles
from pspnet_core.project.formats.writing import (
    ExportJob,
    Labelled,
    OutFile,
    Writer,
    image_file,
    image_place,
    json_file,
    text_file,
)
from pspnet_core.project.project import Item, Split

_ROOT = "VOCdevkit/VOC2012"
_LISTS = ("train", "val", "trainval", "test")


def voc_palette() -> NDArray[np.uint8]:
    """(256, 3) RGB: the bits of the index, spread over the channels from the highest bit down."""
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                palette[index, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return palette


class VocWriter(Writer):
    """A folder that torchvision's ``VOCSegmentation`` opens."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        self._palette = voc_palette()
        self._lists: dict[str, list[str]] = {name: [] for name in _LISTS}
        if any(c.index == 0 and c.name.casefold() != "background" for c in job.project.classes):
            job.remarks.add("class has the value that VOC calls the background", job.project.classes[0].name)

    def places_of(self, item: Item) -> list[str]:
        name = self.names[item.key]
        image = image_place(item, f"{_ROOT}/JPEGImages/{name}", only=".jpg")
        return [f"{_ROOT}/SegmentationClass/{name}.png", *([image] if self.job.with_images else [])]

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        places = self.places_of(labelled.item)
        picture = Image.fromarray(labelled.class_map)
        picture.putpalette(self._palette.tobytes())
        yield OutFile(places[0], lambda path: write_png(path, picture))
        if len(places) > 1:
            yield image_file(labelled, places[1], self.job.remarks)
        name, split = self.names[labelled.item.key], self.split_of(labelled.item)
        self._lists[split].append(name)
        if split != Split.TEST.value:
            self._lists["trainval"].append(name)

    def final_places(self) -> list[str]:
        lists = [f"{_ROOT}/ImageSets/Segmentation/{name}.txt" for name in _LISTS]
        return [f"{_ROOT}/classes.json", f"{_ROOT}/labelmap.txt", *lists]

    def final_files(self) -> Iterator[OutFile]:
        classes = self.job.project.classes
        yield json_file(f"{_ROOT}/classes.json", classes.to_json() | {"software": SOFTWARE})
        rows = [(c.name, tuple(int(v) for v in self._palette[c.index])) for c in classes]
        yield text_file(f"{_ROOT}/labelmap.txt", label_map_text(rows))
        for name, names in self._lists.items():
            if names:
                yield text_file(f"{_ROOT}/ImageSets/Segmentation/{name}.txt", "\n".join(names) + "\n")


class VocReader(MaskReader):
    """SegmentationClass by raw values; by colours where its files have no palette."""

    def __init__(self, files: SourceFiles) -> None:
        self.read_table(files)
        if not self.classes:
            listed = read_label_map(files)
            if listed:
                palette = {tuple(color): index for index, color in enumerate(voc_palette().tolist())}
                self.classes = [source for source, _ in listed]
                self.positions = {
                    palette.get(color, position): position for position, (_, color) in enumerate(listed) if color
                }
            else:
                self.take_classes(class_set("voc"))
        self.colors = {tuple(voc_palette()[value].tolist()): position for value, position in self.positions.items()}
        super().__init__(files, files.below("segmentationclass", (".png",)))

    def source_positions(self, name: str) -> NDArray[np.uint16]:
        """As of :class:`MaskReader`."""
        self.is_picture = _has_colors(self.files.path(name))
        return super().source_positions(name)


def _has_colors(path: Path) -> bool:
    try:
        with open_raw(path) as image:
            return image.mode in ("RGB", "RGBA")
    except ImageReadError as error:
        raise ClassMapError(error.title, error.detail, error.remedy) from error
