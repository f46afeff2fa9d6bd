"""Class maps as PNG files in the layout of a data set, in grey, with a palette, or as pictures in colour.

``<out>/masks/<split>/<path>.png`` (``color/`` for pictures) and ``<out>/classes.json``: with the images in
``<out>/images/<split>/<path>`` the folder can be trained on. Split is train, val, test or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from pspnet_core.imaging.class_maps import ids_of, write_class_map, write_png
from pspnet_core.imaging.stamp import stamp
from pspnet_core.project.formats.mask_reading import MaskReader
from pspnet_core.project.formats.names import place_of
from pspnet_core.project.formats.source_files import SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer
from pspnet_core.project.project import Item

KIND = "export"  # on the stamp of its files


class PngWriter(Writer):
    """``png``, ``png-palette`` and ``color``."""

    has_stamps = True
    format_id = "png"

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        folder = "color" if self.format_id == "color" else "masks"
        self._places = mirrored_places(job.items, folder, ".png")
        self._told_of: set[int] = set()

    def places_of(self, item: Item) -> list[str]:
        return [self._places[item.key]]

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        class_map, classes = labelled.class_map, self.job.project.classes
        if self.format_id == "color":
            self._check_colors(labelled)
            colors = classes.lut()[class_map]
            picture = Image.fromarray(colors)
            yield OutFile(self._places[labelled.item.key], lambda path: write_png(path, picture, stamp(KIND, colors)))
            return
        shown = classes if self.format_id == "png-palette" else None

        def write(path: Path) -> None:
            write_class_map(path, class_map, shown, stamp(KIND, class_map))

        yield OutFile(self._places[labelled.item.key], write)

    def _check_colors(self, labelled: Labelled) -> None:
        counts = Counter(c.color for c in self.job.project.classes)
        for class_id in set(ids_of(labelled.class_map)) - self._told_of:
            self._told_of.add(class_id)
            color = self.color_of(class_id)
            if counts[color] > 1 or color == (0, 0, 0):
                what = "unlabelled" if color == (0, 0, 0) else "another class"
                self.job.remarks.add(f"classes have the colour of {what}: a reader cannot tell", self.name_of(class_id))


class PaletteWriter(PngWriter):
    """``png-palette``."""

    format_id = "png-palette"


class ColorWriter(PngWriter):
    """``color``."""

    format_id = "color"


class PngReader(MaskReader):
    """Grey or palette PNG: value = id."""

    def __init__(self, files: SourceFiles) -> None:
        self.read_table(files)
        super().__init__(files, files.below("masks", (".png", ".tif", ".tiff", ".bmp")))


class ColorReader(MaskReader):
    """Pictures in the colours of a table."""

    is_picture = True

    def __init__(self, files: SourceFiles) -> None:
        self.read_table(files, is_needed=True)
        super().__init__(files, files.below("color", (".png",)))


def mirrored_places(items: Sequence[Item], folder: str, suffix: str) -> dict[str, str]:
    """A place for each item; images that differ only in their suffix keep it, so that each finds its own mask."""
    places = {item.key: place_of(item) for item in items}
    shared = Counter(place.with_suffix("") for place in places.values())
    short = {
        key: f"{folder}/{place}{suffix}"
        if shared[place.with_suffix("")] > 1
        else f"{folder}/{place.with_suffix('')}{suffix}"
        for key, place in places.items()
    }
    if len(set(short.values())) == len(items):
        return short
    return {key: f"{folder}/{place}{suffix}" for key, place in places.items()}
