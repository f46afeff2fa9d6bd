"""The head that is fitted at every stroke."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pspnet_core.inference.kept_rows import KeptRows
from pspnet_core.inference.live_head import LiveHead
from pspnet_core.inference.live_sharpen import coarse
from pspnet_core.inference.live_solver import fit_logistic
from pspnet_core.inference.live_trust import trust_in
from pspnet_core.inference.logits import LogitGrid, grid_shape
from pspnet_core.types import UNLABELLED, ClassMap, Rect
from tests.helpers.live import plain_features, two_halves

LEFT, RIGHT = 1, 3


def strokes(shape: tuple[int, int], *marks: tuple[int, slice, slice]) -> ClassMap:
    found: ClassMap = np.full(shape, UNLABELLED, np.uint8)
    for class_id, rows, columns in marks:
        found[rows, columns] = class_id
    return found


def both(shape: tuple[int, int] = (60, 80)) -> ClassMap:
    return strokes(shape, (LEFT, slice(5, 9), slice(5, 20)), (RIGHT, slice(5, 9), slice(60, 75)))


def share(part: NDArray[Any], value: int) -> float:
    return float((part == value).mean())


def prior_of(planes: NDArray[np.float32], class_ids: tuple[int, ...], height: int, width: int) -> LogitGrid:
    rows, columns = grid_shape(height, width, 4, False)
    values = np.repeat(np.repeat(planes, -(-rows // planes.shape[1]), axis=1), -(-columns // planes.shape[2]), axis=2)
    return LogitGrid(values[:, :rows, :columns].astype(np.float16), 4, class_ids, height, width, False)


@pytest.mark.parametrize(("height", "width", "cell_px"), [(60, 80, 1), (61, 83, 2), (33, 47, 2)])
def test_two_strokes_separate_two_halves(height: int, width: int, cell_px: int) -> None:
    image = two_halves(height, width)
    marked = strokes(
        (height, width), (LEFT, slice(5, 9), slice(2, 9)), (RIGHT, slice(5, 9), slice(width - 9, width - 2))
    )
    answer = LiveHead(plain_features(image, cell_px), 4).refine(marked)
    assert answer.class_map.shape == (height, width)
    assert answer.confidence.dtype == np.uint8
    assert share(answer.class_map[:, : width // 2 - 4], LEFT) > 0.99
    assert share(answer.class_map[:, width // 2 + 4 :], RIGHT) > 0.99


def test_a_later_stroke_changes_the_answer_and_a_warm_start_ends_where_a_cold_one_does() -> None:
    image = two_halves()
    image[30:, 40:] = (200, 40, 40)
    marked = both()
    warm = LiveHead(plain_features(image), 6)
    first = warm.refine(marked).class_map
    assert share(first[34:, 44:], 5) == 0
    marked[50:54, 60:70] = 5
    second = warm.refine(marked)
    cold = LiveHead(plain_features(image), 6).refine(marked)
    assert share(second.class_map[34:, 44:], 5) > 0.95
    assert float((second.class_map == cold.class_map).mean()) > 0.998
    assert np.abs(second.confidence.astype(int) - cold.confidence).mean() < 4


def test_taking_a_stroke_back_takes_its_class_back() -> None:
    head = LiveHead(plain_features(two_halves()), 6)
    marked = both()
    marked[40:44, 5:20] = 5
    head.refine(marked)
    marked[40:44, 5:20] = UNLABELLED
    assert set(np.unique(head.refine(marked).class_map)) == {LEFT, RIGHT}


def test_what_was_erased_is_not_that_class_any_more() -> None:
    image = two_halves()
    image[30:, 40:] = (200, 40, 40)  # red: nearer to the dark half or to the bright one, nobody has said
    head = LiveHead(plain_features(image), 4)
    before = head.refine(both()).class_map[34:, 44:]
    wrong = LEFT if share(before, LEFT) > 0.5 else RIGHT
    erased = strokes((60, 80), (wrong, slice(45, 50), slice(50, 70)))
    after = head.refine(both(), erased).class_map
    assert share(after[34:, 44:], wrong) < 0.1
    assert share(after[:26, :36], LEFT) > 0.99
    assert share(after[:26, 44:], RIGHT) > 0.99


def test_a_prior_is_kept_as_it_is_before_a_hand_has_spoken() -> None:
    planes = np.array([[[2.0, -2.0]], [[-2.0, 2.0]]], np.float32)
    head = LiveHead(plain_features(two_halves()), 9, prior=prior_of(planes, (7, 2), 60, 80))
    answer = head.refine(np.full((60, 80), UNLABELLED, np.uint8))
    assert share(answer.class_map[:, :36], 7) == 1
    assert share(answer.class_map[:, 44:], 2) == 1


def test_strokes_move_the_answer_away_from_the_prior_only_where_they_say_so() -> None:
    image = two_halves(64, 80)
    image[32:, 40:] = (200, 40, 40)
    planes = np.array([[[2.0, -2.0]], [[-2.0, 2.0]]], np.float32)
    head = LiveHead(plain_features(image), 9, prior=prior_of(planes, (LEFT, RIGHT), 64, 80))
    answer = head.refine(strokes((64, 80), (5, slice(50, 55), slice(55, 70)))).class_map
    assert share(answer[38:, 48:], 5) > 0.95
    assert share(answer[:, :36], LEFT) > 0.99
    assert share(answer[:28, 48:], RIGHT) > 0.99


def test_a_stroke_that_agrees_with_the_prior_changes_next_to_nothing() -> None:
    planes = np.array([[[3.0, -3.0]], [[-3.0, 3.0]]], np.float32)
    head = LiveHead(plain_features(two_halves()), 9, prior=prior_of(planes, (LEFT, RIGHT), 60, 80))
    before = head.refine(np.full((60, 80), UNLABELLED, np.uint8))
    after = head.refine(strokes((60, 80), (LEFT, slice(5, 9), slice(5, 20))))
    assert float((before.class_map == after.class_map).mean()) > 0.97


def test_a_prior_is_believed_less_the_more_a_hand_had_to_put_right() -> None:
    noise = np.random.default_rng(0).normal(0, 80, (96, 120, 3))  # so that colours alone do not decide
    image = np.clip(two_halves(96, 120) + noise, 0, 255).astype(np.uint8)
    planes = np.array([[[-6.0, -6.0]], [[6.0, 6.0]]], np.float32)  # sure that all of it is what is on the right
    head = LiveHead(plain_features(image), 9, prior=prior_of(planes, (LEFT, RIGHT), 96, 120))
    on_right = RIGHT, slice(10, 12), slice(80, 110)
    little = head.refine(strokes((96, 120), (LEFT, slice(10, 12), slice(10, 12)), on_right)).class_map
    much = head.refine(strokes((96, 120), (LEFT, slice(5, 40), slice(5, 50)), on_right)).class_map
    assert share(little[52:, :54], LEFT) < 0.7
    assert share(much[52:, :54], LEFT) > 0.9  # 0.7 where it is believed as before
    assert share(much[:, 66:], RIGHT) > 0.9
    nothing = head.refine(np.full((96, 120), UNLABELLED, np.uint8))
    assert share(nothing.class_map, RIGHT) == 1
    assert nothing.confidence.min() > 250  # taken back, it counts as before


def test_rows_of_earlier_images_speak_beside_a_version_that_has_seen_few_images() -> None:
    image, nothing = two_halves(), np.full((60, 80), UNLABELLED, np.uint8)
    earlier = LiveHead(plain_features(image), 9)
    kept = earlier.marked_rows(both())
    planes = np.array([[[-2.0, -2.0]], [[2.0, 2.0]]], np.float32)  # sees what is on the right everywhere
    prior = prior_of(planes, (LEFT, RIGHT), 60, 80)
    seen = {n: LiveHead(plain_features(image), 9, prior, kept, trust_in(n)).refine(nothing) for n in (1, None)}
    assert share(seen[1].class_map[:, :36], LEFT) > 0.95
    assert share(seen[1].class_map[:, 44:], RIGHT) > 0.95
    assert share(seen[None].class_map, RIGHT) == 1  # fully trusted, it is shown as it is
    alone = LiveHead(plain_features(image), 9, prior, trust=trust_in(1)).refine(nothing)
    np.testing.assert_array_equal(alone.confidence, seen[None].confidence)


def test_trust_grows_with_the_images_that_a_version_has_seen() -> None:
    trusted = [trust_in(n) for n in (0, 1, 4, 100)]
    assert trusted == sorted(trusted)
    assert trusted[0] == 0
    assert 0.9 < trusted[-1] < 1
    assert trust_in(None) == 1


def test_one_class_is_everywhere_and_nothing_is_no_answer() -> None:
    head = LiveHead(plain_features(two_halves()), 4)
    answer = head.refine(strokes((60, 80), (LEFT, slice(5, 9), slice(5, 20))))
    assert share(answer.class_map, LEFT) == 1
    with pytest.raises(ValueError, match="no class"):
        head.refine(np.full((60, 80), UNLABELLED, np.uint8))


def test_rows_of_an_earlier_image_answer_for_a_later_one() -> None:
    earlier = LiveHead(plain_features(two_halves(seed=1)), 4)
    kept = earlier.marked_rows(both(), per_class=20)
    assert len(kept.rows) == 40
    assert kept.rows.dtype == np.float16
    later = LiveHead(plain_features(two_halves(seed=2)), 4, kept=KeptRows.joined([kept]))
    answer = later.refine(np.full((60, 80), UNLABELLED, np.uint8)).class_map
    assert share(answer[:, :36], LEFT) > 0.99
    assert share(answer[:, 44:], RIGHT) > 0.99


def test_wrong_arguments_are_refused() -> None:
    features = plain_features(two_halves())
    with pytest.raises(ValueError, match="do not fit"):
        LiveHead(features, 4).refine(np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="below 2"):
        LiveHead(features, 2).refine(both())
    with pytest.raises(ValueError, match="number of classes"):
        LiveHead(features, 0)


def test_cells_of_a_reduced_image_take_the_class_of_their_pixels_and_none_where_two_meet() -> None:
    features = plain_features(two_halves(61, 83), cell_px=2)
    pixels = strokes((61, 83), (LEFT, slice(10, 14), slice(10, 13)), (RIGHT, slice(10, 14), slice(13, 16)))
    whole = Rect(0, 0, *features.grid[::-1])
    cells = features.reduced(pixels, whole)
    assert cells.shape == features.grid
    assert {LEFT, RIGHT} == set(np.unique(cells)) - {UNLABELLED}
    part = Rect(3, 4, 7, 5)
    assert (features.reduced(pixels[features.pixels_of(part).slices], part) == cells[part.slices]).all()
    assert features.cells_in(Rect(10, 10, 3, 4)).intersect(whole) == features.cells_in(Rect(10, 10, 3, 4))
    row, column = np.argwhere(cells == LEFT)[0]
    assert features.cells_in(Rect(10, 10, 3, 4)).x <= column
    assert features.cells_in(Rect(10, 10, 3, 4)).y <= row


def test_the_solver_finds_the_minimum() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 5)).astype(np.float32)
    labels = (rows @ rng.normal(size=(5, 3))).argmax(axis=1)
    allowed = np.eye(3, dtype=np.float32)[labels]
    importance = np.full(200, 1 / 200, np.float32)
    penalty = np.full(5, 0.01, np.float32)
    found = fit_logistic(rows, allowed, importance, penalty, tolerance=1e-7, max_steps=200)
    logits = rows @ found.weights + found.bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    residual = odds / odds.sum(axis=1, keepdims=True) - allowed
    slope = rows.T @ (residual / 200) + penalty[:, None] * found.weights
    assert np.abs(slope).max() < 1e-3


def test_rows_of_an_image_mean_half_what_they_say_beside_their_own_image_and_half_what_they_are() -> None:
    """A field in a picture that is all fields is not a town where there are fields and towns."""

    def flat(level: int, seed: int) -> NDArray[np.uint8]:
        noise = np.random.default_rng(seed).normal(0, 12, (60, 80, 3))
        return (level + noise).clip(0, 255).astype(np.uint8)

    parts = []
    for class_id, level in enumerate((60, 190)):
        head = LiveHead(plain_features(flat(level, class_id)), 4)
        marked = np.full((60, 80), UNLABELLED, np.uint8)
        marked[5:20, 5:70] = class_id
        parts.append(head.marked_rows(marked))
    empty = np.full((60, 80), UNLABELLED, np.uint8)
    found = LiveHead(plain_features(two_halves(seed=2)), 4, kept=KeptRows.joined(parts)).refine(empty).class_map
    assert (found[:, :38] == 0).mean() > 0.95
    assert (found[:, 42:] == 1).mean() > 0.95


def test_rows_of_an_image_are_its_own_when_seen_from_it_and_stay_within_bounds() -> None:
    features = plain_features(two_halves())
    kept = LiveHead(features, 4).marked_rows(both())
    np.testing.assert_allclose(kept.seen_from(features), kept.rows, atol=1e-5)
    far = KeptRows(kept.rows, kept.class_ids, kept.image, kept.means + 1e6, np.full_like(kept.deviations, 1e-4))
    assert np.abs(far.seen_from(features)).max() <= 6


@pytest.mark.parametrize(("height", "width"), [(37, 50), (40, 33), (12, 9), (101, 64)])
def test_cells_are_enlarged_to_the_pixels_whose_middles_lie_in_them(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 9, (12, 9)).astype(np.uint8)
    confidence = rng.integers(0, 255, (12, 9)).astype(np.uint8)
    found = coarse(classes, confidence, height, width)
    rows = ((np.arange(height) + 0.5) * 12 / height).astype(int)
    columns = ((np.arange(width) + 0.5) * 9 / width).astype(int)
    assert (found.class_map == classes[rows][:, columns]).all()
    assert (found.confidence == confidence[rows][:, columns]).all()
    assert found.cell_px == pytest.approx((height * width / 108) ** 0.5)
