"""Which image to correct next: the one from which most of the collection would learn. Imports no torch.

Each image is summed up as a set of cells with features (:mod:`pspnet_core.inference.summaries`). All cells of the
collection are grouped by what they look like, and an image is worth as much as it adds to what has been corrected of
each group: with diminishing returns, so that the second image of a kind counts less than the first of another. A
group weighs by the root of its size, so that rare things count more than their share, and by how unsure the model is
about it.

Source: feature-based submodular functions, Wei, Iyer and Bilmes, "Submodularity in data subset selection and active
learning" (2015). The numbers were chosen on two data sets by the scores of a linear head on the same features.

Legend: n images, c cells of an image, D features, G groups.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

SPEC = "efficientnet_lite0:4,8,16,32:96x64:1"
"""What the features of cells mean; summaries that were kept under another name are of no use."""

_NUM_GROUPS = 64
_GROUPS_PER_IMAGE = 2  # at most: more would divide what is alike
_SATURATION = 32.0  # returns of a group have halved when about a thirtieth of an image was it
_UNSURE_SHARE = 0.5  # of a group's weight that follows the model's doubt
_NUM_EXACT = 100  # so many are put in order one after the other; the rest by what they would add after these
_CELLS_TO_GROUP = 20_000
_ROUNDS = 15


class Reason(Enum):
    """Why an image stands where it stands: what sets it apart most."""

    TYPICAL = "typical"
    """It shows what many of the images show."""
    UNLIKE = "unlike"
    """It shows what no corrected image shows."""
    UNSURE = "unsure"
    """The model is less sure about it than about others."""
    RARE = "rare"
    """It seems to hold a class of which little is labelled."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageSummary:
    """What the ranking knows of an image.

    Attributes:
        cells: (c, D) float16 features of places spread over the image.
        doubt: (c,) float32, 1 - margin of the model's two most probable classes there, 0 to 1; None without a model.
        class_ids: (c,) uint8, the most probable classes; None without a model.
    """

    cells: NDArray[np.float16]
    doubt: NDArray[np.float32] | None = None
    class_ids: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        assert self.cells.ndim == 2
        assert len(self.cells)
        for values in (self.doubt, self.class_ids):
            assert values is None or values.shape == self.cells.shape[:1]
        assert (self.doubt is None) == (self.class_ids is None)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One image of the queue.

    Attributes:
        key: Of the image.
        gain: What it would add, as a share of what the first of the queue would; 0 to 1, falling.
        reason: Why.
        class_id: The rare class, where that is the reason.
    """

    key: str
    gain: float
    reason: Reason
    class_id: int | None = None


def rank(
    summaries: Mapping[str, ImageSummary],
    corrected: Collection[str],
    labelled_px: Mapping[int, int] | None = None,
    seed: int = 0,
) -> list[Ranked]:
    """Put the images that are not corrected yet in the order in which to correct them.

    Args:
        summaries: Of all images that take part, the corrected ones included, by key. A group of which only images
            without a model's doubt are known counts as one of usual doubt.
        corrected: Keys of the images that are labelled; those without a summary do not count.
        labelled_px: Class id -> labelled pixels of the project, for :attr:`Reason.RARE`.
        seed: Of the grouping.

    Returns:
        The others, best first. The same arguments give the same order.

    Raises:
        ValueError: The summaries differ in the number of their features.
    """
    keys = sorted(summaries)
    open_keys = [key for key in keys if key not in corrected]
    if not open_keys:
        return []
    if len({summaries[key].cells.shape[1] for key in keys}) != 1:
        raise ValueError("summaries of several kinds of features cannot be compared")
    groups = _grouped(summaries, keys, seed)
    weights = _weights(groups, [summaries[key] for key in keys])
    is_open = np.array([key not in corrected for key in keys])
    known = groups.shares[~is_open].sum(axis=0)
    order, gains = _greedy(groups.shares, is_open, known, weights)
    reasons = _Reasons(summaries, keys, groups, known, labelled_px or {})
    top = max(gains[0], 1e-12)
    ranked = []
    for index, gain in zip(order, gains, strict=True):
        reason, class_id = reasons.of(index)
        ranked.append(Ranked(keys[index], min(gain / top, 1.0), reason, class_id))
    return ranked


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Groups of cells that look alike.

    Attributes:
        of_cells: By image, the group of each cell.
        shares: (n, G) of each image's cells in each group; rows sum to 1.
    """

    of_cells: list[NDArray[np.int64]]
    shares: NDArray[np.float64]


def _grouped(summaries: Mapping[str, ImageSummary], keys: list[str], seed: int) -> _Groups:
    rng = np.random.default_rng(seed)
    cells = [summaries[key].cells.astype(np.float32) for key in keys]
    every = np.concatenate(cells)
    sample = every if len(every) <= _CELLS_TO_GROUP else every[rng.choice(len(every), _CELLS_TO_GROUP, replace=False)]
    distinct = len(np.unique(sample, axis=0))
    centres = _k_means(sample, min(_NUM_GROUPS, _GROUPS_PER_IMAGE * len(keys), distinct), rng)
    of_cells = [_nearest(values, centres) for values in cells]
    shares = np.stack([np.bincount(groups, minlength=len(centres)) / len(groups) for groups in of_cells])
    return _Groups(of_cells, shares)


def _k_means(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Centres of Lloyd's algorithm; a centre that no point is nearest to stays where it is."""
    centres = points[rng.choice(len(points), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(points, centres)
        order = np.argsort(nearest, kind="stable")
        used, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(points[order], starts, axis=0)
        moved = centres.copy()
        moved[used] = sums / np.diff([*starts, len(points)])[:, None]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    closeness = points @ centres.T - 0.5 * (centres * centres).sum(axis=1)
    nearest: NDArray[np.int64] = closeness.argmax(axis=1)
    return nearest


def _weights(groups: _Groups, summaries: list[ImageSummary]) -> NDArray[np.float64]:
    """(G,) how much a group counts."""
    weights: NDArray[np.float64] = np.sqrt(groups.shares.mean(axis=0))
    known = [(of, summary.doubt) for of, summary in zip(groups.of_cells, summaries, strict=True)]
    told = [(of, doubt) for of, doubt in known if doubt is not None]
    if not told:
        return weights
    of_cells, doubts = (np.concatenate(parts) for parts in zip(*told, strict=True))
    overall = max(float(doubts.mean()), 1e-6)
    cells = np.bincount(of_cells, minlength=len(weights))
    mean = np.bincount(of_cells, doubts, len(weights)) / np.maximum(cells, 1)
    mean[cells == 0] = overall
    return weights * (1 - _UNSURE_SHARE + _UNSURE_SHARE * mean / overall)


def _greedy(
    shares: NDArray[np.float64], is_open: NDArray[np.bool_], known: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[list[int], list[float]]:
    """Indices of the open images, best first, and what each adds to those before it."""
    left = np.flatnonzero(is_open)
    order: list[int] = []
    gains: list[float] = []
    have = known
    while len(left) and len(order) < _NUM_EXACT:
        gain = _gain(shares[left], have, weights)
        best = int(gain.argmax())
        order.append(int(left[best]))
        gains.append(float(gain[best]))
        have = have + shares[left[best]]
        left = np.delete(left, best)
    gain = _gain(shares[left], have, weights)
    rest = np.argsort(-gain, kind="stable")
    return order + left[rest].tolist(), gains + gain[rest].tolist()


def _gain(shares: NDArray[np.float64], have: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    more = np.log1p(_SATURATION * (have + shares)) - np.log1p(_SATURATION * have)
    gain: NDArray[np.float64] = more @ weights
    return gain


class _Reasons:
    """Finds what sets an image apart: the largest of some ratios to the collection, each with its threshold."""

    _UNLIKE_SHARE = 0.25  # of the cells in groups of which the corrected images hold next to nothing
    _UNSURE_RATIO = 1.25
    _RARE_SHARE = 0.03  # of the cells
    _FEW = 0.02  # cells of one image

    def __init__(
        self,
        summaries: Mapping[str, ImageSummary],
        keys: list[str],
        groups: _Groups,
        known: NDArray[np.float64],
        labelled_px: Mapping[int, int],
    ) -> None:
        self._summaries = [summaries[key] for key in keys]
        self._shares = groups.shares
        self._is_unknown = known < self._FEW
        self._anything_known = bool(known.any())
        doubts = [float(s.doubt.mean()) for s in self._summaries if s.doubt is not None]
        self._usual_doubt = max(float(np.mean(doubts)), 1e-6) if doubts else None
        total = sum(labelled_px.values())
        even = total / max(len(labelled_px), 1)
        self._rare = {index for index, count in labelled_px.items() if count < 0.25 * even}

    def of(self, index: int) -> tuple[Reason, int | None]:
        """The reason for one image, and the class where it is a rare one."""
        summary = self._summaries[index]
        found: list[tuple[float, Reason, int | None]] = []
        if self._anything_known:
            unlike = float(self._shares[index][self._is_unknown].sum())
            found.append((unlike / self._UNLIKE_SHARE, Reason.UNLIKE, None))
        if summary.doubt is not None and self._usual_doubt is not None:
            ratio = float(summary.doubt.mean()) / self._usual_doubt
            found.append((ratio / self._UNSURE_RATIO, Reason.UNSURE, None))
        if summary.class_ids is not None:
            counts = np.bincount(summary.class_ids, minlength=256) / len(summary.class_ids)
            rare = max(self._rare, key=lambda i: counts[i], default=None)
            if rare is not None:
                found.append((float(counts[rare]) / self._RARE_SHARE, Reason.RARE, rare))
        strength, reason, class_id = max(found, default=(0.0, Reason.TYPICAL, None), key=lambda entry: entry[0])
        return (reason, class_id) if strength >= 1.0 else (Reason.TYPICAL, None)
