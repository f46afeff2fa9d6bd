"""Magic wand and threshold against their definitions, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_cie76, rgb2lab
from skimage.filters import threshold_otsu
from skimage.measure import label

from pspnet_core.imaging.areas import tight_area
from pspnet_core.imaging.lab import lab_of
from pspnet_core.imaging.select import channel_values, magic_wand, otsu_level, threshold
from pspnet_core.types import Rect
from tests.helpers.areas import paste

SHAPE = (200, 300)  # of the image
RECT = Rect(40, 25, 44, 31)  # of the part that is looked at


@st.composite
def parts(draw) -> np.ndarray:
    """Few colours in patches, a little noise."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    coarse = random.integers(0, 4, (RECT.h // 4 + 1, RECT.w // 4 + 1))
    colors = random.integers(0, 256, (4, 3))
    pixels = colors[np.kron(coarse, np.ones((4, 4), int))[: RECT.h, : RECT.w]]
    noise = random.integers(-9, 10, pixels.shape) * draw(st.sampled_from([0, 1]))
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


SEEDS = st.tuples(st.floats(RECT.x, RECT.right - 0.001), st.floats(RECT.y, RECT.bottom - 0.001))


@settings(max_examples=80, deadline=None)
@given(parts(), SEEDS, st.floats(0, 120), st.booleans(), st.sampled_from([1, 3, 5]), st.sampled_from([4, 8]))
def test_wand_in_rgb(pixels, seed, tolerance, contiguous, sample_px, connectivity) -> None:
    column, row = math.floor(seed[0]) - RECT.x, math.floor(seed[1]) - RECT.y
    reach = sample_px // 2
    sample = pixels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    color = sample.reshape(-1, 3).astype(float).mean(axis=0)
    near = (abs(pixels - color) <= tolerance).all(axis=2)
    if contiguous:
        labels = label(near, connectivity=1 if connectivity == 4 else 2)
        near &= (labels == labels[row, column]) & near[row, column]
    found = magic_wand(
        pixels, RECT, seed, tolerance, contiguous=contiguous, sample_px=sample_px, connectivity=connectivity
    )
    expected = np.zeros(SHAPE, bool)
    expected[RECT.slices] = near
    np.testing.assert_array_equal(paste(found, SHAPE), expected)


@settings(max_examples=30, deadline=None)
@given(parts(), SEEDS, st.floats(0, 60))
def test_wand_in_lab_is_the_color_difference_of_cie_1976(pixels, seed, tolerance) -> None:
    column, row = math.floor(seed[0]) - RECT.x, math.floor(seed[1]) - RECT.y
    lab = rgb2lab(pixels)
    difference = deltaE_cie76(lab, lab[row, column])
    found = paste(magic_wand(pixels, RECT, seed, tolerance, space="lab", contiguous=False), SHAPE)[RECT.slices]
    assert found[difference <= tolerance - 0.02].all()
    assert not found[difference > tolerance + 0.02].any()
    assert found[row, column]


def test_lab_is_exact() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 150, 3)).astype(np.uint8)
    pixels[0] //= 10  # the straight part of the curves
    assert abs(lab_of(pixels) - rgb2lab(pixels)).max() < 0.01
    assert lab_of(pixels).dtype == np.float32


def test_wand_in_a_large_part_is_the_same_in_all_bands() -> None:
    """More pixels than one band has, with a rest."""
    pixels = np.zeros((1000, 700, 3), np.uint8)
    pixels[:, 350:] = 90
    found = magic_wand(pixels, Rect(0, 0, 700, 1000), (3, 3), 5, space="lab")
    assert found[0] == Rect(0, 0, 350, 1000)
    assert found[1].all()


def test_wand_outside_or_with_a_mean_that_nothing_has() -> None:
    pixels = np.zeros((RECT.h, RECT.w, 3), np.uint8)
    assert magic_wand(pixels, RECT, (2, 2), 10)[0].is_empty
    pixels[10, 10] = 255
    at = (RECT.x + 10.5, RECT.y + 10.5)
    assert magic_wand(pixels, RECT, at, 0, sample_px=3)[0].is_empty
    assert magic_wand(pixels, RECT, at, 0.25, sample_px=3, contiguous=False)[0].is_empty
    assert magic_wand(pixels, RECT, at, 0)[0] == Rect(RECT.x + 10, RECT.y + 10, 1, 1)


def test_wand_refuses_what_makes_no_sense() -> None:
    pixels = np.zeros((RECT.h, RECT.w, 3), np.uint8)
    at = (RECT.x + 1, RECT.y + 1)
    for arguments in [(pixels[1:], RECT, at, 3), (pixels.astype(float), RECT, at, 3), (pixels[..., 0], RECT, at, 3)]:
        with pytest.raises(ValueError, match="RGB"):
            magic_wand(*arguments)
    for seed, tolerance in [((math.nan, 0), 3), (at, -1), (at, math.nan)]:
        with pytest.raises(ValueError, match=r"finite|at least 0"):
            magic_wand(pixels, RECT, seed, tolerance)
    with pytest.raises(ValueError, match="odd"):
        magic_wand(pixels, RECT, at, 3, sample_px=2)


@settings(max_examples=60, deadline=None)
@given(
    parts(), st.integers(-5, 260), st.integers(-5, 260), st.booleans(), st.sampled_from([np.uint8, np.uint16, float])
)
def test_threshold_in_a_region(pixels, low, high, bounded, dtype) -> None:
    values = pixels[..., 1].astype(dtype)
    inside = (values >= low) & (values <= high) if low <= high else (values >= low) | (values <= high)
    region = None
    if bounded:
        mask = np.zeros(SHAPE, bool)
        mask[30:44, 10:66] = np.random.default_rng(0).random((14, 56)) < 0.7
        region = tight_area(Rect(0, 0, SHAPE[1], SHAPE[0]), mask)
        inside &= mask[RECT.slices]
    expected = np.zeros(SHAPE, bool)
    expected[RECT.slices] = inside
    np.testing.assert_array_equal(paste(threshold(values, RECT, low, high, region), SHAPE), expected)


def test_threshold_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="values for"):
        threshold(np.zeros((3, 3)), RECT, 0, 1)
    with pytest.raises(ValueError, match="not a number"):
        threshold(np.zeros((RECT.h, RECT.w)), RECT, math.nan, 1)


def test_channels() -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 30]]], np.uint8)
    np.testing.assert_array_equal(channel_values(pixels, "grey"), [[76, 150, 29, 255, 18]])
    np.testing.assert_array_equal(channel_values(pixels, "red"), pixels[..., 0])
    np.testing.assert_array_equal(channel_values(pixels, "blue"), pixels[..., 2])
    np.testing.assert_array_equal(channel_values(pixels, "hue")[0, :3], [0, 60, 120])
    np.testing.assert_array_equal(channel_values(pixels, "saturation")[0, :4], [255, 255, 255, 0])
    np.testing.assert_array_equal(channel_values(pixels, "value"), [[255, 255, 255, 255, 30]])
    with pytest.raises(ValueError, match="no channel"):
        channel_values(pixels, "alpha")  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 256))
def test_otsu(number, num_values) -> None:
    values = np.random.default_rng(number).integers(0, num_values, (20, 30)).astype(np.uint8)
    if len(np.unique(values)) > 1:
        assert otsu_level(values) == threshold_otsu(values)
    assert otsu_level(np.full((4, 4), 7, np.uint8)) == 7
    inside = np.zeros(values.shape, bool)
    inside[:4] = True
    assert otsu_level(values, inside) == otsu_level(values[:4])
    with pytest.raises(ValueError, match="no pixel"):
        otsu_level(values, np.zeros(values.shape, bool))
