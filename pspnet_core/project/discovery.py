"""From a folder to items: the walk, the splits, and the masks that lie beside the images.

A mask belongs to an image when it lies in a mask folder at the mirrored path and has the same stem: for
``P/images/train/a.jpg`` that is ``P/masks/train/a.png``; for ``P/a.jpg`` it is ``P/masks/a.png``. A mask that
is named after the whole file name (``a.jpg.png``) belongs to that image alone.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pspnet_core.imaging.class_maps import MASK_SUFFIXES
from pspnet_core.imaging.read import is_image_name
from pspnet_core.project.records import Item, Notice, Split

_MASK_FOLDERS = frozenset({"masks", "mask"})
# These may just as well hold photographs; beside a folder "images" they do not.
_MASK_FOLDERS_BESIDE_IMAGES = frozenset({"annotations", "labels"})
_IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img"})
_SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}
# Of two masks for one image the first in this order is taken.
_MASK_ORDER = {suffix: rank for rank, suffix in enumerate((".png", ".tif", ".tiff", ".bmp"))}
_NUMBERS = re.compile(r"(\d+)")

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk brought.

    Attributes:
        items: In natural order of their keys.
        notices: What a person should know.
        num_other_files: Files that are neither image nor mask.
        num_masks: Files in mask folders.
        folders: All folders that were looked through, and when each was changed last (``st_mtime_ns``).
    """

    items: tuple[Item, ...]
    notices: tuple[Notice, ...]
    num_other_files: int
    num_masks: int
    folders: tuple[tuple[Path, int], ...] = ()


def find_items(root: Path, prefix: str = "", only: Sequence[str] | None = None) -> Found:
    """Walk a folder and its sub folders; hidden ones are left out, links are followed once.

    Args:
        root: An existing folder.
        prefix: Goes before each key ("@name/" for a folder outside the project).
        only: Take only these files or sub folders (paths relative to ``root`` with "/"); all when None.

    Raises:
        OSError: ``root`` itself cannot be listed.
    """
    tree = _walk(root)
    masks, images = _separate_masks(tree.files)
    notices = list(tree.notices)
    images, nameless = _nameable(images)
    if nameless:
        notices.append(_nameless(nameless))
    chosen = images if only is None else _only(images, only)
    matches, ambiguous = _match(images, masks)
    notices += [replace(ambiguous[image], item_key=_key(prefix, image)) for image in chosen if image in ambiguous]
    items, stored = [], {prefix + "/".join(parts) for parts in chosen}
    for parts in sorted(chosen):
        raw, key = prefix + "/".join(parts), _key(prefix, parts)
        if key in stored:  # also true of another name that differs only in how its accents are encoded
            key = raw
        mask = matches.get(parts)
        items.append(Item(key, root.joinpath(*parts), 0, _split(parts), None if mask is None else root.joinpath(*mask)))
    items.sort(key=lambda item: natural_key(item.key))
    num_masks = sum(len(files) for files in masks.values())
    return Found(tuple(items), tuple(notices), tree.num_other_files, num_masks, tuple(tree.folders))


def natural_key(key: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which "a2" comes before "a10" and case does not count; unequal for unequal keys."""
    parts = [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in _NUMBERS.split(key.casefold().replace("/", "\0"))
        if part
    ]
    return parts, key


def split_of_folder(name: str) -> Split | None:
    """The split that a folder of this name stands for, if it stands for one."""
    return _SPLITS.get(name.casefold())


def is_image_folder(name: str) -> bool:
    """Whether a folder of this name holds the images of a data set."""
    return name.casefold() in _IMAGE_FOLDERS


@dataclass(slots=True)
class _Tree:
    files: list[Parts]
    notices: list[Notice]
    folders: list[tuple[Path, int]]
    num_other_files: int = 0


def _walk(root: Path) -> _Tree:
    """All files with the suffix of an image or mask, as parts relative to ``root``."""
    tree = _Tree([], [], [])
    visited: set[tuple[int, int]] = set()
    linked: list[Parts] = []
    pending: list[Parts] = [()]
    while pending or linked:
        # Links last: a folder that is reached both ways gets the key of its real place.
        parts = pending.pop() if pending else linked.pop()
        folder = root.joinpath(*parts)
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            tree.folders.append((folder, status.st_mtime_ns))
            with os.scandir(folder) as entries:
                for entry in entries:
                    _sort_in(entry, (*parts, entry.name), tree, pending, linked)
        except OSError as error:
            if not parts:
                raise
            title = f"The folder {folder.name} could not be read."
            tree.notices.append(Notice(title, f"{folder}: {error.strerror}. Its images are left out."))
    return tree


def _sort_in(entry: os.DirEntry[str], parts: Parts, tree: _Tree, pending: list[Parts], linked: list[Parts]) -> None:
    if entry.name.startswith("."):
        return
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:
        return  # a link that leads to itself
    if is_folder:
        (linked if entry.is_symlink() else pending).append(parts)
        return
    if not is_image_name(entry.name):
        tree.num_other_files += 1
    elif is_file:
        tree.files.append(parts)


def _separate_masks(files: Iterable[Parts]) -> tuple[dict[Parts, list[Parts]], list[Parts]]:
    """Files by the mask folder they lie in, and all others."""
    files = list(files)
    folders = {parts[:depth] for parts in files for depth in range(1, len(parts))}
    with_images = {parts[:-1] for parts in files}
    mask_folders = {folder for folder in folders if _is_mask_folder(folder, folders, with_images)}
    candidates = {folder for folder in folders if folder[-1].casefold() in _MASK_FOLDERS} - mask_folders
    if candidates:
        outside = [parts for parts in files if not any(parts[: len(c)] == c for c in candidates)]
        mask_folders |= {c for c in candidates if _matches_something(c, files, outside)}
    masks: dict[Parts, list[Parts]] = {folder: [] for folder in mask_folders}
    images = []
    for parts in files:
        inside = next((parts[:d] for d in range(1, len(parts)) if parts[:d] in mask_folders), None)
        if inside is None:
            images.append(parts)
        elif os.path.splitext(parts[-1])[1].lower() in MASK_SUFFIXES:
            masks[inside].append(parts)
    return masks, images


def _is_mask_folder(folder: Parts, folders: set[Parts], with_images: set[Parts]) -> bool:
    name, parent = folder[-1].casefold(), folder[:-1]
    if name not in _MASK_FOLDERS | _MASK_FOLDERS_BESIDE_IMAGES:
        return False
    siblings = {other[-1].casefold() for other in folders if other[:-1] == parent}
    if siblings & _IMAGE_FOLDERS:
        return True
    return name in _MASK_FOLDERS and parent in with_images


def _matches_something(folder: Parts, files: list[Parts], outside: list[Parts]) -> bool:
    """Whether an image near a folder called "masks" has a counterpart in it."""
    stems = {_stem(parts[len(folder) :]) for parts in files if parts[: len(folder)] == folder}
    parent = folder[:-1]
    near = (parts[len(parent) :] for parts in outside if parts[: len(parent)] == parent)
    return any(_stem(place) in stems for parts in near for place in _mirrored(parts))


def _mirrored(parts: Parts) -> Iterator[Parts]:
    """Where the mask of an image may lie in a mask folder, from its path relative to the folder's parent."""
    yield parts
    if len(parts) > 1:
        yield parts[1:]


def _match(images: list[Parts], masks: dict[Parts, list[Parts]]) -> tuple[dict[Parts, Parts], dict[Parts, Notice]]:
    """The mask of each image; where one mask fits several images, none of them gets it and that is told."""
    by_place: dict[tuple[Parts, Parts], list[Parts]] = defaultdict(list)
    for folder, files in masks.items():
        for parts in files:
            by_place[folder, _stem(parts[len(folder) :])].append(parts)
    siblings: dict[Parts, list[Parts]] = defaultdict(list)
    for folder in masks:
        siblings[folder[:-1]].append(folder)
    matches: dict[Parts, Parts] = {}
    wanted_by: dict[Parts, list[Parts]] = defaultdict(list)
    notices: dict[Parts, Notice] = {}
    for image in images if masks else ():
        candidates, is_exact = _candidates(image, siblings, by_place)
        if not candidates:
            continue
        mask = min(candidates, key=lambda parts: (_MASK_ORDER[os.path.splitext(parts[-1])[1].lower()], parts))
        matches[image] = mask
        if not is_exact:
            wanted_by[mask].append(image)
        if len(candidates) > 1:
            notices[image] = _several_masks(image, mask, candidates)
    for mask, claimants in wanted_by.items():
        if len(claimants) > 1:
            for image in claimants:
                del matches[image]
                notices[image] = _shared_mask(image, mask, claimants)
    return matches, notices


def _candidates(
    image: Parts, siblings: dict[Parts, list[Parts]], by_place: dict[tuple[Parts, Parts], list[Parts]]
) -> tuple[list[Parts], bool]:
    """Masks of an image in the nearest mask folder that has one, and whether they carry its whole name."""
    for depth in range(len(image) - 1, -1, -1):
        for folder in sorted(siblings.get(image[:depth], ())):
            for place in _mirrored(image[depth:]):
                whole = _normalised(place)
                if (folder, whole) in by_place:
                    return by_place[folder, whole], True
                if (folder, _stem(place)) in by_place:
                    return by_place[folder, _stem(place)], False
    return [], False


def _key(prefix: str, parts: Parts) -> str:
    return unicodedata.normalize("NFC", prefix + "/".join(parts))


def _stem(parts: Parts) -> Parts:
    return _normalised((*parts[:-1], os.path.splitext(parts[-1])[0]))


def _normalised(parts: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def _split(parts: Parts) -> Split:
    for part in reversed(parts[:-1]):
        split = split_of_folder(part)
        if split is not None:
            return split
    return Split.NONE


def _only(images: list[Parts], only: Sequence[str]) -> list[Parts]:
    wanted = {_normalised(tuple(path.split("/"))) for path in only}
    return [
        parts for parts in images if any(_normalised(parts[:depth]) in wanted for depth in range(1, len(parts) + 1))
    ]


def _nameable(images: list[Parts]) -> tuple[list[Parts], list[Parts]]:
    """Images whose names are valid Unicode, and the others: their keys could not be stored."""
    good, bad = [], []
    for parts in images:
        try:
            "/".join(parts).encode()
            good.append(parts)
        except UnicodeEncodeError:
            bad.append(parts)
    return good, bad


def _nameless(images: list[Parts]) -> Notice:
    example = "/".join(images[0]).encode(errors="replace").decode()
    return Notice(
        f"{len(images)} image(s) have a name that is not valid Unicode.",
        f"For example {example}. They are left out.",
        "Rename them.",
    )


def _several_masks(image: Parts, mask: Parts, candidates: list[Parts]) -> Notice:
    names = ", ".join(sorted(parts[-1] for parts in candidates))
    return Notice(
        f"There are {len(candidates)} masks for {image[-1]}.",
        f"{names}: {mask[-1]} is used.",
        "Remove or rename the others.",
    )


def _shared_mask(image: Parts, mask: Parts, claimants: list[Parts]) -> Notice:
    names = ", ".join(sorted("/".join(parts) for parts in claimants))
    return Notice(
        f"The mask {mask[-1]} fits more than one image.",
        f"{'/'.join(mask)} could belong to {names}; it is used for none of them.",
        f"Name it after the whole file name ({image[-1]}.png), or rename one of the images.",
    )
