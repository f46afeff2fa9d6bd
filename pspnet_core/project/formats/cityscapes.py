"""Cityscapes: ``<out>/leftImg8bit/<split>/<city>/...`` and ``<out>/gtFine/<split>/<city>/...``.

``_gtFine_labelIds.png`` holds the data set's own ids (0 = unlabelled) where every class has one of its names; else the
ids of the project (255 = unlabelled). ``classes.json`` says which. ``_gtFine_color.png`` is to look at. A name there
has three parts between "_": city, sequence, frame.

Source of ids, names and colours: cityscapesscripts/helpers/labels.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.imaging.class_maps import write_class_map, write_png
from pspnet_core.project.formats.mask_reading import MaskReader
from pspnet_core.project.formats.names import flat_names
from pspnet_core.project.formats.reading import Entry
from pspnet_core.project.formats.source_files import SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer, image_file, image_place
from pspnet_core.project.project import Item
from pspnet_core.types import UNLABELLED

_CITY = "studio"
_FRAME = "000000"
_LABELS = "_gtFine_labelIds.png"
_NO_CLASS = 4  # ids 0 to 3 are unlabelled, ego vehicle, rectification border, out of roi

_TABLE: Sequence[tuple[int, str, tuple[int, int, int]]] = (
    (1, "ego vehicle", (0, 0, 0)), (2, "rectification border", (0, 0, 0)), (3, "out of roi", (0, 0, 0)),
    (4, "static", (0, 0, 0)), (5, "dynamic", (111, 74, 0)), (6, "ground", (81, 0, 81)), (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)), (9, "parking", (250, 170, 160)), (10, "rail track", (230, 150, 140)),
    (11, "building", (70, 70, 70)), (12, "wall", (102, 102, 156)), (13, "fence", (190, 153, 153)),
    (14, "guard rail", (180, 165, 180)), (15, "bridge", (150, 100, 100)), (16, "tunnel", (150, 120, 90)),
    (17, "pole", (153, 153, 153)), (18, "polegroup", (153, 153, 153)), (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)), (21, "vegetation", (107, 142, 35)), (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)), (24, "person", (220, 20, 60)), (25, "rider", (255, 0, 0)), (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)), (28, "bus", (0, 60, 100)), (29, "caravan", (0, 0, 90)), (30, "trailer", (0, 0, 110)),
    (31, "train", (0, 80, 100)), (32, "motorcycle", (0, 0, 230)), (33, "bicycle", (119, 11, 32)),
)  # fmt: skip
_IDS = {name: number for number, name, _ in _TABLE}


class CityscapesWriter(Writer):
    """A folder that torchvision's ``Cityscapes`` opens."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        self.names = flat_names(job.items, "-")
        classes = job.project.classes
        self._is_official = bool(len(classes)) and all(c.name.casefold() in _IDS for c in classes)
        self._official = {c.index: _IDS[c.name.casefold()] for c in classes} if self._is_official else {}
        if not self._is_official:
            job.remarks.add("ids are those of the project, as not all classes have names of Cityscapes", "classes.json")

    def places_of(self, item: Item) -> list[str]:
        base = f"{self.split_of(item)}/{_CITY}/{_CITY}_{self.names[item.key]}_{_FRAME}"
        image = image_place(item, f"leftImg8bit/{base}_leftImg8bit", only=".png")
        places = [f"gtFine/{base}{_LABELS}", f"gtFine/{base}_gtFine_color.png"]
        return [*places, *([image] if self.job.with_images else [])]

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        places, class_map = self.places_of(labelled.item), labelled.class_map
        classes = self.job.project.classes
        if self._is_official:
            table = np.zeros(256, np.uint8)
            for class_id, number in self._official.items():
                table[class_id] = number
            unknown = set(np.unique(class_map).tolist()) - set(self._official) - {UNLABELLED}
            if unknown:
                self.job.remarks.add("pixels of a class that came up late are left out", labelled.item.key)
            ids = table[class_map]
        else:
            ids = class_map
        colors = Image.fromarray(classes.lut()[class_map])
        yield OutFile(places[0], partial(_write_ids, ids))
        yield OutFile(places[1], lambda path: write_png(path, colors))
        if len(places) > 2:
            yield image_file(labelled, places[2], self.job.remarks)

    def final_files(self) -> Iterator[OutFile]:
        if not self._is_official:
            yield self.class_table(unlabelled=UNLABELLED)
            return
        classes = self.job.project.classes
        rows = [{"index": self._official[c.index], "name": c.name, "color": list(c.color)} for c in classes]
        yield self.class_table(classes=rows, next_index=0, reserved=[], unlabelled=0)


class CityscapesReader(MaskReader):
    """``_labelIds.png`` by the table of an export, else by that of the data set."""

    def __init__(self, files: SourceFiles) -> None:
        self.read_table(files)
        if not self.classes:
            self.take_classes(
                ClassSet(ClassDef(number, name, color) for number, name, color in _TABLE[_NO_CLASS - 1 :])
            )
            self.unlabelled = frozenset({UNLABELLED, *range(_NO_CLASS)})
        found = {path: path.rpartition("/")[2][: -len(_LABELS)] for path in files.with_suffix(_LABELS.lower())}
        super().__init__(files, found)

    def entries(self) -> Iterator[Entry]:
        for entry in super().entries():
            image = f"{entry.name}_leftImg8bit"
            is_ours = entry.name.startswith(f"{_CITY}_")
            name = entry.name.removeprefix(f"{_CITY}_").removesuffix(f"_{_FRAME}") if is_ours else image
            yield Entry(name, None, entry.handle, image)


def _write_ids(ids: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], path: Path) -> None:
    write_class_map(path, ids, None)
