"""Scores of predictions against annotations, from one confusion matrix over the whole set. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import UNLABELLED, ClassMap

_CHUNK_PX = 1 << 20


class ConfusionMatrix:
    """Counts of (true class, predicted class) over any number of images.

    Unlabelled target pixels (255) never count. A predicted id outside the class list counts as wrong for the true
    class and belongs to none.

    Convention of all means: a class that is in neither truth nor prediction has the value NaN and is excluded; a class
    that occurs in only one of them has 0 and counts. mmsegmentation and torchmetrics compute :attr:`mean_iou` like
    this; hszhao/semseg counts absent classes as 0, which is :attr:`mean_iou_absent_zero`. :attr:`mean_class_accuracy`
    is torchmetrics' macro accuracy; mmsegmentation's leaves out the classes that are predicted but not in the truth.
    Everything is computed from the sums over all images, not as a mean over images.

    Args:
        class_ids: The class ids in channel order, or their number K for ids 0 to K - 1.

    Raises:
        ValueError: No class, an id outside 0 to 254, or an id twice.
    """

    def __init__(self, class_ids: int | Sequence[int]) -> None:
        ids = tuple(range(class_ids)) if isinstance(class_ids, int) else tuple(int(i) for i in class_ids)
        if not ids or len(set(ids)) != len(ids) or not all(0 <= i < UNLABELLED for i in ids):
            raise ValueError(f"class ids must be one or more different numbers from 0 to 254, found {ids}")
        self.class_ids = ids
        self._row = np.full(256, -1, np.int64)
        self._row[list(ids)] = np.arange(len(ids))
        self._column = np.where(self._row < 0, len(ids), self._row)
        self._counts = np.zeros((len(ids), len(ids) + 1), np.int64)

    def update(self, target: ClassMap, prediction: ClassMap) -> None:
        """Add the pixels of one image (or of any two arrays of equal shape, uint8 class ids).

        Raises:
            ValueError: The shapes differ, or the target holds an id that is not in the class list.
        """
        if target.shape != prediction.shape:
            raise ValueError(f"target has shape {target.shape}, prediction {prediction.shape}")
        flat_target, flat_prediction = target.reshape(-1), prediction.reshape(-1)
        num_columns = self._counts.shape[1]
        for start in range(0, flat_target.size, _CHUNK_PX):
            truth = flat_target[start : start + _CHUNK_PX]
            labelled = truth != UNLABELLED
            rows = self._row[truth[labelled]]
            if rows.size and int(rows.min()) < 0:
                unknown = sorted(set(np.unique(truth).tolist()) - set(self.class_ids) - {UNLABELLED})
                raise ValueError(f"target holds class ids {unknown}; known are {list(self.class_ids)}")
            columns = self._column[flat_prediction[start : start + _CHUNK_PX][labelled]]
            counts = np.bincount(rows * num_columns + columns, minlength=self._counts.size)
            self._counts += counts.reshape(self._counts.shape)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of ``other``. Raises: ValueError when its classes differ."""
        if other.class_ids != self.class_ids:
            raise ValueError(f"class ids {other.class_ids} differ from {self.class_ids}")
        self._counts += other._counts

    @staticmethod
    def from_counts(class_ids: Sequence[int], counts: NDArray[np.generic]) -> ConfusionMatrix:
        """A matrix of :attr:`counts`, (K, K + 1) whole numbers. Raises: ValueError when the shape does not fit."""
        matrix = ConfusionMatrix(class_ids)
        if counts.shape != matrix._counts.shape:
            raise ValueError(f"counts of shape {counts.shape} for {len(matrix.class_ids)} classes")
        matrix._counts = counts.astype(np.int64)
        return matrix

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K, K + 1) int64 copy: rows true class, columns predicted class, last column ids outside the list."""
        return self._counts.copy()

    @property
    def num_pixels(self) -> int:
        """Labelled pixels counted so far."""
        return int(self._counts.sum())

    @property
    def iou(self) -> NDArray[np.float64]:
        """(K,) float64 intersection over union per class, 0 to 1; NaN where a class is in neither array."""
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            iou: NDArray[np.float64] = self._hits / (self._num_true + self._num_predicted - self._hits)
        return iou

    @property
    def iou_by_id(self) -> dict[int, float]:
        """Class id -> IoU of the classes that occur in truth or prediction."""
        return self._by_id(self.iou)

    @property
    def mean_iou(self) -> float:
        """Mean of :attr:`iou` over the classes that occur; NaN before any labelled pixel was seen."""
        return self.mean_iou_of(self.class_ids)

    def mean_iou_of(self, class_ids: Sequence[int]) -> float:
        """Mean IoU over those of ``class_ids`` that occur; NaN when none does."""
        return _mean({i: v for i, v in self.iou_by_id.items() if i in set(class_ids)})

    @property
    def mean_iou_absent_zero(self) -> float:
        """Sum of :attr:`iou` over all K classes divided by K, absent ones being 0; NaN before any labelled pixel."""
        return float(np.nan_to_num(self.iou).mean()) if self.num_pixels else float("nan")

    @property
    def frequency_weighted_iou(self) -> float:
        """Sum of :attr:`iou`, each class weighted by its share of the labelled pixels; NaN before any was seen."""
        if not self.num_pixels:
            return float("nan")
        return float(np.nan_to_num(self.iou) @ self._num_true / self.num_pixels)

    @property
    def pixel_accuracy(self) -> float:
        """Share of labelled pixels with the right class, 0 to 1; NaN before any was seen."""
        return float(np.trace(self._counts) / self.num_pixels) if self.num_pixels else float("nan")

    @property
    def class_accuracy(self) -> NDArray[np.float64]:
        """(K,) float64 share of a class's true pixels that were found (recall), 0 to 1.

        0 where a class is predicted but not in the truth, NaN where it is in neither.
        """
        accuracy: NDArray[np.float64] = np.where(self._num_predicted > 0, 0.0, np.nan)
        np.divide(self._hits, self._num_true, out=accuracy, where=self._num_true > 0)
        return accuracy

    @property
    def class_accuracy_by_id(self) -> dict[int, float]:
        """Class id -> class accuracy of the classes that occur in truth or prediction."""
        return self._by_id(self.class_accuracy)

    @property
    def mean_class_accuracy(self) -> float:
        """Mean of :attr:`class_accuracy` over the classes that occur; NaN before any labelled pixel was seen."""
        return _mean(self.class_accuracy_by_id)

    @property
    def dice(self) -> NDArray[np.float64]:
        """(K,) float64 Dice coefficient per class (its F1), 0 to 1; NaN where a class is in neither array."""
        with np.errstate(invalid="ignore"):
            dice: NDArray[np.float64] = 2 * self._hits / (self._num_true + self._num_predicted)
        return dice

    @property
    def dice_by_id(self) -> dict[int, float]:
        """Class id -> Dice of the classes that occur in truth or prediction."""
        return self._by_id(self.dice)

    @property
    def mean_dice(self) -> float:
        """Mean of :attr:`dice` over the classes that occur; NaN before any labelled pixel was seen."""
        return _mean(self.dice_by_id)

    @property
    def _hits(self) -> NDArray[np.float64]:
        hits: NDArray[np.float64] = np.diagonal(self._counts).astype(np.float64)
        return hits

    @property
    def _num_true(self) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = self._counts.sum(axis=1).astype(np.float64)
        return sums

    @property
    def _num_predicted(self) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = self._counts[:, :-1].sum(axis=0).astype(np.float64)
        return sums

    def _by_id(self, values: NDArray[np.float64]) -> dict[int, float]:
        return {i: float(v) for i, v in zip(self.class_ids, values, strict=True) if not np.isnan(v)}


def _mean(values: Mapping[int, float]) -> float:
    return float(np.mean(list(values.values()))) if values else float("nan")
