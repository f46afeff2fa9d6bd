"""What all export formats share: what they are given, and the files that they give back."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from pspnet_core.atomic import atomic_writer, storage_error, write_bytes, write_json
from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.read import ImageInfo, read_image
from pspnet_core.imaging.stamp import SOFTWARE
from pspnet_core.project.formats.names import flat_names
from pspnet_core.project.formats.report import Agreement, Remarks
from pspnet_core.project.formats.shapes import Shape, ShapeKind, painted, regions_of, shape_of
from pspnet_core.project.project import Item, Project, Split
from pspnet_core.types import ClassMap

_JPEG_QUALITY = 95
_AS_IT_IS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_PILLOW = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What a person may choose.

    Attributes:
        splits: Only items of these; all when None.
        with_empty: Also items without a labelled pixel.
        with_images: Copy the images; None: where the format's readers expect them.
        shapes: Polygons or masks, where the format has both.
        tolerance_px: How far outlines may be from the pixels; 0 keeps every pixel.
        dry_run: Work everything out and write nothing.
    """

    splits: frozenset[Split] | None = None
    with_empty: bool = False
    with_images: bool | None = None
    shapes: ShapeKind = "auto"
    tolerance_px: float = 0.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One item on its way out.

    Attributes:
        item: It.
        class_map: (H, W) uint8, displayed orientation.
        info: Of its image.
    """

    item: Item
    class_map: ClassMap
    info: ImageInfo


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file to be written.

    Attributes:
        place: Relative to the folder of the export, with "/".
        write: Writes it to the path that it is given, atomically.
    """

    place: str
    write: Callable[[Path], None]


@dataclass(slots=True, eq=False)
class ExportJob:
    """What is exported and how; shared by the writer and what drives it.

    Attributes:
        project: Its classes may grow while masks are read.
        items: Those that are exported.
        options: What was chosen.
        with_images: Whether images are copied.
        remarks: What could not be written as it was.
        agreement: What readers of polygons get, held against what there was.
    """

    project: Project
    items: Sequence[Item]
    options: ExportOptions
    with_images: bool
    remarks: Remarks = field(default_factory=Remarks)
    agreement: Agreement = field(default_factory=Agreement)


class Writer(ABC):
    """Turns items into files, one item after the other.

    Args:
        job: What is exported.

    Attributes:
        has_stamps: Its files tell by themselves that they are of this program; else a manifest lists them.
    """

    has_stamps = False

    def __init__(self, job: ExportJob) -> None:
        self.job = job
        self.names = flat_names(job.items)

    @abstractmethod
    def places_of(self, item: Item) -> list[str]:
        """Where the files of an item will lie."""

    @abstractmethod
    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        """The files of an item; the first one holds its annotation, where each item has one."""

    def final_places(self) -> list[str]:
        """Where the files that tell of all items will lie."""
        return ["classes.json"]

    def final_files(self) -> Iterator[OutFile]:
        """They; asked for once, after all items."""
        yield self.class_table()

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what it holds. Called in any case."""

    def class_table(self, **more: Any) -> OutFile:
        """``classes.json``."""
        table = self.job.project.classes.to_json() | {"software": SOFTWARE} | more
        return OutFile("classes.json", lambda path: write_json(path, table))

    def split_of(self, item: Item) -> str:
        """Name of the folder for an item's split; without one it is trained on."""
        return Split.TRAIN.value if item.split is Split.NONE else item.split.value

    def shapes_of(self, labelled: Labelled, kind: ShapeKind | None = None, bridged: bool = False) -> list[Shape]:
        """Connected regions as polygons and masks, largest first; compared with the class map.

        Args:
            labelled: Whose.
            kind: Instead of the chosen one.
            bridged: Whether a hole is to be remarked on.
        """
        options, key = self.job.options, labelled.item.key
        shapes = []
        for region in regions_of(labelled.class_map):
            shape = shape_of(region, kind or options.shapes, options.tolerance_px)
            if shape is None:
                self.job.remarks.add("regions were smaller than the tolerance and are left out", key)
            else:
                shapes.append(shape)
        height, width = labelled.class_map.shape
        num_changed = self.job.agreement.add(labelled.class_map, painted(shapes, height, width))
        if num_changed:
            self.job.remarks.add("pixels are not the same in the polygons", key, num_changed)
        return shapes

    def color_of(self, class_id: int) -> tuple[int, int, int]:
        """Colour of a class."""
        return self.job.project.classes[class_id].color

    def name_of(self, class_id: int) -> str:
        """Name of a class."""
        return self.job.project.classes[class_id].name


def text_file(place: str, text: str) -> OutFile:
    """A file of text in UTF-8."""
    return OutFile(place, lambda path: write_bytes(path, text.encode()))


def json_file(place: str, value: Any) -> OutFile:
    """A file of JSON."""
    return OutFile(place, lambda path: write_bytes(path, (json.dumps(value, ensure_ascii=False) + "\n").encode()))


def image_place(item: Item, place: str, only: str = "") -> str:
    """Where a copy of an image goes.

    Args:
        item: Whose image.
        place: Without suffix.
        only: The suffix that the format demands; where there is none, one that every program reads.
    """
    suffix = PurePosixPath(item.image_path.name).suffix.lower()
    if only:
        return place + only
    return place + (suffix if suffix in _AS_IT_IS and not item.page else ".png")


def image_file(labelled: Labelled, place: str, remarks: Remarks) -> OutFile:
    """A copy of an image: of its bytes where they show the same to every program, else decoded and written anew.

    Args:
        labelled: Whose image.
        place: As :func:`image_place` gave it.
        remarks: Told of what changes.
    """
    item, suffix = labelled.item, PurePosixPath(place).suffix
    own = item.image_path.suffix.lower()
    is_same_kind = _PILLOW.get(own) == _PILLOW[suffix] and not item.page
    if is_same_kind and labelled.info.orientation == 1:
        return OutFile(place, lambda path: _copy(item.image_path, path))
    if _PILLOW[suffix] == "JPEG":
        remarks.add("images were written as JPEG anew, which changes their pixels a little", item.key)
    if labelled.info.bits > 8:
        remarks.add("images of more than 8 bits were written with 8", item.key)

    def write(path: Path) -> None:
        image = Image.fromarray(read_image(item.image_path, item.page))
        options = {"quality": _JPEG_QUALITY} if _PILLOW[suffix] == "JPEG" else {}
        with atomic_writer(path) as stream:
            image.save(stream, _PILLOW[suffix], **options)

    return OutFile(place, write)


def _copy(source: Path, target: Path) -> None:
    try:
        stream = open(source, "rb")  # noqa: SIM115 - closed below; an error in it is not one of writing
    except OSError as error:
        raise ImageReadError(f"{source.name} could not be read.", f"{source}: {error.strerror}.") from error
    with stream, atomic_writer(target) as out:
        try:
            shutil.copyfileobj(stream, out, 1 << 20)
        except OSError as error:
            raise storage_error(target, error) from error
