"""Whether one version is better than another, from counts on the same pixels: a paired bootstrap. Needs no torch.

Legend: U units (images, or blocks of a few images), C compared classes, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import UNLABELLED, ClassMap, Rect

Counts = NDArray[np.int64]
"""(3, C): pixels of each class that were found, that are true, and that were predicted."""

MIN_IMAGES = 5
"""From this many images on a unit is an image; below, a sixteenth of one, or else a block."""

BETTER = 0.65
"""Share of the resamples in which a version has to be ahead to be adopted (docs/adr/0011-evidence.md)."""

NOT_WORSE = 0.05
"""The same where a gain cannot be seen: on images that both learned from, and where classes came or went."""

MOST_LOST = 0.02
"""The mean IoU that may be lost where a gain cannot be seen and there are too few units for resamples."""

_MIN_UNITS = 3
_RESAMPLES = 4000
_CELLS_PER_SIDE = 4
_KNOWN_IOU = 0.2
_UNLEARNED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two versions on the same pixels.

    Attributes:
        mean_iou: Of the new version, over the classes that are true somewhere on these pixels; 0 to 1.
        old_mean_iou: Of the old one.
        interval: 95 % interval of the difference, new - old; None where there are too few units to tell.
        chance: Share of the resamples in which the new one was ahead, 0 to 1; None likewise.
        per_class: Class id -> IoU of the old and of the new version.
        unlearned: Ids of classes that the old version knew and the new one does not any more.
        unit: ``image``, ``cell`` (a sixteenth of an image) or ``block``.
        num_units: How many of them.
        is_of_unseen: Whether neither version learned from any pixel of these images; otherwise both learned from other
            places in them, and all that can be seen is what was lost.
    """

    mean_iou: float
    old_mean_iou: float
    interval: tuple[float, float] | None
    chance: float | None
    per_class: Mapping[int, tuple[float, float]]
    unlearned: tuple[int, ...]
    unit: str
    num_units: int
    is_of_unseen: bool = True

    @property
    def difference(self) -> float:
        """New - old."""
        return self.mean_iou - self.old_mean_iou

    def is_enough(self, same_classes: bool) -> bool:
        """Whether the new version should take the place of the old one.

        Args:
            same_classes: Whether both know the same classes; otherwise not to be clearly worse is enough, as it is on
                images that both learned from.
        """
        if self.unlearned:
            return False
        must_gain = same_classes and self.is_of_unseen
        if self.chance is None:
            return self.difference > 0 if must_gain else self.difference >= -MOST_LOST
        return self.chance >= (BETTER if must_gain else NOT_WORSE)


def count(target: ClassMap, prediction: ClassMap, rect: Rect, class_ids: Sequence[int]) -> Counts:
    """(3, C) int64 of the labelled pixels in ``rect``: found, true and predicted.

    Args:
        target: (H, W) uint8; its labelled pixels have one of ``class_ids``.
        prediction: (H, W) uint8, any ids.
        rect: Part of them.
        class_ids: The compared classes.
    """
    truth, answer = target[rect.slices].reshape(-1), prediction[rect.slices].reshape(-1)
    labelled = truth != UNLABELLED
    truth, answer = truth[labelled], answer[labelled]
    rows = truth[truth == answer], truth, answer
    return np.stack([np.bincount(row, minlength=256)[list(class_ids)] for row in rows]).astype(np.int64)


def cell_of(rect: Rect, shape: tuple[int, ...]) -> int:
    """Number of the sixteenth of an (H, W) image that the middle of a block lies in, row-major."""
    row = min(_CELLS_PER_SIDE - 1, (rect.y + rect.h // 2) * _CELLS_PER_SIDE // shape[0])
    column = min(_CELLS_PER_SIDE - 1, (rect.x + rect.w // 2) * _CELLS_PER_SIDE // shape[1])
    return row * _CELLS_PER_SIDE + column


Blocks = Mapping[tuple[str, int, int], Counts]
"""(key of the image, number of the cell, number of the block) -> counts of a version there."""


def compare(
    old: Blocks, new: Blocks, class_ids: Sequence[int], is_of_unseen: bool = True, seed: int = 0
) -> Evidence | None:
    """Compare two versions on the same blocks.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals of paired data;
    widened for few units as in Hesterberg, "What Teachers Should Know About the Bootstrap" (2015), "expanded".

    Args:
        old: Counts of the old version.
        new: Of the new one, in the same blocks.
        class_ids: The C compared classes.
        is_of_unseen: Goes into the evidence.
        seed: Of the resamples.

    Returns:
        None when no pixel is labelled.

    Raises:
        ValueError: The blocks differ, or the true pixels in them.
    """
    if old.keys() != new.keys() or any((old[block][1] != new[block][1]).any() for block in old):
        raise ValueError("both versions must be measured on the same pixels")
    measured = [block for block in sorted(old) if old[block][1].any()]
    if not measured:
        return None
    unit, groups = _units(measured)
    pairs = np.array([[_sum(side, group) for side in (old, new)] for group in groups])  # (U, 2, 3, C)
    total = pairs.sum(axis=0)[None]
    old_iou, new_iou = _iou(total)[0]
    old_mean_iou, mean_iou = _mean_iou(total)[0]
    true: list[int] = np.flatnonzero(total[0, 0, 1]).tolist()
    per_class = {class_ids[c]: (float(old_iou[c]), float(new_iou[c])) for c in true}
    interval = chance = resampled = None
    if len(pairs) >= _MIN_UNITS:
        resampled = _resample(pairs.astype(np.float64), seed)
        gains = np.diff(_mean_iou(resampled), axis=1)[:, 0]
        low, high = np.quantile(gains, _levels(len(pairs)))
        interval = float(low), float(high)
        chance = float((gains > 0).mean() + (gains == 0).mean() / 2)
    unlearned = tuple(
        class_ids[c]
        for c in true
        if _has_halved(old_iou[c], new_iou[c]) and (resampled is None or _is_clearly_worse(resampled[..., c]))
    )
    return Evidence(
        float(mean_iou), float(old_mean_iou), interval, chance, per_class, unlearned, unit, len(groups), is_of_unseen
    )


def _sum(counts: Blocks, blocks: Sequence[tuple[str, int, int]]) -> Counts:
    added: Counts = np.sum([counts[block] for block in blocks], axis=0)
    return added


def _units(blocks: Sequence[tuple[str, int, int]]) -> tuple[str, list[list[tuple[str, int, int]]]]:
    """Blocks by the coarsest unit of which there are enough: neighbours resemble each other."""
    for unit, depth in (("image", 1), ("cell", 2), ("block", 3)):
        groups: dict[tuple[object, ...], list[tuple[str, int, int]]] = {}
        for block in blocks:
            groups.setdefault(block[:depth], []).append(block)
        if len(groups) >= MIN_IMAGES or unit == "block":
            break
    return unit, list(groups.values())


def _resample(pairs: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(U, 2, 3, C) -> (B, 2, 3, C): sums over U units drawn with replacement, the same ones for both versions."""
    number = len(pairs)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(number, np.full(number, 1 / number), _RESAMPLES).astype(np.float64)
    sums: NDArray[np.float64] = (weights @ pairs.reshape(number, -1)).reshape(_RESAMPLES, *pairs.shape[1:])
    return sums


def _iou(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """(..., 3, C) -> (..., C); NaN where a class is not true."""
    found, true, predicted = (counts[..., row, :].astype(np.float64) for row in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        iou: NDArray[np.float64] = np.where(true > 0, found / (true + predicted - found), np.nan)
    return iou


def _mean_iou(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """(..., 3, C) -> (...): over the classes that are true; 0 where none is."""
    iou = _iou(counts)
    known = ~np.isnan(iou)
    mean: NDArray[np.float64] = np.where(known, iou, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return mean


def _has_halved(old_iou: float, new_iou: float) -> bool:
    """Whether a class that was known lost more than half of its IoU."""
    return old_iou >= _KNOWN_IOU and new_iou < _UNLEARNED_SHARE * old_iou


def _is_clearly_worse(resampled: NDArray[np.float64]) -> bool:
    """Whether the IoU of a class fell, beyond the chance of the draw; (B, 2, 3) counts of it."""
    old, new = np.moveaxis(_iou(resampled[..., None])[..., 0], 1, 0)
    drawn = ~np.isnan(old)
    return bool(drawn.any() and np.quantile((new - old)[drawn], 0.975) < 0)


def _levels(number: int) -> tuple[float, float]:
    """Levels of the percentiles for a 95 % interval from ``number`` units."""
    low = _normal_cdf(-math.sqrt(number / (number - 1)) * _t_quantile(number - 1))
    return low, 1 - low


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t. Source: Abramowitz and Stegun (1964), 26.7.5."""
    z = 1.959964
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / float(degrees**power) for power, term in enumerate(terms, 1))
