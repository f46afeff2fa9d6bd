"""Temperature and reliability: confidence that means what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pspnet_core.inference.calibration import Calibration, Reliability
from pspnet_core.inference.logits import LogitGrid
from pspnet_core.models import PSPNetConfig
from pspnet_core.models.pspnet import make_model
from pspnet_core.types import UNLABELLED, Prediction

IDS = (3, 7, 9)


def image(scale: float, seed: int, stride: int = 4, align_corners: bool = False) -> tuple[LogitGrid, np.ndarray]:
    """Classes drawn from the probabilities of random logits; the grid then holds ``scale`` times those logits."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (len(IDS), 60, 70))
    p = np.exp(z) / np.exp(z).sum(axis=0)
    channel = (rng.random((1, 60, 70)) > p.cumsum(axis=0)).sum(axis=0).clip(max=2)
    height, width = (59 * stride + 1, 69 * stride + 1) if align_corners else (60 * stride, 70 * stride)
    target = np.array(IDS, np.uint8)[channel].repeat(stride, axis=0).repeat(stride, axis=1)
    if align_corners:  # logit i stands on pixel 4 i: put the block's centre there
        target = np.roll(target, (-(stride // 2), -(stride // 2)), (0, 1))[:height, :width]
        target[::stride, ::stride] = np.array(IDS, np.uint8)[channel]
    return LogitGrid((scale * z).astype(np.float16), stride, IDS, height, width, align_corners), target


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_scale(scale, align_corners):
    calibration = Calibration()
    for seed in range(4):
        calibration.update(*image(scale, seed, align_corners=align_corners))
    assert calibration.temperature() == pytest.approx(scale, rel=0.1)


def test_it_is_the_most_likely_one():
    calibration = Calibration()
    grid, target = image(2.0, 1)
    calibration.update(grid, target)
    best = calibration.temperature()
    z = grid.values.reshape(3, -1).astype(np.float64)
    y = np.searchsorted(IDS, target[2::4, 2::4].reshape(-1))

    def likelihood(temperature):
        log_p = z / temperature - np.logaddexp.reduce(z / temperature, axis=0)
        return log_p[y, np.arange(len(y))].mean()

    # 4,000 of 4,200 pixels were taken
    assert likelihood(best) > max(likelihood(best * 1.1), likelihood(best / 1.1))


def test_too_little_evidence_changes_nothing():
    grid, target = image(3.0, 0)
    assert Calibration().temperature() == 1.0
    few = Calibration()
    sparse = np.full_like(target, UNLABELLED)
    sparse[:40, :40] = target[:40, :40]
    few.update(grid, sparse)
    assert few.temperature() == 1.0
    single = Calibration()
    single.update(grid, np.full_like(target, IDS[0]))
    assert single.temperature() == 1.0


def test_classes_that_the_logits_lack_do_not_count():
    grid, target = image(3.0, 0)
    only, mixed = Calibration(), Calibration()
    only.update(grid, np.where(target == 9, UNLABELLED, target).astype(np.uint8))
    mixed.update(grid, np.where(target == 9, 200, target).astype(np.uint8))
    assert only.temperature() == mixed.temperature() != 1.0


def test_a_hold_out_without_mistakes_does_not_ask_for_certainty():
    grid, _ = image(1.0, 0)
    target = np.array(IDS, np.uint8)[grid.values.argmax(axis=0)].repeat(4, axis=0).repeat(4, axis=1)
    calibration = Calibration()
    calibration.update(grid, target)
    assert calibration.temperature() == pytest.approx(0.2)


def test_sizes_must_agree():
    grid, target = image(1.0, 0)
    with pytest.raises(ValueError, match="class map"):
        Calibration().update(grid, target[1:])
    with pytest.raises(ValueError, match="class map"):
        Reliability().update(target[1:], Prediction(target, target))


def test_reliability_is_the_gap_between_confidence_and_accuracy():
    reliability = Reliability()
    assert math.isnan(reliability.expected_calibration_error)
    target = np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, UNLABELLED]], np.uint8)
    shown = np.array([[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]], np.uint8)
    reliability.update(target, Prediction(shown, np.full(shown.shape, 204, np.uint8)))  # says 0.8, is right in 0.6
    assert reliability.expected_calibration_error == pytest.approx(0.2)
    reliability.update(target, Prediction(target, np.full(shown.shape, 255, np.uint8)))  # says 1, is right in 1
    assert reliability.expected_calibration_error == pytest.approx(0.1)


@pytest.mark.parametrize("decoder", ["bilinear", "deconv"])
def test_scaled_logits_keep_the_argmax(decoder):
    config = PSPNetConfig(num_classes=3, backbone="mobilenet_v2", head_channels=8, bin_channels=8, decoder=decoder)
    model = make_model(config).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = model(x)["out"]
        model.scale_logits(0.5)
        torch.testing.assert_close(model(x)["out"], before / 2)
    for factor in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="scaled"):
            model.scale_logits(factor)
