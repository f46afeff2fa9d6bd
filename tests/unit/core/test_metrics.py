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
    assert np.isnan(matrix.mean_iou)
    assert np.isnan(matrix.pixel_accuracy)


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


@settings(deadline=None)  # the first call imports torch
@given(maps, predictions)
def test_equals_torchmetrics(target, prediction):
    torch = pytest.importorskip("torch")
    from torchmetrics.classification import MulticlassJaccardIndex

    matrix = filled(5, target, prediction)
    oracle = MulticlassJaccardIndex(5, average="macro", ignore_index=255)
    expected = float(oracle(torch.from_numpy(prediction.astype(int)), torch.from_numpy(target.astype(int))))
    assert matrix.mean_iou == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(maps, predictions, maps, predictions)
def test_merging_equals_one_matrix(t1, p1, t2, p2):
    both, second = filled(5, t1, p1), filled(5, t2, p2)
    both.merge(second)
    one = filled(5, np.concatenate([t1, t2]), np.concatenate([p1, p2]))
    np.testing.assert_array_equal(both.counts, one.counts)


def test_needs_no_torch():
    code = "import sys, pspnet_core.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
