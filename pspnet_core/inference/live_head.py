"""The head that follows the hand: fitted anew at every stroke on the cached features of one image. Imports no torch.

A multinomial logistic regression on the cells that the person has marked. A model's logits can be its prior: the head
then learns what to add to them. Cells of earlier images can be further rows.

Legend: K classes, D features, cells: the grid of the features, H, W image size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pspnet_core.inference.kept_rows import KeptRows
from pspnet_core.inference.live_scoring import Scorer, in_cells
from pspnet_core.inference.live_sharpen import Planes, Sharpener, best_of, fine, softmax
from pspnet_core.inference.live_solver import Solution, fit_logistic
from pspnet_core.inference.live_trust import belief
from pspnet_core.types import UNLABELLED, ClassMap, Prediction, Rect

if TYPE_CHECKING:
    from pspnet_core.inference.features import FeatureBlock, ImageFeatures
    from pspnet_core.inference.logits import LogitGrid

PENALTY = 0.03
"""For a learned block of 40 features, relative to the mean loss of a row; larger blocks get more, in proportion."""

PLAIN_PENALTY = 0.45
"""For blocks of colours, edges and texture: they decide only where the network sees no difference."""

KEPT_PER_CLASS = 100
"""Marked cells of each class that an image leaves for later ones."""

_BLOCK_OF = 40
_RADIUS_PX = 16  # of border sharpening, in pixels of the working image
_MAX_ROWS = 3_000  # of this image; a fit then takes some ten milliseconds
_MAX_KNOWN = 20_000
_UNKNOWN_LOGIT = -4.0  # log odds of a class that the prior does not know
_ANCHORS, _ANCHOR_WEIGHT = 500, 0.5
_FREQUENCY_SHARE, _FREQUENCY_ROUNDS, _FREQUENCY_CELLS = 0.35, 3, 4_000
_UNMARKED_CELLS, _UNMARKED_WEIGHT = 1_000, 0.2
_FORGOTTEN = 0.03
_KEPT_WEIGHT = 0.5  # of the rows of earlier images beside those of this one


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the head says, in cells.

    Attributes:
        planes: (K, cells) float32 probabilities, sharpened along borders.
        class_ids: Of the K planes.
        height: H.
        width: W.
    """

    planes: Planes
    class_ids: tuple[int, ...]
    height: int
    width: int


class LiveHead:
    """A linear head for one image.

    Args:
        features: Of the image.
        num_classes: Class ids are below this number.
        prior: What a model says about the image; the answer departs from it only where strokes say so.
        kept: Marked cells of earlier images.
        trust: In the prior, see :func:`~pspnet_core.inference.live_trust.trust_in`.

    Raises:
        ValueError: The number of classes is not 1 to 255.
    """

    def __init__(
        self,
        features: ImageFeatures,
        num_classes: int,
        prior: LogitGrid | None = None,
        kept: KeptRows | None = None,
        trust: float = 1.0,
    ) -> None:
        if not 1 <= num_classes <= UNLABELLED:
            raise ValueError(f"number of classes must be 1 to {UNLABELLED}, found {num_classes}")
        self._features, self._num_classes = features, num_classes
        self._scorer = Scorer(features)
        self._sharpener = Sharpener(features.guide, max(1, _RADIUS_PX // features.cell_px))
        self._solution: tuple[tuple[int, ...], Solution] | None = None
        self._fitted: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None = None
        self._marks = np.empty(0, np.intp), np.empty(0, np.uint8)
        rows, columns = features.grid
        self._order = np.random.default_rng(0).permutation(rows * columns).astype(np.intp)
        self._rank = np.empty_like(self._order)
        self._rank[self._order] = np.arange(len(self._order))
        self._place = np.full(rows * columns, -1, np.int32)  # of each cell in the rows that are known
        self._known = np.empty((0, features.num_features), np.float32)
        self._penalty = np.concatenate([np.full(len(b.values), _penalty(b), np.float32) for b in features.blocks])
        self.set_kept(kept)
        self._prior_ids: tuple[int, ...] = ()
        self._prior: Planes | None = None
        self._belief = 1.0  # in the prior
        self.set_prior(prior, trust)

    @property
    def features(self) -> ImageFeatures:
        """What it rests on."""
        return self._features

    def set_prior(self, prior: LogitGrid | None, trust: float = 1.0) -> None:
        """Replace the prior, and the trust in it; the next fit starts from nothing."""
        self._solution, self._trust = None, trust
        self._prior = None if prior is None else in_cells(prior, *self._features.grid)
        self._prior_ids = () if prior is None else prior.class_ids

    def prior_classes(self) -> ClassMap:
        """What the prior alone says: (cells) uint8 class ids, 255 where there is no prior."""
        if self._prior is None:
            return np.full(self._features.grid, UNLABELLED, np.uint8)
        return best_of(self._prior, self._prior_ids)[0]

    def set_kept(self, kept: KeptRows | None) -> None:
        """Replace the rows of earlier images."""
        self._kept = None
        if kept is not None and len(kept.rows):
            self._kept = kept.seen_from(self._features), kept.class_ids

    def refine(self, strokes: ClassMap, erased: ClassMap | None = None) -> Prediction:
        """Fit the head to strokes and say what the whole image is. The last fit is the start of this one.

        Args:
            strokes: (H, W) uint8 class ids, 255 where nothing is marked.
            erased: (H, W) uint8: where a class was taken away by hand, its id, 255 elsewhere.

        Raises:
            ValueError: A wrong shape, a class id that is too large, or nothing that speaks for any class.
        """
        expected = self._features.height, self._features.width
        for given in (strokes, erased):
            if given is not None and given.shape != expected:
                raise ValueError(f"strokes {given.shape} do not fit the image {expected}")
        whole = Rect(0, 0, *self._features.grid[::-1])
        cells = self._features.reduced(strokes, whole)
        answer = self.answer(cells, None if erased is None else self._features.reduced(erased, whole))
        if answer is None:
            raise ValueError("no class is marked, and there is no prior")
        answer = self.settled(answer)
        for prediction in fine(answer.planes, answer.class_ids, answer.height, answer.width):
            if prediction is not None:
                return prediction
        raise AssertionError("a prediction ends with its result")

    def answer(self, marked: ClassMap, erased: ClassMap | None = None) -> Answer | None:
        """As :meth:`refine`, in cells; None where nothing speaks for any class.

        Args:
            marked: (cells) uint8 class ids, 255 where nothing is marked.
            erased: (cells) uint8 class ids that were taken away, 255 elsewhere.
        """
        ids = self._class_ids(marked)
        if not ids:
            return None
        # Nothing is added to a prior that is fully trusted before a hand has spoken.
        has_spoken = (marked != UNLABELLED).any() or (erased is not None and (erased != UNLABELLED).any())
        is_enough = self._trust >= 1.0 or self._kept is None
        if len(ids) == 1 or (self._prior is not None and not has_spoken and is_enough):
            self._solution, self._belief = None, 1.0
        else:
            self._fit(ids, marked, erased)
        return Answer(self._probabilities(ids), ids, self._features.height, self._features.width)

    def settled(self, answer: Answer) -> Answer:
        """A second look: fit again, now also to cells that nobody has marked, as the first answer has them.

        They count little, and the more the surer that answer is. What strokes say alone is thus extended by what the
        rest of the image looks like. Where that makes marks forgotten (small things are swallowed), with a prior, or
        where nothing was fitted, it is the answer itself.
        """
        if self._solution is None or self._prior is not None or self._fitted is None:
            return answer
        some = self._order[:_UNMARKED_CELLS]
        flat = np.take(answer.planes.reshape(len(answer.planes), -1), some, axis=1)
        sureness = np.square(np.clip(flat.max(axis=0), 0, 1))
        rows, allowed, importance = self._fitted
        share = sureness * (_UNMARKED_WEIGHT / max(float(sureness.sum()), 1e-6))
        total = np.float32(1 + _UNMARKED_WEIGHT)
        solution = fit_logistic(
            np.concatenate([rows, self._rows(some)]),
            np.concatenate([allowed, np.equal.outer(flat.argmax(axis=0), np.arange(len(flat)))]).astype(np.float32),
            (np.concatenate([importance, share]) / total).astype(np.float32),
            (self._penalty / total).astype(np.float32),
            self._solution[1]._replace(inverse=None),
        )
        # The next stroke begins with the curvature of today, which nobody has to wait for now.
        self._solution = self._solution[0], self._solution[1]._replace(inverse=solution.inverse)
        second = replace(answer, planes=self._planes_of(solution))
        return answer if self._remembered(second) < self._remembered(answer) - _FORGOTTEN else second

    def _remembered(self, answer: Answer) -> float:
        """Share of the marked cells that an answer gives their class, all classes counting alike."""
        cells, class_ids = self._marks
        found = np.take(answer.planes.reshape(len(answer.planes), -1), cells, axis=1).argmax(axis=0)
        return float(_balanced(class_ids)[np.array(answer.class_ids, np.uint8)[found] == class_ids].sum())

    def marked_rows(self, marked: ClassMap, per_class: int = KEPT_PER_CLASS) -> KeptRows:
        """The marked cells as rows to be kept for other images: at most ``per_class`` of each class."""
        cells, class_ids = self._chosen(marked, per_class)
        rows = self._features.rows(cells).astype(np.float16)
        mean, deviation = self._features.statistics
        return KeptRows(rows, class_ids, np.zeros(len(rows), np.uint16), mean[None], deviation[None])

    # --- inside

    def _class_ids(self, marked: ClassMap) -> tuple[int, ...]:
        ids = set(np.flatnonzero(np.bincount(marked.ravel(), minlength=256)[:UNLABELLED]).tolist())
        if ids and max(ids) >= self._num_classes:
            raise ValueError(f"class ids must be below {self._num_classes}, found {max(ids)}")
        kept = set() if self._kept is None else set(np.unique(self._kept[1]).tolist())
        return tuple(sorted(ids | kept | set(self._prior_ids)))

    def _fit(self, ids: tuple[int, ...], marked: ClassMap, erased: ClassMap | None) -> None:
        cells, class_ids = self._chosen(marked, max(1, _MAX_ROWS // len(ids)))
        channels = np.array(ids)
        self._marks = cells, class_ids
        parts = [_Part(cells, np.equal.outer(class_ids, channels), _balanced(class_ids))]
        if erased is not None:
            where, taken = self._chosen(erased, _MAX_ROWS // len(ids))
            is_known = np.isin(taken, channels)
            where, taken = where[is_known], taken[is_known]
            share = len(where) / max(1, len(where) + len(cells))
            parts.append(_Part(where, np.not_equal.outer(taken, channels), _balanced(taken) * share))
        rows = [self._rows(part.cells) for part in parts]
        allowed = [part.allowed for part in parts]
        importance = [part.importance for part in parts]
        offset = None
        if self._prior is not None:
            self._belief = self._trust * belief(self.prior_classes(), marked, erased)
            scores = [self._prior_at(part.cells, ids) for part in parts]
            anchors = self._order[:_ANCHORS]
            there = self._prior_at(anchors, ids)
            rows.append(self._rows(anchors))
            allowed.append(np.equal.outer(there.argmax(axis=1), np.arange(len(ids))))
            importance.append(np.full(len(anchors), self._belief * _ANCHOR_WEIGHT / len(anchors), np.float32))
            scores.append(there)
            offset = scores
        if self._kept is not None:
            seen, kept_ids = self._kept
            rows.append(seen)
            allowed.append(np.equal.outer(kept_ids, channels))
            importance.append(_balanced(kept_ids) * (_KEPT_WEIGHT if len(cells) else 1.0))
            if offset is not None:
                offset.append(np.zeros((len(seen), len(ids)), np.float32))
        weights = np.concatenate(importance).astype(np.float32)
        self._fitted = np.concatenate(rows), np.concatenate(allowed).astype(np.float32), weights / weights.sum()
        solution = fit_logistic(
            *self._fitted,
            self._penalty,
            self._start(ids),
            None if offset is None else np.concatenate(offset),
        )
        self._solution = ids, solution

    def _start(self, ids: tuple[int, ...]) -> Solution | None:
        """The last solution, with zeros for classes that are new."""
        if self._solution is None:
            return None
        known, last = self._solution
        if known == ids:
            return last
        start = Solution(
            np.zeros((len(self._penalty), len(ids)), np.float32),
            np.full(len(ids), last.bias.min(), np.float32),
            last.inverse,
        )
        for channel, class_id in enumerate(ids):
            if class_id in known:
                start.weights[:, channel] = last.weights[:, known.index(class_id)]
                start.bias[channel] = last.bias[known.index(class_id)]
        return start

    def _probabilities(self, ids: tuple[int, ...]) -> Planes:
        rows, columns = self._features.grid
        before = None if self._prior is None else self._prior_planes(ids)
        if self._solution is None:
            nothing = np.zeros((len(ids), rows, columns), np.float32)
            return softmax(nothing if before is None else before)
        if before is None:
            return self._planes_of(self._solution[1])
        scores = self._scorer.scores(self._solution[1])
        # Only what the head changes is smoothed: where it changes nothing, the answer is the model's own.
        scores += before
        base = softmax(before)
        changed = self._sharpener.smooth(softmax(scores) - base)
        changed += base
        return np.maximum(changed, np.float32(0), out=changed)

    def _planes_of(self, solution: Solution) -> Planes:
        """(K, cells) probabilities of a head that has no prior."""
        scores = self._scorer.scores(solution)
        scores += self._frequencies(scores)[:, None, None]
        return self._sharpener.smooth(softmax(scores))

    def _frequencies(self, scores: Planes) -> NDArray[np.float32]:
        """(K,) to be added to scores: strokes count all classes alike, but the image does not hold as much of each."""
        some = np.take(scores.reshape(len(scores), -1), self._order[:_FREQUENCY_CELLS], axis=1)
        added = np.zeros(len(scores), np.float32)
        for _ in range(_FREQUENCY_ROUNDS):
            share = softmax(some + added[:, None]).mean(axis=1)
            added = np.float32(_FREQUENCY_SHARE) * np.log(np.maximum(share, np.float32(1e-3)))
        return added

    def _prior_planes(self, ids: tuple[int, ...]) -> Planes:
        """(K, cells) logits of the prior, as far as it is believed."""
        assert self._prior is not None
        planes = np.full((len(ids), *self._features.grid), _UNKNOWN_LOGIT, np.float32)
        for plane, class_id in zip(planes, ids, strict=True):
            if class_id in self._prior_ids:
                plane[:] = self._prior[self._prior_ids.index(class_id)]
        return np.multiply(planes, np.float32(self._belief), out=planes)

    def _prior_at(self, cells: NDArray[np.intp], ids: tuple[int, ...]) -> NDArray[np.float32]:
        assert self._prior is not None
        found = np.full((len(cells), len(ids)), _UNKNOWN_LOGIT, np.float32)
        flat = self._prior.reshape(len(self._prior_ids), -1)
        for channel, class_id in enumerate(ids):
            if class_id in self._prior_ids:
                found[:, channel] = flat[self._prior_ids.index(class_id), cells]
        return np.multiply(found, np.float32(self._belief), out=found)

    def _rows(self, cells: NDArray[np.intp]) -> NDArray[np.float32]:
        """Features of cells; those that were asked for before are kept."""
        places = self._place[cells]
        new = cells[places < 0]
        if len(new):
            count = len(self._known)
            self._known = np.concatenate([self._known, self._features.rows(new)])
            if len(self._known) > _MAX_KNOWN:  # after many changes of mind
                self._place[:] = -1
                self._known, count, new = self._features.rows(cells), 0, cells
            self._place[new] = np.arange(count, len(self._known))
            places = self._place[cells]
        return self._known[places]

    def _chosen(self, marked: ClassMap, per_class: int) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Marked cells and their classes; of those of one class the same ones again as long as they are marked."""
        cells = np.flatnonzero(marked != UNLABELLED)
        class_ids = marked.ravel()[cells]
        kept = []
        for class_id in np.unique(class_ids):
            of_class = cells[class_ids == class_id]
            if len(of_class) > per_class:
                of_class = of_class[np.argpartition(self._rank[of_class], per_class)[:per_class]]
            kept.append(of_class)
        chosen = np.concatenate(kept) if kept else cells
        return chosen, marked.ravel()[chosen]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    cells: NDArray[np.intp]
    allowed: NDArray[np.bool_]
    importance: NDArray[np.float32]


def _balanced(class_ids: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weights of sum 1 in which all classes that are there count alike."""
    counts = np.bincount(class_ids, minlength=256)
    num_classes = max(1, int(np.count_nonzero(counts)))
    weights: NDArray[np.float32] = (1 / (counts[class_ids] * num_classes)).astype(np.float32)
    return weights


def _penalty(block: FeatureBlock) -> float:
    return PENALTY * len(block.values) / _BLOCK_OF if block.is_learned else PLAIN_PENALTY
