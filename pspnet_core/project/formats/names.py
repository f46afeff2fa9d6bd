"""Names of items in other programs' folders, and the way back from such a name to the item."""

from __future__ import annotations

import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pspnet_core.project.discovery import is_image_folder, split_of_folder
from pspnet_core.project.records import Item


def place_of(item: Item) -> PurePosixPath:
    """``<split>/<rest of the key>``, without the folder that named the split and a leading folder "images".

    The third page of ``scan.tif`` is ``scan_page3.tif``.
    """
    *folders, name = item.key.split("/")
    if item.page:
        file = PurePosixPath(name.rpartition("#")[0])
        name = f"{file.stem}_page{item.page + 1}{file.suffix}"
    if folders and is_image_folder(folders[0]):
        del folders[0]
    named = [position for position, folder in enumerate(folders) if split_of_folder(folder) is not None]
    if named:
        del folders[named[-1]]
    return PurePosixPath(item.split.value, *folders, name)


def flat_names(items: Iterable[Item], word: str = "_") -> dict[str, str]:
    """A name for each item by key, for formats whose folders are flat: unique, also where case does not count.

    Args:
        items: Of a project.
        word: Stands between the parts of a path; "-" for formats that take "_" apart.
    """
    plain = {item.key: _plain(item, word) for item in items}
    shared: dict[str, list[str]] = defaultdict(list)
    for key, name in plain.items():
        shared[name.casefold()].append(key)
    return {key: name if len(shared[name.casefold()]) == 1 else _numbered(name, key) for key, name in plain.items()}


def _plain(item: Item, word: str) -> str:
    path = PurePosixPath(*place_of(item).parts[1:])
    text = word.join((*path.parts[:-1], path.stem))
    allowed = {"-", ".", word}
    return "".join(c if c.isalnum() or c in allowed else "-" for c in text).strip(".-") or _digest(item.key)


def _numbered(name: str, key: str) -> str:
    return f"{name}-{_digest(key)}"


def _digest(key: str) -> str:
    return f"{zlib.crc32(key.encode()):08x}"


class Matcher:
    """Finds the item that a name in another program's files means.

    A name fits an item when it is the end of its path, with or without the suffix; leading folders of the name that the
    project does not have are left out one by one. A name that fits several items fits none.

    Args:
        items: Of the project.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._tails: dict[str, set[str]] = defaultdict(set)
        self._flat: dict[str, set[str]] = defaultdict(set)
        for item in items:
            paths = {place_of(item).as_posix()} if item.page else {item.key, place_of(item).as_posix()}
            for path in paths:
                parts = path.split("/")
                for start in range(len(parts)):
                    tail = "/".join(parts[start:])
                    self._tails[tail].add(item.key)
                    self._tails[_stem(tail)].add(item.key)
        for word in ("_", "-"):
            names = flat_names(items, word)
            for item in items:
                plain = _plain(item, word)
                for name in {names[item.key], _numbered(plain, item.key)}:
                    self._flat[name].add(item.key)

    def find(self, name: str) -> tuple[str, ...]:
        """Keys of the items that a name fits best: none, one, or several where it is not clear."""
        parts = [part for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if part != "."]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            for key in (tail, _stem(tail)):
                found = self._tails.get(key)
                if found:
                    return tuple(sorted(found))
        found = self._flat.get(parts[-1]) or self._flat.get(_stem(parts[-1])) if parts else None
        return tuple(sorted(found or ()))


def _stem(path: str) -> str:
    head, _, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    if not dot or not stem:
        return path
    return f"{head}/{stem}" if head else stem
