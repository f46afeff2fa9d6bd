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
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap

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
    grid = block_grid(class_map.shape)
    number = int(grid.max()) + 1
    counts = np.bincount(grid.reshape(-1) * 256 + class_map.reshape(-1), minlength=number * 256).reshape(number, 256)
    counts[:, UNLABELLED] = 0
    if evidence is not None:
        usable = np.zeros(number, bool)
        usable[: len(evidence)] = evidence[:number]
        counts[~usable] *= -1
    return counts


def block_grid(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """(H, W) number of the block that each pixel lies in, row-major.

    The side of a block is the larger of 64 and a sixteenth of the longer side, rounded up.
    """
    height, width = shape
    side = max(_SMALLEST_BLOCK_PX, -(-max(shape) // _BLOCKS_PER_SIDE))
    rows, columns = np.arange(height) // side, np.arange(width) // side
    grid: NDArray[np.int64] = rows[:, None] * -(-width // side) + columns
    return grid


def block_mask(shape: tuple[int, ...], blocks: frozenset[int]) -> BoolMask:
    """(H, W) bool: the pixels of these blocks."""
    mask: BoolMask = np.isin(block_grid(shape), list(blocks))
    return mask


def labelled_blocks(class_map: ClassMap) -> str:
    """Hexadecimal bit string, first block first: which blocks of (H, W) uint8 hold a labelled pixel."""
    labelled = count_blocks(class_map).any(axis=1)
    return np.packbits(labelled).tobytes().hex()


def blocks_from_hex(text: str) -> list[bool]:
    """Inverse of :func:`labelled_blocks`, up to seven more False. Raises: ValueError for something else."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))
    return [bool(b) for b in bits]


def _hash(text: str) -> int:
    return crc32(text.encode())


def _is_drawn(text: str) -> bool:
    return _hash(text) % ONE_IN == 0
