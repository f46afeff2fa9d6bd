"""What is held out from training to measure on: whole items, or blocks of items. Needs no torch.

Evidence is what a person vouched for: all of an item marked done, with the pixels accepted from a model that the
person let pass, and elsewhere what was labelled before any prediction was shown. What is drawn is a pure function of
keys and labels. What was held out for a version stays held out for the later ones, so that versions can be compared
on pixels that none of them learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.records import Split
from pspnet_core.training.exposure import Exposure
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

ONE_IN = 6
MIN_ITEMS_DONE = 6
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


def choose_items(
    candidates: Sequence[Candidate], past: Exposure | None = None, groups: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Keys of the items to hold out as a whole; empty when blocks have to do.

    Those that were before, and all of split ``val``; where there is no ``val`` but 6 items or more are done, about
    one in six of the done ones that no version learned from. Items that look alike are held out together, or not; those
    that are drawn are at most half of all.

    Args:
        candidates: Labelled items.
        past: Of all versions that are kept.
        groups: Key -> name of the group of items that look alike; an item that is not in it stands alone.

    Raises:
        ValueError: An item of split ``test`` is among them.
    """
    if any(c.split is Split.TEST for c in candidates):
        raise ValueError("items of split test are never held out")
    past, groups = past or Exposure(), groups or {}
    names = {c.key: groups.get(c.key, c.key) for c in candidates}

    def all_of(drawn: Iterable[str]) -> frozenset[str]:
        """All items of these groups that nothing was learned from."""
        chosen = set(drawn)
        return frozenset(key for key, name in names.items() if name in chosen and key not in past.trained)

    most = len(names) // 2
    sizes = Counter(names.values())
    before = frozenset(names) & past.held_items
    kept = before | all_of(names[key] for key in before if sizes[names[key]] <= most)
    if validation := frozenset(c.key for c in candidates if c.split is Split.VAL):
        return validation | kept
    done = [c.key for c in candidates if c.is_done]
    if len(done) < MIN_ITEMS_DONE:
        return kept
    learned = {groups.get(key, key) for key in past.trained}
    fresh = sorted({names[key] for key in done} - learned, key=_hash)
    held = kept
    for name in filter(_is_drawn, fresh):
        if len(held) + sizes[name] <= most:
            held |= all_of([name])
    return held or all_of([name for name in fresh if sizes[name] <= most][:1])


class _Offer(NamedTuple):
    """A block of an item that may be held out."""

    key: str
    block: int

    @property
    def name(self) -> str:
        return f"{self.key}#{self.block}"

    def order(self) -> int:
        return _hash(self.name)


def choose_blocks(
    counts: Mapping[str, NDArray[np.int64]], kept: Mapping[str, frozenset[int]] | None = None, may_grow: bool = True
) -> dict[str, frozenset[int]]:
    """Numbers of the blocks to hold out, by item key; items without one are left out.

    Those that were before, then about one in six of those offered, but no class loses more than a third of its labelled
    pixels: a class that was painted in held-out blocks only gets them back.

    Args:
        counts: Item key -> (B, 256) labelled pixels of each class in each block that may be evidence; rows of other
            blocks (not unaided) hold their pixels as negative numbers: they count as training pixels only.
        kept: Blocks that were held out before, by item key.
        may_grow: Whether to choose further ones.
    """
    kept = kept or {}
    total = sum((np.abs(rows).sum(axis=0) for rows in counts.values()), np.zeros(256, np.int64))
    allowed = total * _LARGEST_LOSS
    held = np.zeros(256, np.int64)
    before = [_Offer(key, block) for key in counts for block in kept.get(key, ()) if block < len(counts[key])]
    offered = [
        _Offer(key, block)
        for key, rows in counts.items()
        for block in np.flatnonzero((rows > 0).any(axis=1)).tolist()
        if block not in kept.get(key, ())
    ]
    drawn = [offer for offer in offered if may_grow and _is_drawn(offer.name)]
    chosen: dict[str, set[int]] = {}
    for key, block in (*sorted(before, key=_Offer.order), *sorted(drawn, key=_Offer.order)):
        after = held + np.abs(counts[key][block])
        if (after <= allowed).all():
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


def labelled_blocks(class_map: ClassMap | PlaneStore) -> str:
    """Hexadecimal bit string, first block first: which blocks of (H, W) uint8 hold a labelled pixel.

    A plane in tiles is read by rows of blocks, and only where it was written to.
    """
    height, width = shape = class_map.shape
    side, columns = _side(shape), _starts(width, shape)
    # The smallest id in a block tells. Whole rows first, which is one pass at the speed of memory: a window asks.
    bands = (_smallest_of(class_map, y, side) for y in range(0, height, side))
    smallest = [np.minimum.reduceat(band, columns) for band in bands]
    return np.packbits(np.concatenate(smallest) != UNLABELLED).tobytes().hex()


def _smallest_of(class_map: ClassMap | PlaneStore, y: int, side: int) -> NDArray[np.uint8]:
    """The smallest id in each column of ``side`` rows."""
    if isinstance(class_map, np.ndarray):
        smallest: NDArray[np.uint8] = class_map[y : y + side].min(axis=0)
        return smallest
    band = Rect(0, y, class_map.width, side)
    smallest = np.full(class_map.width, class_map.fill_value, np.uint8)
    for written in class_map.written_rects():
        part = written.intersect(band)
        if not part.is_empty:
            columns = smallest[part.x : part.right]
            np.minimum(columns, class_map.read(part).min(axis=0), out=columns)
    return smallest


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
