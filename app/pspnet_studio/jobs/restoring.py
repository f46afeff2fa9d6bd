"""What can be gone back to, and what it looks like; for the io lane."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.backups import Backup, describe_project
from pspnet_core.project.journal_file import set_aside_unless_held
from pspnet_core.project.project import Project
from pspnet_core.project.replay import journals_of
from pspnet_core.types import UNLABELLED, ClassMap, ProvenanceMap, Rect, RgbImage

_PREVIEW_PX = 320
_BLOCK_PX = 256
_NOTHING = (70, 70, 70)


class What(StrEnum):
    """What is put back."""

    MASK = "mask"
    JOURNAL = "journal"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Restorable:
    """Something to go back to.

    Attributes:
        what: A mask, the project file, or a mask without its damaged journal.
        backup: Where it is; None for the journal.
        labelled: Share of the pixels that have a class, for a mask.
        numbers: What a project file holds.
        picture: (h, w, 3) uint8 RGB of a mask.
        error: Why it cannot be gone back to.
    """

    what: What
    backup: Backup | None = None
    labelled: float = 0.0
    numbers: dict[str, int] | None = None
    picture: RgbImage | None = None
    error: PspnetError | None = None


def restorables(project: Project, key: str | None, is_unreadable: bool) -> list[Restorable]:
    """What there is, the newest first.

    Args:
        project: That is open.
        key: Of an item, for its masks.
        is_unreadable: Whether the item could not be opened.
    """
    found = []
    if key is not None and is_unreadable and journals_of(project.folder, key):
        found.append(Restorable(What.JOURNAL))
    for backup in project.backups.masks(key) if key is not None else ():
        try:
            class_map = project.backups.read_mask(backup)[0]
        except PspnetError as error:
            found.append(Restorable(What.MASK, backup, error=error))
            continue
        labelled = float(np.count_nonzero(class_map != UNLABELLED)) / max(1, class_map.size)
        found.append(Restorable(What.MASK, backup, labelled, picture=picture_of(class_map, project.classes)))
    return found + project_files(project)


def project_files(project: Project) -> list[Restorable]:
    """The backups of the project file."""
    found = []
    for backup in project.backups.projects():
        try:
            found.append(Restorable(What.PROJECT, backup, numbers=describe_project(backup)))
        except PspnetError as error:
            found.append(Restorable(What.PROJECT, backup, error=error))
    return found


def picture_of(class_map: ClassMap, classes: ClassSet) -> RgbImage:
    """A small picture of a class map, (H, W) uint8, in the colours of the classes."""
    step = max(1, -(-max(class_map.shape) // _PREVIEW_PX))
    table = np.full((256, 3), _NOTHING, np.uint8)
    for index in classes.indices:
        table[index] = classes[index].color
    return table[class_map[::step, ::step]]


def put_back(project: Project, key: str, chosen: Restorable) -> None:
    """Put a mask in the place of one that cannot be read, or its damaged journals aside.

    Raises:
        ItemLockedError: Another session is changing the item.
        ClassMapError: The backup is damaged.
        StorageError: It could not be written.
    """
    with project.locks.writing(key):
        if chosen.backup is None:
            set_journals_aside(project, key)
        else:
            project.backups.restore_mask(key, chosen.backup)
            project.masks.wrote(key)


def set_journals_aside(project: Project, key: str) -> None:
    """Let an item open as it was last saved; its journals are kept beside. Raises: OSError."""
    for path in journals_of(project.folder, key):
        set_aside_unless_held(path)


def difference(
    planes: tuple[PlaneStore, PlaneStore], key: str, class_map: ClassMap, provenance: ProvenanceMap
) -> MaskPatch | None:
    """What leads from both planes of the open image to those of a backup of its size; None if they are the same."""
    blocks = []
    whole = planes[0].rect
    for y in range(0, whole.h, _BLOCK_PX):
        for x in range(0, whole.w, _BLOCK_PX):
            rect = Rect(x, y, _BLOCK_PX, _BLOCK_PX).intersect(whole)
            blocks.append(
                PatchBlock.between(
                    rect,
                    old_class=planes[0].read(rect),
                    new_class=class_map[rect.slices],
                    old_provenance=planes[1].read(rect),
                    new_provenance=provenance[rect.slices],
                )
            )
    return MaskPatch.of(key, "restore", iter(blocks))
