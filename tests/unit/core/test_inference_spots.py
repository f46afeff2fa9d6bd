"""The places of an image where the model doubts most."""

from __future__ import annotations

import numpy as np
import pytest

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.inference.spots import doubtful_spots
from pspnet_core.types import Provenance


def planes(shape, **painted):
    values = np.zeros(shape, np.uint8)
    for name, place in painted.items():
        values[place] = Provenance[name.upper()]
    return PlaneStore.from_array(values)


def test_the_least_sure_place_comes_first():
    confidence = np.full((90, 120), 250, np.uint8)
    confidence[10:20, 30:40] = 100
    confidence[60:70, 80:90] = 50
    spots = doubtful_spots(confidence, planes((90, 120)), 5, 2)
    assert [(abs(s.x - x) <= 1, abs(s.y - y) <= 1) for s, (x, y) in zip(spots, [(85, 65), (35, 15)], strict=True)] == [
        (True, True)
    ] * 2
    assert spots[0].doubt > spots[1].doubt


@pytest.mark.parametrize("decided", ["painted", "accepted", "erased", "imported"])
def test_what_a_person_decided_is_not_doubted(decided):
    confidence = np.full((80, 80), 250, np.uint8)
    confidence[10:30, 10:30] = 20
    confidence[50:60, 50:60] = 120
    place = np.s_[5:35, 5:35]
    first = doubtful_spots(confidence, planes((80, 80), **{decided: place}), 5)[0]
    assert (45 <= first.x <= 65, 45 <= first.y <= 65) == (True, True)


def test_spots_keep_their_distance():
    rng = np.random.default_rng(0)
    spots = doubtful_spots(rng.integers(0, 255, (100, 140)).astype(np.uint8), planes((100, 140)), 8, 20)
    assert len(spots) == 20
    for i, a in enumerate(spots):
        for b in spots[:i]:
            assert max(abs(a.x - b.x), abs(a.y - b.y)) > 8
    assert [s.doubt for s in spots] == sorted((s.doubt for s in spots), reverse=True)


def test_nothing_is_left_to_doubt():
    sure = np.full((40, 50), 255, np.uint8)
    assert doubtful_spots(sure, planes((40, 50)), 4) == []
    doubtful = np.zeros((40, 50), np.uint8)
    assert doubtful_spots(doubtful, planes((40, 50), painted=np.s_[:, :]), 4) == []


def test_a_large_image_is_looked_at_in_cells_and_bands():
    shape = 2500, 1301
    confidence = np.full(shape, 255, np.uint8)
    confidence[2460:2500, 1270:1301] = 0  # in the corner, over cells that are not whole
    spots = doubtful_spots(confidence, planes(shape), 30, 1)
    assert spots[0].x >= 1260
    assert spots[0].y >= 2450
    assert spots[0].x < 1301
    assert spots[0].y < 2500
    assert spots[0].doubt > 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (513, 1)])
def test_thin_images(shape):
    spots = doubtful_spots(np.zeros(shape, np.uint8), planes(shape), 1, 3)
    assert spots[0].doubt == pytest.approx(1.0)
    assert 0 <= spots[0].x < shape[1]
    assert 0 <= spots[0].y < shape[0]


def test_wrong_arguments():
    with pytest.raises(ValueError, match="confidence"):
        doubtful_spots(np.zeros((3, 4), np.uint8), planes((4, 3)), 1)
    with pytest.raises(ValueError, match="radius"):
        doubtful_spots(np.zeros((3, 4), np.uint8), planes((3, 4)), 0)
