"""Which images of a project look alike, so that no near-duplicate of what is learned is measured on. Needs no torch.

A fingerprint are 128 bits: whether an image, reduced to 9 x 8 and to 8 x 9 grey values, gets brighter to the right and
downwards. Other sizes, compression, brightness and cuts of 1 % change at most 12 of them; 72 aerial photographs
of different places differ in 35 or more, as measured, and frames of a standing camera in 1 to 5.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard
from zlib import crc32

import numpy as np

from pspnet_core.atomic import write_json
from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.read import read_image
from pspnet_core.project.records import Item
from pspnet_core.training.events import Phase, TrainEvent
from pspnet_core.types import RgbImage

LEVELS = 14, 8, 4, 2
"""Most bits in which two images of a group differ: the first, or the next ones where the group would be too large."""

_SIDE = 8
_DIGITS = 32
_READ_PX = 256
_MOST_AT_ONCE = 300
_LARGEST_SHARE = 0.5  # of all images: a group above it is what a standing or moving camera sees
_SMALL_GROUP = 3
_FAR = 1000  # more than all bits
_MARK = "\0"  # in no name of a file


def fingerprint(image: RgbImage) -> bytes:
    """16 bytes that hardly change while an (H, W, 3) uint8 RGB image looks the same."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    wide = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    high = cv2.resize(grey, (_SIDE, _SIDE + 1), interpolation=cv2.INTER_AREA)
    bits = np.concatenate([(wide[:, 1:] > wide[:, :-1]).ravel(), (high[1:] > high[:-1]).ravel()])
    return np.packbits(bits).tobytes()


def fingerprints(
    path: Path, items: Sequence[Item], optional: Sequence[Item] = ()
) -> Generator[TrainEvent, None, dict[str, bytes]]:
    """Fingerprints by the keys of the items; images that cannot be read have none.

    Args:
        path: File that keeps them; damaged or not there, all are made again.
        items: Whose fingerprints are needed.
        optional: Others; of those that are not known yet only 300 are looked at, the rest in later calls.

    Raises:
        StorageError: The file could not be written.
    """
    kept, found = _read(path), {}
    unknown = 0
    ordered = [*items, *sorted(optional, key=lambda item: crc32(item.key.encode()))]
    for number, item in enumerate(ordered):
        if number % 100 == 0:
            yield Phase("read", 0.0)
        version = _version(item)
        row = kept.get(item.key)
        if row is None or row[0] != version:
            if number >= len(items):
                if unknown == _MOST_AT_ONCE:
                    continue
                unknown += 1
            yield Phase("read", 0.0)
            row = kept[item.key] = [version, _made(item)]
        if row[1]:
            found[item.key] = bytes.fromhex(str(row[1]))
    if kept != _read(path):
        write_json(path, kept)
    return found


def recall(path: Path, learned: Collection[str], found: Mapping[str, bytes]) -> dict[str, bytes]:
    """What images that were learned from looked like then and do not any more, or are not there any more.

    Args:
        path: What :func:`remember` wrote; damaged or not there, nothing is known.
        learned: Their keys.
        found: Fingerprints of what there is now.

    Returns:
        Fingerprints by names that no image has; :func:`owner` gives the key back.
    """
    return {
        f"{key}{_MARK}{number}": look
        for key, looks in _read_looks(path).items()
        for number, look in enumerate(looks)
        if key in learned and found.get(key) != look
    }


def owner(name: str) -> str:
    """The key of the image that a name of :func:`recall`, or a key, is of."""
    return name.partition(_MARK)[0]


def remember(path: Path, found: Mapping[str, bytes]) -> None:
    """Add what images look like that are learned from now, by their keys. Raises: StorageError."""
    before = _read_looks(path)
    looks = before | {
        key: [*before.get(key, []), look] for key, look in found.items() if look not in before.get(key, [])
    }
    if looks != before:
        write_json(path, {key: [look.hex() for look in some] for key, some in sorted(looks.items())})


def groups(found: Mapping[str, bytes], around: Collection[str]) -> dict[str, str]:
    """Key -> name of its group, for every image that looks like another one; those that stand alone are not in it.

    What resembles the same image is in one group. A group of more than half of all images is split where its images
    differ most, but never what differs in 2 bits or less.

    Args:
        found: Fingerprints by key.
        around: Keys whose neighbours are looked for; two others are in one group only through one of these.

    Returns:
        The name of a group is its first key in alphabetical order.
    """
    if not found:
        return {}
    keys = sorted(found)
    edges = _shortest_edges(found, around)
    largest = max(_SMALL_GROUP, _LARGEST_SHARE * len(keys))
    names: dict[str, str] = {}
    too_large = [list(range(len(keys)))]
    for level in LEVELS:
        parts = [part for members in too_large for part in _linked(members, edges, level)]
        most = largest if level != LEVELS[-1] else len(keys)
        too_large = [part for part in parts if len(part) > most]
        for part in parts:
            if 1 < len(part) <= most:
                names |= {keys[number]: keys[part[0]] for number in part}
    return names


_Edge = tuple[int, int, int]
"""Different bits of two images, and their numbers in alphabetical order of the keys."""


def _shortest_edges(found: Mapping[str, bytes], around: Collection[str]) -> list[_Edge]:
    """A shortest tree through all images: what is linked at a level is linked by its edges, too.

    Source: Prim, "Shortest Connection Networks and Some Generalizations" (1957); Gower and Ross, "Minimum Spanning
    Trees and Single Linkage Cluster Analysis" (1969).
    """
    keys = sorted(found)
    bits = np.frombuffer(b"".join(found[key] for key in keys), np.uint64).reshape(len(keys), -1).T.copy()
    is_around = np.array([key in around for key in keys])
    distance = np.full(len(keys), _FAR)
    nearest = np.zeros(len(keys), np.int64)
    is_left = np.ones(len(keys), bool)
    edges: list[_Edge] = []
    last = 0
    for _ in range(len(keys) - 1):
        is_left[last] = False
        different = np.bitwise_count(bits ^ bits[:, last, None]).sum(axis=0, dtype=np.int64)
        closer = is_left & (different < distance) & (is_around | is_around[last])
        distance[closer], nearest[closer] = different[closer], last
        last = int(np.where(is_left, distance, _FAR + 1).argmin())
        edges.append((int(distance[last]), int(nearest[last]), last))
    return edges


def _linked(members: Sequence[int], edges: Sequence[_Edge], level: int) -> list[list[int]]:
    """Those of ``members`` together that a chain of edges of at most so many bits links; each part ascending."""
    part = {number: [number] for number in members}
    for different, first, second in edges:
        if different <= level and first in part and second in part:
            smaller, larger = sorted((part[first], part[second]), key=len)
            larger.extend(smaller)
            part.update(dict.fromkeys(smaller, larger))
    return sorted({id(some): sorted(some) for some in part.values()}.values())


def _made(item: Item) -> str:
    try:
        return fingerprint(read_image(item.image_path, item.page, _READ_PX)).hex()
    except ImageReadError:
        return ""


def _version(item: Item) -> list[int]:
    """Changes with the file; empty when it is not there."""
    try:
        status = item.image_path.stat()
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_size, item.page]


def _read(path: Path) -> dict[str, list[object]]:
    return {key: row for key, row in _read_object(path).items() if _is_row(row)}


def _read_looks(path: Path) -> dict[str, list[bytes]]:
    rows = {key: row for key, row in _read_object(path).items() if isinstance(row, list)}
    return {key: [bytes.fromhex(look) for look in row if _is_look(look)] for key, row in rows.items()}


def _read_object(path: Path) -> dict[str, Any]:
    """Of a file that may be damaged or missing, which costs no more than to look again."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_row(row: object) -> bool:
    match row:
        case [list(), digits]:
            return digits == "" or _is_look(digits)
    return False


def _is_look(digits: object) -> TypeGuard[str]:
    return isinstance(digits, str) and len(digits) == _DIGITS and set(digits) <= set("0123456789abcdef")
