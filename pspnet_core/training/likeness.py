"""Which images of a project look alike, so that no near-duplicate of what is learned is measured on. Needs no torch.

A fingerprint are 128 bits: whether an image, reduced to 9 x 8 and to 8 x 9 grey values, gets brighter to the right and
downwards. Other sizes, compression, brightness and cuts of 1 % change at most 12 of them; 72 aerial photographs
of different places differ in 35 or more, as measured, and frames of a standing camera in 1 to 5.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pspnet_core.atomic import write_json
from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.read import read_image
from pspnet_core.project.records import Item
from pspnet_core.training.events import Phase, TrainEvent
from pspnet_core.types import RgbImage

MOST_DIFFERENT_BITS = 14

_SIDE = 8
_DIGITS = 32
_READ_PX = 256
_MOST_AT_ONCE = 300
_LARGEST_SHARE = 0.5  # of all images: a group above it is what a standing camera sees, no duplicate
_SMALL_GROUP = 3


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


def groups(found: Mapping[str, bytes], around: Collection[str]) -> dict[str, str]:
    """Key -> name of its group, for every image that looks like another one; those that stand alone are not in it.

    What resembles the same image is in one group. A group of more than half of all images is none.

    Args:
        found: Fingerprints by key.
        around: Keys whose neighbours are looked for; two others are in one group only through one of these.

    Returns:
        The name of a group is its first key in alphabetical order.
    """
    if not found:
        return {}
    keys = sorted(found)
    bits = np.frombuffer(b"".join(found[key] for key in keys), np.uint8).reshape(len(keys), -1)
    root = list(range(len(keys)))

    def root_of(number: int) -> int:
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    for number, key in enumerate(keys):
        if key not in around:
            continue
        for other in _neighbours(bits, number):
            first, second = sorted((root_of(number), root_of(other)))
            root[second] = first
    members: dict[int, list[str]] = {}
    for number, key in enumerate(keys):
        members.setdefault(root_of(number), []).append(key)
    largest = max(_SMALL_GROUP, _LARGEST_SHARE * len(keys))
    return {key: group[0] for group in members.values() if 1 < len(group) <= largest for key in group}


def _neighbours(bits: NDArray[np.uint8], number: int) -> list[int]:
    different = np.bitwise_count(bits ^ bits[number]).sum(axis=1)
    return np.flatnonzero(different <= MOST_DIFFERENT_BITS).tolist()


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
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(key): row for key, row in data.items() if _is_row(row)} if isinstance(data, dict) else {}


def _is_row(row: object) -> bool:
    match row:
        case [list(), str(digits)]:
            return digits == "" or (len(digits) == _DIGITS and set(digits) <= set("0123456789abcdef"))
    return False
