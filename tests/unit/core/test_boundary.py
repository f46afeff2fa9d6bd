"""Boundary F1: closed-form cases and a search through all pairs of pixels as an oracle."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pspnet_core.boundary import BoundaryScore, outlines

IGNORED = 255


def square(left: int, size: int = 60, side: int = 20) -> np.ndarray:
    """A square of class 1 on class 0."""
    array = np.zeros((size, size), np.uint8)
    array[20 : 20 + side, left : left + side] = 1
    return array


def scored(target, prediction, tolerance, class_ids=2) -> BoundaryScore:
    score = BoundaryScore(class_ids, tolerance)
    score.update(np.asarray(target, np.uint8), np.asarray(prediction, np.uint8))
    return score


def test_equal_maps_are_perfect_at_any_tolerance() -> None:
    for tolerance in (0.0, 0.0075, 1.0):
        np.testing.assert_array_equal(scored(square(20), square(20), tolerance).f1, [1.0, 1.0])


def test_a_shift_is_forgiven_up_to_the_tolerance() -> None:
    diagonal = math.hypot(60, 60)
    assert scored(square(20), square(23), 3 / diagonal).f1[1] == 1.0
    assert scored(square(20), square(23), 2.99 / diagonal).f1[1] < 1.0


def test_a_shifted_square_by_hand() -> None:
    """Shifted by 3 of 20 without tolerance: the outlines share 17 pixels above and 17 below of 76 each, and nothing
    else, since the left and right columns have moved."""
    score = scored(square(20), square(23), 0.0)
    assert score.precision[1] == score.recall[1] == pytest.approx(34 / 76)
    assert score.f1[1] == pytest.approx(34 / 76)


def test_precision_and_recall_are_told_apart() -> None:
    target = square(20)
    extra = target.copy()
    extra[2:4, 2:4] = 1  # four pixels of outline too many
    score = scored(target, extra, 0.0)
    assert score.recall[1] == 1.0
    assert score.precision[1] == pytest.approx(76 / 80)
    assert score.f1[1] == pytest.approx(2 * 0.95 / 1.95)


def test_the_border_of_the_image_is_no_outline() -> None:
    score = scored(np.ones((9, 9)), np.ones((9, 9)), 0.1)
    assert np.isnan(score.f1).all()
    assert np.isnan(score.mean_f1)
    assert score.f1_by_id == {}


def test_an_outline_in_only_one_map_scores_nothing() -> None:
    flat = np.zeros((60, 60), np.uint8)
    for target, prediction in ((square(20), flat), (flat, square(20))):
        score = scored(target, prediction, 0.0075, 3)
        np.testing.assert_array_equal(score.f1, [0.0, 0.0, np.nan])
        assert score.mean_f1 == 0.0


def test_unlabelled_pixels_make_no_outline() -> None:
    target, prediction = square(20), square(20)
    target[:, 30:] = IGNORED  # the right half was not annotated, and the prediction does there as it likes
    prediction[5:10, 35:50] = 1
    score = scored(target, prediction, 0.0)
    np.testing.assert_array_equal(score.f1, [1.0, 1.0])
    assert score._counts[1, 3] == 10 + 10 + 18  # above, below and left
    surrounded = square(20)
    surrounded[outlines(surrounded, np.ones_like(surrounded, bool))] = IGNORED
    assert np.isnan(scored(surrounded, square(20), 0.0).f1).all()


def test_sums_over_images_are_compared() -> None:
    one, flat = square(20), np.zeros((60, 60), np.uint8)
    both = scored(one, one, 0.0)
    both.update(one, flat)
    assert both.recall[1] == 0.5
    merged, other = scored(one, one, 0.0), scored(one, flat, 0.0)
    merged.merge(other)
    np.testing.assert_array_equal(merged.f1, both.f1)
    with pytest.raises(ValueError, match="differ"):
        merged.merge(BoundaryScore(3))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        BoundaryScore(2).update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="tolerance"):
        BoundaryScore(2, -0.1)
    with pytest.raises(ValueError, match="254"):
        BoundaryScore((1, 1))


def oracle(target: np.ndarray, prediction: np.ndarray, class_id: int, tolerance: float) -> float:
    """F1 by its definition, pixel by pixel."""
    height, width = target.shape

    def edge(array: np.ndarray) -> list[tuple[int, int]]:
        found = []
        for y in range(height):
            for x in range(width):
                if array[y, x] != class_id or target[y, x] == IGNORED:
                    continue
                near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                if any(
                    0 <= v < height and 0 <= u < width and target[v, u] != IGNORED and array[v, u] != class_id
                    for v, u in near
                ):
                    found.append((y, x))
        return found

    limit = (tolerance * math.hypot(height, width)) ** 2 + 1e-9
    true, guess = edge(target), edge(prediction)

    def share(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        right = sum(any((a - c) ** 2 + (b - d) ** 2 <= limit for c, d in others) for a, b in points)
        return right / len(points) if points else 0.0

    if not true and not guess:
        return float("nan")
    precision, recall = share(guess, true), share(true, guess)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


maps = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 255]))


@settings(deadline=None)
@given(st.data(), maps, st.sampled_from([0.0, 0.11, 0.2, 0.37]))
def test_equals_the_search_through_all_pairs(data, target, tolerance) -> None:
    prediction = data.draw(hnp.arrays(np.uint8, target.shape, elements=st.integers(0, 3)))
    found = scored(target, prediction, tolerance, 4).f1
    np.testing.assert_allclose(found, [oracle(target, prediction, i, tolerance) for i in range(4)])


def test_needs_no_torch() -> None:
    code = (
        "import sys; import numpy as np; from pspnet_core.boundary import BoundaryScore\n"
        "m = np.eye(4, dtype=np.uint8); BoundaryScore(2).update(m, m); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
