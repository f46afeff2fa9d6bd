"""From a true mask to gestures: filled again, they give the mask back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging.strokes import brush_segment, polygon_mask
from pspnet_core.types import UNLABELLED
from pspnet_studio.tour.plan import outline, plan_gestures, speck_stroke


def blob(seed: int, height: int = 90, width: int = 110) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(5):
        x, y, r = rng.integers(20, width - 20), rng.integers(20, height - 20), rng.integers(8, 20)
        mask |= (xs - x) ** 2 + (ys - y) ** 2 < r**2
    x, y = rng.integers(20, width - 20), rng.integers(20, height - 20)
    mask &= (xs - x) ** 2 + (ys - y) ** 2 > 6**2  # often a hole
    return mask


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_an_outline_gives_a_region_back_holes_included(seed: int) -> None:
    plans = plan_gestures(np.full((90, 110), UNLABELLED, np.uint8), blob(seed).astype(np.uint8), zoom=1.0, min_px=50)
    canvas = np.full((90, 110), UNLABELLED, np.uint8)
    for gesture in plans:
        if gesture.tool == "polygon":
            rect, mask = polygon_mask([(float(x), float(y)) for x, y in gesture.points], (90, 110))
        else:
            rect, mask = brush_segment(tuple(gesture.points[0]), tuple(gesture.points[-1]), gesture.diameter, (90, 110))
        canvas[rect.slices][mask] = gesture.class_id
    assert (canvas == blob(seed)).mean() > 0.95


def test_what_is_right_or_unknown_is_left_alone() -> None:
    truth = np.zeros((60, 60), np.uint8)
    truth[:, 30:] = UNLABELLED
    shown = np.zeros((60, 60), np.uint8)
    assert plan_gestures(shown, truth, zoom=1.0, min_px=1) == []
    shown[:5, :5] = 1
    assert plan_gestures(shown, truth, zoom=1.0, min_px=100) == []
    assert [g.class_id for g in plan_gestures(shown, truth, zoom=1.0, min_px=10)] == [0]


def test_a_speck_is_one_stroke_along_its_longer_axis() -> None:
    region = np.zeros((10, 60), bool)
    region[3:8, 5:55] = True
    path, diameter = speck_stroke(region)
    assert diameter == 5
    assert path[0][0] < 10 or path[-1][0] < 10
    assert np.ptp(path[:, 0]) > 35
    assert np.ptp(path[:, 1]) < 1


def test_an_outline_is_no_finer_than_asked() -> None:
    region = blob(3)
    assert len(outline(region, 3.0)) < len(outline(region, 0.5))
