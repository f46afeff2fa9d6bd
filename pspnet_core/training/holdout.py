"""What is held out from training to measure on: whole items, or blocks of items. Needs no torch.

Only pixels that a person vouched for without help from a model are evidence: pixels accepted from a model would
flatter it. Each choice is a pure function of keys and labels, so it stays when training is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pspnet_core.project.records import Split
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

ONE_IN = 6
MIN_ITEMS_DONE = 12
_SMALLEST_BLOCK_PX = 64
_BLOCKS_PER_SIDE = 16
_LARGEST_LOSS = 1 / 3  # of the pixels of a class


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that may be trained on or held out.

    Attributes:
        key: Of the item.
        split: Of the item; ``test`` is never a candidate.
        is_done: Whether the person marked it as done.
    """

    key: str
    split: Split
    is_done: bool


def choose_items(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Keys of the items to hold out as a whole; empty when blocks have to do.

    All of split ``val``; else, of at least 12 items that are done, about one in six.

    Args:
        candidates: Labelled items.

    Raises:
        ValueError: An item of split ``test`` is among them.
    """
    if any(c.split is Split.TEST for c in candidates):
        raise ValueError("items of split test are never held out")
    if validation := frozenset(c.key for c in candidates if c.split is Split.VAL):
        return validation
    done = sorted((c.key for c in candidates if c.is_done), key=_hash)
    if len(done) < MIN_ITEMS_DONE:
        return frozenset()
    return frozenset(key for key in done if _is_drawn(key)) or frozenset(done[:1])


def choose_blocks(counts: Mapping[str, NDArray[np.int64]]) -> dict[str, frozenset[int]]:
    """Numbers of the blocks to hold out, by item key; items without one are left out.

    About one in six of those offered, but no class loses more than a third of its labelled pixels.

    Args:
        counts: Item key -> (B, 256) labelled pixels of each class in each block that may be evidence; rows of other
            blocks (not unaided) hold their pixels as negative numbers: they count as training pixels only.
    """
    total = sum((np.abs(rows).sum(axis=0) for rows in counts.values()), np.zeros(256, np.int64))
    allowed = total * _LARGEST_LOSS
    held = np.zeros(256, np.int64)
    offered = [
        (f"{key}#{block}", key, block)
        for key, rows in counts.items()
        for block in np.flatnonzero((rows > 0).any(axis=1)).tolist()
    ]
    chosen: dict[str, set[int]] = {}
    for name, key, block in sorted(offered, key=lambda o: _hash(o[0])):
        after = held + counts[key][block]
        if _is_drawn(name) and (after <= allowed).all():
            held = after
            chosen.setdefault(key, set()).add(block)
    return {key: frozenset(blocks) for key, blocks in chosen.items()}


def count_blocks(class_map: ClassMap, evidence: Sequence[bool] | None = None) -> NDArray[np.int64]:
    """(B, 256) labelled pixels of each class in each block, for :func:`choose_blocks`.

    Args:
        class_map: (H, W) uint8.
        evidence: Which blocks may be evidence; None for all.
    """
    rects = block_rects(class_map.shape)
    counts = np.stack([np.bincount(class_map[rect.slices].reshape(-1), minlength=256) for rect in rects])
    counts[:, UNLABELLED] = 0
    if evidence is not None:
        usable = np.zeros(len(rects), bool)
        usable[: len(evidence)] = evidence[: len(rects)]
        counts[~usable] *= -1
    return counts.astype(np.int64)


def block_rects(shape: tuple[int, ...]) -> list[Rect]:
    """The blocks of an image of (H, W), row-major.

    The side of a block is the larger of 64 and a sixteenth of the longer side, rounded up.
    """
    height, width = shape
    rows, columns = _starts(height, shape), _starts(width, shape)
    side = _side(shape)
    image = Rect(0, 0, width, height)
    return [Rect(int(x), int(y), side, side).intersect(image) for y in rows for x in columns]


def block_mask(shape: tuple[int, ...], blocks: frozenset[int]) -> BoolMask:
    """(H, W) bool: the pixels of these blocks."""
    mask = np.zeros(shape, bool)
    for number, rect in enumerate(block_rects(shape)):
        if number in blocks:
            mask[rect.slices] = True
    return mask


def labelled_blocks(class_map: ClassMap) -> str:
    """Hexadecimal bit string, first block first: which blocks of (H, W) uint8 hold a labelled pixel."""
    height, width = shape = class_map.shape
    side, columns = _side(shape), _starts(width, shape)
    # The smallest id in a block tells. Whole rows first, which is one pass at the speed of memory: a window asks.
    bands = (class_map[y : y + side].min(axis=0) for y in range(0, height, side))
    smallest = [np.minimum.reduceat(band, columns) for band in bands]
    return np.packbits(np.concatenate(smallest) != UNLABELLED).tobytes().hex()


def _side(shape: tuple[int, ...]) -> int:
    return max(_SMALLEST_BLOCK_PX, -(-max(shape) // _BLOCKS_PER_SIDE))


def _starts(length: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.arange(0, length, _side(shape), dtype=np.int64)


def blocks_from_hex(text: str) -> list[bool]:
    """Inverse of :func:`labelled_blocks`, up to seven more False. Raises: ValueError for something else."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))
    return [bool(b) for b in bits]


def _hash(text: str) -> int:
    return crc32(text.encode())


def _is_drawn(text: str) -> bool:
    return _hash(text) % ONE_IN == 0
