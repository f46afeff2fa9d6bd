"""The two planes of an item on disk, and masks that were found beside the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassMapError, ImageReadError
from pspnet_core.imaging.class_maps import read_class_map, write_class_map
from pspnet_core.imaging.read import oriented, read_info
from pspnet_core.project.records import Annotation, Item, Notice
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, ProvenanceMap


def mask_path(folder: Path, key: str) -> Path:
    """Where the class map of an item lies in a project's own folder."""
    return folder / "masks" / f"{key}.png"


def own_masks(folder: Path) -> list[Path]:
    """All class maps in a project's own folder, also of items that are not there at the moment."""
    return sorted(path for path in (folder / "masks").rglob("*.png") if path.is_file())


def provenance_path(folder: Path, key: str) -> Path:
    """Where the provenance of an item lies in a project's own folder."""
    return folder / "provenance" / f"{key}.png"


def read_own(folder: Path, item: Item, width: int, height: int) -> Annotation | None:
    """The saved planes of an item as they lie in their files; None when none were saved.

    They are :func:`settled` after the journals had a look at them.

    Raises:
        ClassMapError: A file is damaged or does not fit the image. It is left as it is; there is never an
            empty mask in its place.
    """
    path = mask_path(folder, item.key)
    if not path.exists():
        return None
    class_map = read_class_map(path)
    _check_size(path, class_map, item, width, height, "the mask that was painted for it")
    path = provenance_path(folder, item.key)
    if path.exists():
        provenance = read_class_map(path)
        _check_size(path, provenance, item, width, height, "the record of who labelled which pixel")
        if int(provenance.max()) > max(Provenance):
            raise ClassMapError(
                f"The provenance of {item.key} is damaged.",
                f"{path} holds the value {provenance.max()}; 0 to {max(Provenance)} are possible.",
                "Put back a copy of it, or delete it: all labelled pixels then count as painted by hand.",
            )
        return Annotation(class_map, provenance)
    notice = Notice(
        f"Who labelled which pixel of {item.key} is not known.",
        f"{path} is missing: all labelled pixels count as painted by hand.",
        "Put back a copy of it if you have one.",
        item.key,
    )
    return Annotation(class_map, np.zeros_like(class_map), (notice,))


def settled(annotation: Annotation) -> Annotation:
    """The same planes, changed so that they fit together.

    The class map is written before the provenance. Where a crash came between the two and no journal helps, a labelled
    pixel that counts as untouched becomes painted: no prediction may then change it.
    """
    provenance, labelled = annotation.provenance, annotation.class_map != UNLABELLED
    provenance[labelled & (provenance == Provenance.UNTOUCHED)] = Provenance.PAINTED
    provenance[~labelled & (provenance != Provenance.ERASED)] = Provenance.UNTOUCHED
    return annotation


def read_found(item: Item, width: int, height: int) -> Annotation:
    """The mask that was found beside an image, or an empty annotation and the reason."""
    if item.found_mask is None:
        return empty(width, height)
    name = item.found_mask.name
    try:
        class_map = read_class_map(item.found_mask)
    except ClassMapError as error:
        notice = Notice(error.title, f"{error.detail} It is not used.", error.remedy, item.key)
        return empty(width, height, notice)
    notices: tuple[Notice, ...] = ()
    if class_map.shape != (height, width):
        turned = _turned(item, class_map, width, height)
        if turned is None:
            found = f"{class_map.shape[1]} × {class_map.shape[0]}"
            notice = Notice(
                f"The mask {name} has {found} pixels, its image {width} × {height}.",
                f"{item.found_mask} is not used.",
                "Scale the mask (without interpolation), or remove it.",
                item.key,
            )
            return empty(width, height, notice)
        class_map = turned
        title = f"The mask {name} was turned with its image."
        detail = "It fits the size of the image before the EXIF orientation was applied."
        notices = (Notice(title, detail, "Check that it lies right.", item.key),)
    provenance = np.where(class_map == UNLABELLED, Provenance.UNTOUCHED, Provenance.IMPORTED).astype(np.uint8)
    return Annotation(class_map, provenance, notices)


def write_own(folder: Path, key: str, class_map: ClassMap, provenance: ProvenanceMap, classes: ClassSet) -> None:
    """Save the planes of an item, each atomically.

    Raises:
        StorageError: They could not be written; the previous ones are intact.
        ValueError: Shapes or dtypes differ.
    """
    if class_map.shape != provenance.shape or class_map.ndim != 2:
        raise ValueError(f"two planes of one size expected, got {class_map.shape} and {provenance.shape}")
    write_class_map(mask_path(folder, key), class_map, classes)
    write_class_map(provenance_path(folder, key), provenance, None)


def empty(width: int, height: int, *notices: Notice) -> Annotation:
    """An annotation without a labelled pixel."""
    return Annotation(np.full((height, width), UNLABELLED, np.uint8), np.zeros((height, width), np.uint8), notices)


def _turned(item: Item, class_map: ClassMap, width: int, height: int) -> ClassMap | None:
    """The mask turned as its image says, where that makes it fit."""
    try:
        info = read_info(item.image_path, item.page)
    except ImageReadError:
        return None  # the image itself will tell; the mask does not fit its displayed size
    if info.orientation == 1 or class_map.shape[::-1] != info.stored_size:
        return None
    turned = oriented(class_map, info.orientation)
    return turned if turned.shape == (height, width) else None


def _check_size(path: Path, plane: ClassMap, item: Item, width: int, height: int, what: str) -> None:
    if plane.shape != (height, width):
        raise ClassMapError(
            f"{item.key} has {width} × {height} pixels, {what} has {plane.shape[1]} × {plane.shape[0]}.",
            f"{path} does not fit the image any more; was the image replaced? The file was not changed.",
            "Put back the image of the old size, or move this file away to begin anew.",
        )
