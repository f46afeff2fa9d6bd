"""Confusion matrix: hand examples, properties, and torchmetrics as an oracle."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pspnet_core.metrics import ConfusionMatrix


def filled(class_ids, target, prediction):
    matrix = ConfusionMatrix(class_ids)
    matrix.update(np.array(target, np.uint8), np.array(prediction, np.uint8))
    return matrix


def test_three_classes_by_hand():
    matrix = filled(3, [0, 0, 1, 1, 2, 255], [0, 1, 1, 1, 0, 2])
    # class 0: hit 1, union {0,0,2->0} = 3; class 1: hits 2, union 3; class 2: hit 0, union 1
    np.testing.assert_allclose(matrix.iou, [1 / 3, 2 / 3, 0])
    assert matrix.mean_iou == pytest.approx(1 / 3)
    assert matrix.pixel_accuracy == pytest.approx(3 / 5)


def test_classes_in_neither_array_do_not_count():
    matrix = filled(4, [0, 0, 1], [0, 0, 1])
    assert np.isnan(matrix.iou[2:]).all()
    assert matrix.mean_iou == 1.0
    assert matrix.iou_by_id == {0: 1.0, 1: 1.0}


def test_ids_need_not_be_contiguous_and_unknown_predictions_are_wrong():
    matrix = filled((7, 3), [7, 7, 3], [7, 200, 3])
    np.testing.assert_allclose(matrix.iou, [0.5, 1.0])
    assert matrix.pixel_accuracy == pytest.approx(2 / 3)


def test_mean_over_some_classes():
    assert filled((0, 1, 2), [0, 1, 2], [0, 1, 1]).mean_iou_of((0, 1)) == pytest.approx(0.75)


def test_only_unlabelled_gives_nan():
    matrix = filled(2, [255, 255], [0, 1])
    means = ("mean_iou", "mean_iou_absent_zero", "pixel_accuracy", "mean_class_accuracy", "mean_dice")
    for name in (*means, "frequency_weighted_iou"):
        assert np.isnan(getattr(matrix, name)), name


def test_every_score_by_hand():
    """Class 0: 4 true, 3 found, 4 predicted. Class 1: 2 true, 1 found, 2 predicted. Classes 2 and 3: absent."""
    matrix = filled(4, [0, 0, 0, 0, 1, 1, 255], [0, 0, 0, 1, 1, 0, 3])
    np.testing.assert_allclose(matrix.iou, [3 / 5, 1 / 3, np.nan, np.nan])
    np.testing.assert_allclose(matrix.class_accuracy, [3 / 4, 1 / 2, np.nan, np.nan])
    np.testing.assert_allclose(matrix.dice, [6 / 8, 2 / 4, np.nan, np.nan])
    assert matrix.mean_iou == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert matrix.mean_iou_absent_zero == pytest.approx((3 / 5 + 1 / 3) / 4)
    assert matrix.frequency_weighted_iou == pytest.approx(4 / 6 * 3 / 5 + 2 / 6 * 1 / 3)
    assert matrix.mean_class_accuracy == pytest.approx(5 / 8)
    assert matrix.mean_dice == pytest.approx(5 / 8)
    assert matrix.class_accuracy_by_id == pytest.approx({0: 3 / 4, 1: 1 / 2})
    assert matrix.dice_by_id == pytest.approx({0: 6 / 8, 1: 1 / 2})


def test_a_class_that_is_only_predicted_counts_as_zero():
    matrix = filled(3, [0, 0, 0], [0, 0, 1])
    np.testing.assert_allclose(matrix.class_accuracy, [2 / 3, 0, np.nan])
    np.testing.assert_allclose(matrix.dice, [4 / 5, 0, np.nan])
    assert matrix.mean_class_accuracy == pytest.approx(1 / 3)


def test_the_id_after_the_last_is_not_the_last():
    """A histogram over [0, K] that is closed at its right end would count K as class K - 1."""
    matrix = filled(2, [1, 1, 0], [2, 1, 0])
    np.testing.assert_allclose(matrix.iou, [1.0, 0.5])
    np.testing.assert_array_equal(matrix.counts, [[1, 0, 0], [0, 1, 1]])
    with pytest.raises(ValueError, match=r"\[2\]"):
        filled(2, [2], [1])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"\[9\]"):
        filled(2, [0, 9], [0, 0])
    with pytest.raises(ValueError, match="shape"):
        filled(2, [0, 1], [0])
    with pytest.raises(ValueError, match="254"):
        ConfusionMatrix((0, 255))
    with pytest.raises(ValueError, match="differ"):
        ConfusionMatrix(2).merge(ConfusionMatrix(3))


maps = hnp.arrays(np.uint8, (13, 7), elements=st.sampled_from([0, 1, 2, 3, 4, 255]))
predictions = hnp.arrays(np.uint8, (13, 7), elements=st.integers(0, 4))


def by_torchmetrics(name, target, prediction, **options):
    torch = pytest.importorskip("torch")
    from torchmetrics import classification

    oracle = getattr(classification, name)(5, ignore_index=255, **options)
    return oracle(torch.from_numpy(prediction.astype(int)), torch.from_numpy(target.astype(int))).numpy()


@settings(deadline=None)  # the first call imports torch
@given(maps, predictions)
def test_equals_torchmetrics(target, prediction):
    matrix = filled(5, target, prediction)
    if not matrix.num_pixels:
        return
    for ours, per_class, name in (
        (matrix.mean_iou, matrix.iou, "MulticlassJaccardIndex"),
        (matrix.mean_class_accuracy, matrix.class_accuracy, "MulticlassAccuracy"),
        (matrix.mean_dice, matrix.dice, "MulticlassF1Score"),
    ):
        assert ours == pytest.approx(float(by_torchmetrics(name, target, prediction, average="macro")), abs=1e-6), name
        expected = by_torchmetrics(name, target, prediction, average="none")
        np.testing.assert_allclose(np.nan_to_num(per_class), np.nan_to_num(expected), atol=1e-6, err_msg=name)
    weighted = by_torchmetrics("MulticlassJaccardIndex", target, prediction, average="weighted")
    assert matrix.frequency_weighted_iou == pytest.approx(float(weighted), abs=1e-6)
    right = by_torchmetrics("MulticlassAccuracy", target, prediction, average="micro")
    assert matrix.pixel_accuracy == pytest.approx(float(right), abs=1e-6)


@given(maps, predictions, maps, predictions)
def test_merging_equals_one_matrix(t1, p1, t2, p2):
    both, second = filled(5, t1, p1), filled(5, t2, p2)
    both.merge(second)
    one = filled(5, np.concatenate([t1, t2]), np.concatenate([p1, p2]))
    np.testing.assert_array_equal(both.counts, one.counts)


def test_needs_no_torch():
    code = "import sys, pspnet_core.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_counts_make_the_same_matrix_again():
    matrix = ConfusionMatrix((3, 7))
    matrix.update(np.array([[3, 7, 7]], np.uint8), np.array([[3, 3, 9]], np.uint8))
    again = ConfusionMatrix.from_counts(matrix.class_ids, matrix.counts.astype(np.float64))
    assert (again.counts == matrix.counts).all()
    assert again.mean_iou == matrix.mean_iou
    again.update(np.array([[3]], np.uint8), np.array([[3]], np.uint8))
    assert again.num_pixels == matrix.num_pixels + 1
    with pytest.raises(ValueError, match="shape"):
        ConfusionMatrix.from_counts((3, 7), np.zeros((2, 2)))
