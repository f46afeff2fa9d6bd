"""How well predicted outlines follow the true ones. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import UNLABELLED, BoolMask, ClassMap

DEFAULT_TOLERANCE = 0.0075
"""Share of the image diagonal by which outlines may be apart (Csurka et al.; DAVIS uses 0.008)."""


class BoundaryScore:
    """Boundary F1 per class over any number of images.

    A pixel belongs to the outline of class c in a class map when it has class c and one of its four neighbours has
    another class. Pixels that are unlabelled in the truth are as if outside the image, in truth and prediction: they
    are on no outline and make none, just as the image border makes none.

    An outline pixel of the prediction is right when an outline pixel of the same class in the truth is at most
    ``tolerance`` x diagonal of the image away (Euclidean, between pixel centres), and one of the truth is found when
    the same holds the other way round. Precision is the share of the predicted outline that is right, recall the share
    of the true outline that is found, F1 their harmonic mean. All are computed per class from the sums over all images.

    A class without outline in truth and prediction has the value NaN and is excluded from the mean; with an outline in
    only one of them its F1 is 0. A data set that leaves every outline unlabelled (Pascal VOC) has none to measure.

    Args:
        class_ids: The class ids in channel order, or their number K for ids 0 to K - 1.
        tolerance: Share of the image diagonal, 0 or more.

    Raises:
        ValueError: No class, an id outside 0 to 254 or twice, or a negative tolerance.

    Source: Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?" (BMVC 2013);
    Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (CVPR 2016). Both
    average over images; here the sums over the images are compared, as in :class:`pspnet_core.metrics.ConfusionMatrix`.
    """

    def __init__(self, class_ids: int | Sequence[int], tolerance: float = DEFAULT_TOLERANCE) -> None:
        ids = tuple(range(class_ids)) if isinstance(class_ids, int) else tuple(int(i) for i in class_ids)
        if not ids or len(set(ids)) != len(ids) or not all(0 <= i < UNLABELLED for i in ids):
            raise ValueError(f"class ids must be one or more different numbers from 0 to 254, found {ids}")
        if not tolerance >= 0:
            raise ValueError(f"the tolerance must be 0 or more, found {tolerance}")
        self.class_ids, self.tolerance = ids, tolerance
        # Per class: right and all outline pixels of the prediction, found and all of the truth.
        self._counts = np.zeros((len(ids), 4), np.int64)

    def update(self, target: ClassMap, prediction: ClassMap) -> None:
        """Add one image.

        Args:
            target: (H, W) uint8 class ids, 255 = unlabelled.
            prediction: (H, W) uint8 class ids.

        Raises:
            ValueError: The arrays are not (H, W) or their shapes differ.
        """
        if target.shape != prediction.shape or target.ndim != 2:
            raise ValueError(f"target has shape {target.shape}, prediction {prediction.shape}; expected twice (H, W)")
        labelled = target != UNLABELLED
        true_edges, predicted_edges = outlines(target, labelled), outlines(prediction, labelled)
        truth, guess = np.nonzero(true_edges), np.nonzero(predicted_edges)
        limit_px2 = self.tolerance**2 * (target.shape[0] ** 2 + target.shape[1] ** 2)
        classes_of_truth, classes_of_guess = target[truth], prediction[guess]
        for row, class_id in enumerate(self.class_ids):
            mine = [a[classes_of_truth == class_id] for a in truth]
            theirs = [a[classes_of_guess == class_id] for a in guess]
            num_true, num_guess = mine[0].size, theirs[0].size
            if num_true and num_guess:
                right, found = _near(theirs, mine, limit_px2), _near(mine, theirs, limit_px2)
            else:
                right = found = 0
            self._counts[row] += (right, num_guess, found, num_true)

    def merge(self, other: BoundaryScore) -> None:
        """Add the images of ``other``. Raises: ValueError when its classes or its tolerance differ."""
        if (other.class_ids, other.tolerance) != (self.class_ids, self.tolerance):
            raise ValueError(f"class ids or tolerance differ: {other.class_ids}, {other.tolerance}")
        self._counts += other._counts

    @property
    def precision(self) -> NDArray[np.float64]:
        """(K,) float64 share of the predicted outlines that is right; NaN where there is none."""
        return _share(self._counts[:, 0], self._counts[:, 1])

    @property
    def recall(self) -> NDArray[np.float64]:
        """(K,) float64 share of the true outlines that was found; NaN where there is none."""
        return _share(self._counts[:, 2], self._counts[:, 3])

    @property
    def f1(self) -> NDArray[np.float64]:
        """(K,) float64 boundary F1 per class, 0 to 1; NaN where neither truth nor prediction has an outline."""
        precision, recall = np.nan_to_num(self.precision), np.nan_to_num(self.recall)
        f1: NDArray[np.float64] = np.where(self._counts[:, 1] + self._counts[:, 3] > 0, 0.0, np.nan)
        np.divide(2 * precision * recall, precision + recall, out=f1, where=precision + recall > 0)
        return f1

    @property
    def f1_by_id(self) -> dict[int, float]:
        """Class id -> F1 of the classes with an outline in truth or prediction."""
        return {i: float(v) for i, v in zip(self.class_ids, self.f1, strict=True) if not np.isnan(v)}

    @property
    def mean_f1(self) -> float:
        """Mean of :attr:`f1` over the classes with an outline in truth or prediction; NaN when there is none."""
        values = list(self.f1_by_id.values())
        return float(np.mean(values)) if values else float("nan")


def outlines(class_map: ClassMap, counts: BoolMask) -> BoolMask:
    """Pixels that have a neighbour (of four) of another class; those outside ``counts`` are as if not there.

    Args:
        class_map: (H, W) uint8 class ids.
        counts: (H, W) bool.

    Returns:
        (H, W) bool, a new array.
    """
    edges = np.zeros(class_map.shape, np.bool_)
    for first, second in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),  # left and right
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),  # above and below
    ):
        differ = (class_map[first] != class_map[second]) & counts[first] & counts[second]
        edges[first] |= differ
        edges[second] |= differ
    return edges


def _near(points: list[NDArray[np.intp]], others: list[NDArray[np.intp]], limit_px2: float) -> int:
    """How many of ``points`` have one of ``others`` within a squared distance; both (rows, columns), not empty."""
    from pspnet_core.imaging.cv import cv2

    top, left = (int(min(p.min(), o.min())) for p, o in zip(points, others, strict=True))
    bottom, right = (int(max(p.max(), o.max())) for p, o in zip(points, others, strict=True))
    free = np.ones((bottom - top + 1, right - left + 1), np.uint8)
    free[others[0] - top, others[1] - left] = 0
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squared = distance[points[0] - top, points[1] - left].astype(np.float64) ** 2
    return int(np.count_nonzero(np.rint(squared) <= limit_px2))  # squared distances are whole numbers


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
