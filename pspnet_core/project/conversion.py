"""One class into another in all masks of a project: counted before, written atomically, taken back exactly."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pspnet_core.errors import ClassMapError, ImageReadError, StorageError
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.read import read_info
from pspnet_core.project.journal import Journal, save_planes
from pspnet_core.project.locks import ItemLockedError
from pspnet_core.project.mask_versions import MaskChangedError
from pspnet_core.project.project import Item, Notice, Project
from pspnet_core.project.replay import Replay
from pspnet_core.types import UNLABELLED, Provenance

LABEL = "convert"
"""Of the steps in the history."""

NOT_OURS = (ItemLockedError, MaskChangedError)
"""Why one mask cannot be changed while others can: another window or program has it."""

_UNREADABLE = (ImageReadError, ClassMapError)

Planes = tuple[PlaneStore, PlaneStore]
"""Class ids and provenance of one item."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One more item was looked at.

    Attributes:
        item_key: Which.
        num_pixels: How many of its pixels have the class.
        failure: Why it could not be read, if so.
    """

    item_key: str
    num_pixels: int
    failure: Notice | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rewritten:
    """One more item was changed on disk, or left as it was.

    Attributes:
        item_key: Which.
        patch: What was changed; None when nothing was.
        failure: Why it could not be changed, if so.
    """

    item_key: str
    patch: MaskPatch | None
    failure: Notice | None = None


def count_class(project: Project, class_id: int) -> Iterator[Counted]:
    """Count the pixels of a class in the saved masks, or in those found beside the images.

    Args:
        project: Its items with a mask are looked at.
        class_id: 0 to 254.

    Yields:
        One event per item with a mask.
    """
    for item in project.items:
        if not project.has_annotation(item):
            continue
        try:
            (class_plane, _), _ = load_planes(project, item)
        except _UNREADABLE as error:
            yield Counted(item.key, 0, Notice(error.title, error.detail, error.remedy, item.key))
        else:
            yield Counted(item.key, num_pixels_of(class_plane, class_id))


def convert_class(project: Project, from_id: int, to_id: int, skip: Collection[str] = ()) -> Iterator[Rewritten]:
    """Give the pixels of one class another one, and save; each mask is written atomically.

    Each is a step of the history of its image. Masks found beside images stay as they are: what is saved of ours takes
    their place, as after any edit.

    Args:
        project: Whose masks.
        from_id: 0 to 254.
        to_id: 0 to 255; 255 takes the class away.
        skip: Keys of items that are left as they are, such as the one that is open.

    Yields:
        One event per item with a mask. Closing it leaves whole files only.

    Raises:
        StorageError: A mask could not be written, and not because somebody else has it; those before it are.
        ValueError: Both ids are the same, or one is out of its range.
    """
    if from_id == to_id or not 0 <= from_id < UNLABELLED or not 0 <= to_id <= UNLABELLED:
        raise ValueError(f"cannot convert {from_id} to {to_id}")
    for item in project.items:
        key = item.key
        if key in skip or not project.has_annotation(item):
            continue
        try:
            planes, found = load_planes(project, item)
            patch = conversion_patch(key, planes, from_id, to_id)
            if patch is not None:
                save_change(project, item, planes, patch, found)
        except (*_UNREADABLE, *NOT_OURS) as error:
            yield Rewritten(key, None, Notice(error.title, error.detail, error.remedy, key))
            continue
        yield Rewritten(key, patch)


def take_back(project: Project, patches: Iterable[MaskPatch]) -> Iterator[Rewritten]:
    """Undo what :func:`convert_class` did, where nothing was changed since, and save.

    Args:
        project: Whose masks.
        patches: What was changed; one is taken after the other was written.

    Yields:
        One event per patch.

    Raises:
        StorageError: A mask could not be written; those before it are.
    """
    for patch in patches:
        item = project.item(patch.item_key)
        try:
            planes, found = load_planes(project, item)
            inverse = inverse_patch(patch, planes)
            if inverse is not None:
                save_change(project, item, planes, inverse, found)
        except (*_UNREADABLE, *NOT_OURS) as error:
            yield Rewritten(item.key, None, Notice(error.title, error.detail, error.remedy, item.key))
            continue
        yield Rewritten(item.key, inverse)


def num_pixels_of(class_plane: PlaneStore, class_id: int) -> int:
    """How many pixels have a class, 0 to 254."""
    return sum(int(np.count_nonzero(class_plane.read(rect) == class_id)) for rect in class_plane.written_rects())


def conversion_patch(item_key: str, planes: Planes, from_id: int, to_id: int) -> MaskPatch | None:
    """The change that converts a class by hand.

    Args:
        item_key: Whose planes.
        planes: Not changed.
        from_id: 0 to 254.
        to_id: 0 to 255.

    Returns:
        None when no pixel has the class.
    """
    source = np.uint8(Provenance.ERASED if to_id == UNLABELLED else Provenance.PAINTED)
    blocks = []
    for rect in planes[0].written_rects():
        class_map, provenance = (plane.read(rect) for plane in planes)
        mask = class_map == from_id
        if mask.any():
            new_classes, new_provenance = class_map.copy(), provenance.copy()
            new_classes[mask], new_provenance[mask] = to_id, source
            blocks.append(PatchBlock.between(rect, class_map, new_classes, provenance, new_provenance))
    return MaskPatch.of(item_key, LABEL, blocks)


def inverse_patch(patch: MaskPatch, planes: Planes) -> MaskPatch | None:
    """The change that takes a change back on those of its pixels that are still as it left them.

    Args:
        patch: What was done.
        planes: As they are now; not changed.

    Returns:
        None when no pixel is left to be taken back.

    Raises:
        ValueError: The planes are of another size than they were.
    """
    return MaskPatch.of(patch.item_key, LABEL, [_inverse_block(block, planes) for block in patch.blocks])


def _inverse_block(done: PatchBlock, planes: Planes) -> PatchBlock | None:
    if done.rect.intersect(planes[0].rect) != done.rect:
        raise ValueError(f"patch {done.rect} reaches over the plane {planes[0].rect}")
    now_class, now_provenance = (plane.read(done.rect) for plane in planes)
    is_as_left = (now_class[done.changed] == done.new_class) & (now_provenance[done.changed] == done.new_provenance)
    where = np.zeros(done.changed.shape, np.bool_)
    where[done.changed] = is_as_left
    new_class, new_provenance = now_class.copy(), now_provenance.copy()
    new_class[where], new_provenance[where] = done.old_class[is_as_left], done.old_provenance[is_as_left]
    return PatchBlock.between(done.rect, now_class, new_class, now_provenance, new_provenance)


def load_planes(project: Project, item: Item) -> tuple[Planes, Replay]:
    """The planes of an item as they are now, and what its journals hold.

    Raises:
        ImageReadError: Its image cannot be read.
        ClassMapError: A file of ours is damaged.
    """
    info = read_info(item.image_path, item.page)
    annotation = project.load_annotation(item, info.width, info.height)
    class_plane = PlaneStore.from_array(annotation.class_map, UNLABELLED)
    provenance_plane = PlaneStore.from_array(annotation.provenance, Provenance.UNTOUCHED)
    return (class_plane, provenance_plane), annotation.replay or Replay()


def save_change(project: Project, item: Item, planes: Planes, patch: MaskPatch, found: Replay) -> None:
    """Write the planes with a change in force, and the change into the journal: it can be undone in the image.

    Args:
        project: Whose item.
        item: Which.
        planes: As :func:`load_planes` gave them; changed.
        patch: What changes.
        found: As :func:`load_planes` gave it.

    Raises:
        StorageError: It could not be written; the change is not in force then.
    """
    project.save_if_new()
    before = planes[0].snapshot(), planes[1].snapshot()
    journal = Journal(project.home, item.key, project.session, found, before)
    journal.push(patch, found.depth + 1)
    patch.apply(*planes)
    try:
        save_planes(project, item, *planes, journal, journal.position)
    except StorageError:
        journal.go(found.depth, [(patch, False)])  # or it would be done when the image is opened
        with suppress(StorageError):
            journal.write()
        raise
    finally:
        journal.release()
