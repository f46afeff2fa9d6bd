"""How many images two versions are compared on."""

import time

import pytest
import torch

from pspnet_core.models import PSPNetConfig
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.pspnet import make_model
from pspnet_core.models.weights import imagenet_preprocessing
from pspnet_core.training.comparison import Comparison
from pspnet_core.training.data import LabelledImage
from pspnet_core.training.evidence import MIN_IMAGES
from pspnet_core.training.exposure import Exposure
from tests.helpers.networks import small
from tests.helpers.tiny import CLASSES, picture


def untrained(seed):
    config = small(PSPNetConfig.studio_fast(len(CLASSES)))
    torch.manual_seed(seed)
    return Checkpoint(make_model(config).eval(), CLASSES, imagenet_preprocessing(config.backbone), {}, {})


def compared(number, deadline):
    """Evidence on so many held-out images."""
    images = [LabelledImage(f"h{i}", lambda i=i: picture(i, 64)) for i in range(number)]
    comparison = Comparison(untrained(0), Exposure(), set(), images, CLASSES, "cpu")
    for _ in comparison.score_old(deadline):
        pass
    events = comparison.score_new(untrained(1))
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("number", [3, 8, 60])
def test_slow_scoring_still_leaves_enough_to_tell(number):
    late = compared(number, time.monotonic())
    assert late.interval is not None
    assert late.num_units == (MIN_IMAGES if number > MIN_IMAGES else 3)


def test_in_time_all_images_are_scored():
    assert compared(8, float("inf")).num_units == 8
