"""Features of images for the queue."""

from __future__ import annotations

import numpy as np
import pytest

from pspnet_core.inference.logits import LogitGrid
from pspnet_core.inference.ranking import rank
from pspnet_core.inference.summaries import Summariser, summary


@pytest.fixture(scope="module")
def summariser():
    return Summariser("cpu")


def texture(kind: str, seed: int, height: int = 200, width: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
    rows = (np.arange(height)[:, None, None] // 12 + seed) % 2 * 200
    return np.broadcast_to(rows, (height, width, 3)).astype(np.uint8) + rng.integers(0, 20, (1, 1, 3)).astype(np.uint8)


def test_pictures_of_a_kind_are_near_to_each_other(summariser):
    a, b = (summariser.cells(texture("stripes", seed)).astype(np.float32) for seed in (0, 2))
    c = summariser.cells(texture("noise", 0)).astype(np.float32)
    assert a.shape == b.shape == (96, 64)
    assert np.linalg.norm(a - b) < 0.7 * np.linalg.norm(a - c)


def test_the_queue_goes_to_the_other_kind(summariser):
    images = {f"stripes{i}": summary(summariser.cells(texture("stripes", i))) for i in range(3)}
    images |= {f"noise{i}": summary(summariser.cells(texture("noise", i))) for i in range(3)}
    assert rank(images, ["stripes0"])[0].key.startswith("noise")
    assert rank(images, ["noise0"])[0].key.startswith("stripes")


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 3), (31, 33), (1024, 700)])
def test_images_of_any_shape(summariser, shape):
    cells = summariser.cells(texture("noise", 0, *shape))
    assert cells.shape == (96, 64)
    assert np.isfinite(cells).all()


def test_a_reduced_picture_is_as_good(summariser):
    image = texture("stripes", 0, 1024, 1024)
    whole, reduced = summariser.cells(image), summariser.cells(image[::2, ::2].copy())
    other = summariser.cells(texture("noise", 0, 1024, 1024))

    def distance(a, b):
        return np.linalg.norm(a.astype(np.float32) - b.astype(np.float32))

    assert distance(whole, reduced) < 0.5 * distance(whole, other)


def test_places_of_features_and_of_logits_agree(summariser):
    """Left half stripes, right half noise; the model is sure of class 3 at the left and doubts at the right."""
    image = np.hstack([texture("stripes", 0, 200, 160), texture("noise", 0, 200, 160)])
    values = np.zeros((2, 50, 80), np.float16)
    values[0, :, :40] = 8.0
    values[1, :, 40:] = 0.1
    found = summary(summariser.cells(image), LogitGrid(values, 4, (3, 9), 200, 320, False))
    assert found.doubt is not None
    assert found.class_ids is not None
    columns = np.arange(96) % 12
    assert (found.class_ids[columns < 6] == 3).all()
    assert (found.class_ids[columns >= 6] == 9).all()
    assert found.doubt[columns < 6].max() < 0.01
    assert found.doubt[columns >= 6].min() > 0.9
    left = found.cells[columns < 5].astype(np.float32)
    right = found.cells[columns > 6].astype(np.float32)
    assert np.linalg.norm(left.mean(0) - right.mean(0)) > np.linalg.norm(left - left.mean(0), axis=1).mean()


def test_one_class_leaves_no_doubt(summariser):
    found = summary(np.zeros((96, 64), np.float16), LogitGrid(np.zeros((1, 8, 8), np.float16), 4, (5,), 32, 32, False))
    assert found.doubt is not None
    assert (found.doubt == 0).all()


def test_wrong_images_are_refused(summariser):
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="image must be"):
            summariser.cells(image)
