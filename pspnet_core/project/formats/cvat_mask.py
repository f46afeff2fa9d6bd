"""CVAT "Segmentation mask 1.1": labelmap.txt, SegmentationClass in colours, ImageSets/Segmentation/default.txt.

Pixels are told apart by colour alone. So each class gets a colour that no other has, its own one where that is free;
what is unlabelled is black, the entry "background", which stands first. Names as in labelmap.txt.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import numpy as np
from PIL import Image

from pspnet_core.classes import Color
from pspnet_core.imaging.class_maps import ids_of, write_png
from pspnet_core.project.formats.label_map import FILE, label_map_text, plain_name, read_label_map
from pspnet_core.project.formats.mask_reading import MaskReader
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer, image_file, image_place, text_file
from pspnet_core.project.project import Item

_BACKGROUND, _UNLABELLED = "background", "unlabelled"
_BLACK: Color = (0, 0, 0)


class CvatMaskWriter(Writer):
    """To be packed as .zip and uploaded to a task with the same image names."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        self._colors: dict[int, Color] = {}
        self._written: list[str] = []
        for c in job.project.classes:
            self._take_color(c.index)

    def places_of(self, item: Item) -> list[str]:
        name = self.names[item.key]
        image = image_place(item, f"images/{name}")
        return [f"SegmentationClass/{name}.png", *([image] if self.job.with_images else [])]

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        table = np.zeros((256, 3), np.uint8)
        for class_id in ids_of(labelled.class_map):
            self._take_color(class_id)
        for class_id, color in self._colors.items():
            table[class_id] = color
        picture = Image.fromarray(table[labelled.class_map])
        places = self.places_of(labelled.item)
        yield OutFile(places[0], lambda path: write_png(path, picture))
        if len(places) > 1:
            yield image_file(labelled, places[1], self.job.remarks)
        self._written.append(self.names[labelled.item.key])

    def final_places(self) -> list[str]:
        return [FILE, "ImageSets/Segmentation/default.txt"]

    def final_files(self) -> Iterator[OutFile]:
        names = {self.name_of(class_id).casefold() for class_id in self._colors}
        first = _UNLABELLED if _BACKGROUND in names else _BACKGROUND
        rows = [(first, _BLACK)]
        rows += [(self.name_of(class_id), color) for class_id, color in sorted(self._colors.items())]
        yield text_file(FILE, label_map_text(rows))
        yield text_file("ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in self._written))

    def _take_color(self, class_id: int) -> None:
        if class_id in self._colors:
            return
        taken = {_BLACK, *self._colors.values()}
        color, number = self.color_of(class_id), 0
        if color in taken:
            self.job.remarks.add("classes got another colour: theirs was taken or black", self.name_of(class_id))
        while color in taken:
            number += 1
            red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.8, 0.9)
            color = round(255 * red), round(255 * green), round(255 * blue)
        if plain_name(self.name_of(class_id)) != self.name_of(class_id):
            self.job.remarks.add("names hold a colon or the like, which became _", self.name_of(class_id))
        self._colors[class_id] = color


class CvatMaskReader(MaskReader):
    """Colours by labelmap.txt; black is unlabelled."""

    is_picture = True

    def __init__(self, files: SourceFiles) -> None:
        listed = [(source, color) for source, color in read_label_map(files) if color is not None]
        if not listed:
            raise SourceError(
                f"There is no {FILE} in {files.source.name}.",
                "Without it nobody knows which colour is which class.",
                "Export from CVAT as 'Segmentation mask 1.1', and import the folder or the .zip.",
            )
        self.classes = [source for source, color in listed if color != _BLACK]
        self.positions = {}
        self.colors = {}
        for position, color in enumerate(color for _, color in listed if color != _BLACK):
            self.colors.setdefault(color, position)
        if not self.classes:
            raise SourceError(f"{FILE} lists no class.", "There is nothing but the background in it.")
        super().__init__(files, files.below("segmentationclass", (".png",)))
