"""Which class ids a folder holds before anything was painted in it: its class table and its masks.

An id has one meaning in a project. So the ids in all masks that were found are read before a new class gets one. In
folders with very many masks only :data:`MAX_MASKS` are read; there new classes take the largest free ids, and a mask
that turns out to hold one of them is not used (see ``Project.load_annotation``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassMapError, ClassSetError
from pspnet_core.imaging.class_maps import ids_of, read_class_map
from pspnet_core.project.records import Item, Notice
from pspnet_core.project.store import ProjectRecord

MAX_MASKS = 2000
"""Masks that are read when a folder is opened for the first time; half a megapixel takes about 5 ms."""


class FoundIds(NamedTuple):
    """Ids in masks, and whether all masks were read."""

    ids: tuple[int, ...]
    is_complete: bool


def ids_in_masks(masks: Sequence[Path]) -> FoundIds:
    """The ids in at most :data:`MAX_MASKS` evenly spaced masks; those that cannot be read tell when they are opened."""
    step = max(1, -(-len(masks) // MAX_MASKS))
    ids: set[int] = set()
    for path in masks[::step]:
        try:
            ids.update(ids_of(read_class_map(path)))
        except ClassMapError:
            continue
    return FoundIds(tuple(sorted(ids)), step == 1)


def digest_of(items: Iterable[Item]) -> str:
    """Names the set of masks that were found beside these items."""
    digest = hashlib.sha256()
    for item in items:
        if item.found_mask is not None:
            digest.update(f"{item.key}\0{item.found_mask.name}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def read_class_table(root: Path) -> tuple[ClassSet | None, tuple[Notice, ...]]:
    """The classes of ``classes.json`` in a folder; None, perhaps with the reason, when there is no such table."""
    path = root / "classes.json"
    try:
        if path.is_file():
            return ClassSet.from_json(json.loads(path.read_bytes())), ()
    except (OSError, ValueError, ClassSetError) as error:
        notice = Notice(
            "classes.json is not used.",
            f"{path}: {error}",
            'Expected: {"classes": [{"index", "name", "color": [r, g, b]}]}.',
        )
        return None, (notice,)
    return None, ()


def learn(record: ProjectRecord, found: FoundIds, digest: str) -> None:
    """Let no new class get one of these ids; where there are no classes yet they become the classes.

    Args:
        record: Changed.
        found: Ids in the masks.
        digest: As :func:`digest_of` names the masks.
    """
    if record.classes is None:
        record.classes = with_ids(ClassSet(), found.ids)
    record.classes = record.classes.reserve(found.ids)
    record.known_masks = digest
    if not found.is_complete and record.blind_ids is None:
        record.blind_ids = frozenset()


def with_ids(classes: ClassSet, ids: Iterable[int]) -> ClassSet:
    """A set with a class for each of these ids; the added ones are named after their ids."""
    for index in ids:
        if index in classes:
            continue
        name, number = f"class {index}", 2
        while name in classes.names:
            name, number = f"class {index} ({number})", number + 1
        classes = classes.add(name, index=index)
    return classes


def in_order(classes: ClassSet, wanted: int | None, is_blind: bool) -> tuple[int, ...]:
    """Ids for a new class, the best first.

    Args:
        classes: That it is added to.
        wanted: Goes before the others where it is free.
        is_blind: Whether there are masks that were not read. Masks are numbered from below, so the largest ids are the
            least likely in them.
    """
    free = classes.free_indices
    if is_blind:
        return tuple(sorted(free, reverse=True))
    return (*(index for index in free if index == wanted), *(index for index in free if index != wanted))


def is_name_of_id(name: str, index: int) -> bool:
    """Whether :func:`with_ids` gave this name to the class of an id."""
    return name == f"class {index}" or name.startswith(f"class {index} (")


def refused(item: Item, ids: Iterable[int], classes: ClassSet) -> Notice:
    """Why the mask of an item is not used: its ids were given to new classes before it was read."""
    assert item.found_mask is not None
    given = ", ".join(f"{index} ({classes[index].name})" if index in classes else str(index) for index in sorted(ids))
    return Notice(
        f"The mask {item.found_mask.name} holds ids that were given to new classes.",
        f"{item.found_mask}: {given}. It is not used: its pixels may mean something else.",
        "Give these pixels other ids in the file.",
        item.key,
    )


def were_added(item: Item, names: Iterable[str]) -> Notice:
    """Tells that the mask of an item brought classes of these names."""
    return Notice(
        f"The mask of {item.key} holds ids without a class.",
        f"Added: {', '.join(names)}.",
        "Name them in the list of classes.",
        item.key,
    )
