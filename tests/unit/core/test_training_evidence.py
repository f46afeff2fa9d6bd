"""Whether one version is better than another, from the same pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.training.evidence import _t_quantile, cell_of, compare, count
from pspnet_core.types import Rect

CLASSES = (2, 7)


def versions(images, gain, noise=0.0, seed=0, blocks=1):
    """Blocks of images, each half of class 2 and half of class 7, and how many of them two versions find."""
    rng = np.random.default_rng(seed)
    old, new = {}, {}
    for image in range(images):
        base = rng.uniform(0.5, 0.7)
        for block in range(blocks):
            for side, level in ((old, base), (new, base + gain + rng.normal() * noise)):
                found = np.full(2, round(1000 * float(np.clip(level, 0, 1))))
                side[str(image), block // 4, block] = np.array([found, [1000, 1000], 2000 - found[::-1] - 1000 + found])
    return old, new


@given(st.integers(0, 1000))
def test_counts_give_the_scores_of_the_confusion_matrix(seed):
    rng = np.random.default_rng(seed)
    truth, answer = rng.choice([2, 7, 255], (9, 9)), rng.choice([2, 7, 4], (9, 9))
    truth[0, :2] = CLASSES
    matrix = ConfusionMatrix((2, 4, 7))
    matrix.update(truth.astype(np.uint8), answer.astype(np.uint8))
    counts = count(truth, answer, Rect(0, 0, 9, 9), CLASSES)
    blocks = {("a", 0, 0): counts}
    evidence = compare(blocks, blocks, CLASSES)
    assert evidence.mean_iou == evidence.old_mean_iou == pytest.approx(matrix.mean_iou_of(CLASSES))
    assert evidence.per_class == {i: (pytest.approx(matrix.iou_by_id[i]),) * 2 for i in CLASSES}


def test_a_clear_gain_on_few_images_is_enough_and_a_clear_loss_is_not():
    for images in (3, 5, 12):
        better, worse = (compare(*versions(images, gain, 0.01), CLASSES) for gain in (0.05, -0.05))
        assert better.interval[0] > 0
        assert better.is_enough(same_classes=True)
        assert worse.interval[1] < 0
        assert not worse.is_enough(same_classes=True)
        assert not worse.is_enough(same_classes=False)


def test_the_same_version_again_is_not_better_but_enough_for_new_classes():
    old, _ = versions(6, 0.0)
    evidence = compare(old, old, CLASSES)
    assert (evidence.difference, evidence.interval, evidence.chance) == (0, (0, 0), 0.5)
    assert not evidence.is_enough(same_classes=True)
    assert evidence.is_enough(same_classes=False)


def test_on_images_that_both_learned_from_only_a_clear_loss_counts():
    for gain, adopted in ((0.03, True), (-0.002, True), (-0.05, False)):
        evidence = compare(*versions(6, gain, 0.01), CLASSES, is_of_unseen=False)
        assert evidence.is_enough(same_classes=True) is adopted
    slightly_worse = compare(*versions(6, -0.002, 0.01), CLASSES)
    assert slightly_worse.difference < 0
    assert not slightly_worse.is_enough(same_classes=True)


def test_the_interval_holds_the_true_difference():
    """Nine in ten at least, also from five images, for a nominal 95 %."""
    for images in (5, 10):
        hits = 0
        for seed in range(60):
            low, high = compare(*versions(images, 0.02, 0.05, seed), CLASSES).interval
            # Each class gains what is found more often; the IoU at 0.6 falls and rises about twice as fast.
            truth = np.mean([(0.62 + d) / (1.38 - d) - (0.6 + d) / (1.4 - d) for d in np.linspace(-0.1, 0.1, 21)])
            hits += low <= truth <= high
        assert hits >= 54


def test_units_are_images_then_parts_of_them_then_blocks():
    for images, blocks, unit, number in ((5, 8, "image", 5), (3, 8, "cell", 6), (1, 8, "block", 8)):
        evidence = compare(*versions(images, 0.01, 0.01, blocks=blocks), CLASSES)
        assert (evidence.unit, evidence.num_units) == (unit, number)


def test_too_little_for_an_interval_still_needs_a_higher_score():
    old, new = versions(1, 0.05)
    better, worse = compare(old, new, CLASSES), compare(new, old, CLASSES)
    assert better.interval is None
    assert better.is_enough(same_classes=True)
    assert not worse.is_enough(same_classes=True)
    assert compare({}, {}, CLASSES) is None


def test_too_little_for_an_interval_never_lets_a_clear_loss_pass():
    for gain, adopted in ((-0.3, False), (-0.03, False), (-0.005, True)):
        evidence = compare(*versions(2, gain), CLASSES)
        assert evidence.interval is None
        assert evidence.is_enough(same_classes=False) is adopted
        assert compare(*versions(2, gain), CLASSES, is_of_unseen=False).is_enough(same_classes=True) is adopted


def test_too_little_for_an_interval_still_shows_what_was_unlearned():
    old = {("a", 0, 0): np.array([[300, 20], [1000, 30], [1010, 20]])}
    new = {("a", 0, 0): np.array([[1000, 0], [1000, 30], [1030, 0]])}
    evidence = compare(old, new, CLASSES)
    assert evidence.difference > 0
    assert evidence.interval is None
    assert evidence.unlearned == (7,)
    assert not evidence.is_enough(same_classes=True)


def test_a_class_that_was_unlearned_outweighs_any_gain():
    old = {(str(i), 0, 0): np.array([[900, 20], [1000, 30], [1000, 30]]) for i in range(6)}
    new = {(str(i), 0, 0): np.array([[1000, 0], [1000, 30], [1030, 0]]) for i in range(6)}
    few = {key: np.array([[300, 20], [1000, 30], [1010, 20]]) for key in old}
    evidence = compare(few, new, CLASSES)
    assert evidence.difference > 0
    assert evidence.unlearned == (7,)
    assert not evidence.is_enough(same_classes=True)
    assert compare(old, old, CLASSES).unlearned == ()


def test_different_pixels_are_refused():
    old, new = versions(3, 0.0)
    new["0", 0, 0] = new["0", 0, 0] + 1
    with pytest.raises(ValueError, match="same pixels"):
        compare(old, new, CLASSES)
    with pytest.raises(ValueError, match="same pixels"):
        compare(old, {}, CLASSES)


def test_cells_are_sixteenths():
    assert [cell_of(Rect(x, y, 10, 10), (40, 40)) for x, y in ((0, 0), (30, 0), (0, 30), (30, 30), (9, 9))] == [
        0,
        3,
        12,
        15,
        5,
    ]


@pytest.mark.parametrize(("degrees", "expected"), [(2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042)])
def test_quantile_of_t(degrees, expected):
    assert _t_quantile(degrees) == pytest.approx(expected, rel=0.02)
