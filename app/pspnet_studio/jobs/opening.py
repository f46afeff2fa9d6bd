"""Reading one item in the background: its picture and its two planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.read import read_image
from pspnet_core.project.project import Item, Notice, Project
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, ProvenanceMap, RgbImage


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture with its annotation.

    Attributes:
        item: Whose it is.
        image: (H, W, 3) uint8 RGB in displayed orientation.
        class_plane: Class ids, 255 = unlabelled.
        provenance_plane: Provenance values.
        notices: What a person should know (a mask of another size, new classes, ...).
    """

    item: Item
    image: RgbImage
    class_plane: PlaneStore
    provenance_plane: PlaneStore
    notices: tuple[Notice, ...]


def open_item(project: Project, item: Item, unsaved: tuple[ClassMap, ProvenanceMap] | None = None) -> Iterator[Opened]:
    """Read an item; yields once.

    Args:
        project: Whose item it is.
        item: What to read.
        unsaved: Its planes where they are newer than the disk; they are copied.

    Raises:
        ImageReadError: The picture cannot be read.
        ClassMapError: Our own mask is corrupt; nothing is replaced by an empty one.
    """
    image = read_image(item.image_path, item.page)
    height, width = image.shape[:2]
    notices: tuple[Notice, ...] = ()
    if unsaved is not None and unsaved[0].shape == (height, width):
        class_map, provenance = unsaved
    else:
        annotation = project.load_annotation(item, width, height)
        class_map, provenance, notices = annotation.class_map, annotation.provenance, tuple(annotation.notices)
    yield Opened(
        item,
        image,
        PlaneStore.from_array(class_map, UNLABELLED),
        PlaneStore.from_array(provenance, Provenance.UNTOUCHED),
        notices,
    )
