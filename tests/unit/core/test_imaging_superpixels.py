"""Superpixels: a partition into connected cells that follow edges, at any size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.measure import label
from skimage.segmentation import slic

from pspnet_core.imaging.areas import num_pixels
from pspnet_core.imaging.strokes import brush_segment
from pspnet_core.imaging.superpixels import superpixels
from pspnet_core.types import Rect
from tests.helpers.areas import paste

IMAGE = (200, 260)


@st.composite
def pictures(draw) -> tuple[np.ndarray, Rect]:
    """Patches with noise, as large as a few cells or smaller than one, somewhere in an image."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    coarse = random.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3))
    pixels = coarse.repeat(9, 0).repeat(9, 1)[:height, :width] + random.integers(-20, 20, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), Rect(33, 21, width, height)


@settings(max_examples=50, deadline=None)
@given(pictures(), st.sampled_from([2, 3, 8, 16, 200]), st.sampled_from([1, 20, 300]), st.integers(1, 4))
def test_cells_are_a_partition_into_connected_regions(picture, cell_px, compactness, iterations) -> None:
    pixels, rect = picture
    cells = superpixels(pixels, rect, cell_px, compactness, iterations)
    assert cells.labels.dtype == np.int32
    assert cells.labels.shape == pixels.shape[:2]
    numbers = np.unique(cells.labels)
    np.testing.assert_array_equal(numbers, np.arange(cells.num_cells))
    assert label(cells.labels, background=-1, connectivity=1).max() == cells.num_cells, "a cell is in two pieces"
    again = superpixels(pixels.copy(), rect, cell_px, compactness, iterations)
    np.testing.assert_array_equal(again.labels, cells.labels)
    if cells.num_cells > 1:
        assert np.bincount(cells.labels.ravel()).min() >= cell_px * cell_px // 4


@settings(max_examples=50, deadline=None)
@given(pictures(), st.floats(20, 140), st.floats(10, 110), st.floats(1.5, 40))
def test_the_cell_under_a_point_and_the_cells_under_a_brush(picture, x, y, diameter) -> None:
    pixels, rect = picture
    cells = superpixels(pixels, rect, 6)
    whole = np.full(IMAGE, -1)
    whole[rect.slices] = cells.labels
    found = paste(cells.cell_at((x, y)), IMAGE)
    cell = whole[math.floor(y), math.floor(x)]
    np.testing.assert_array_equal(found, (whole == cell) if cell >= 0 else np.zeros(IMAGE, bool))
    dab = brush_segment((x, y), (x + 9, y), diameter, IMAGE)
    touched = np.setdiff1d(np.unique(whole[paste(dab, IMAGE)]), [-1])
    np.testing.assert_array_equal(paste(cells.cells_touched(dab), IMAGE), np.isin(whole, touched))


def test_borders_are_where_cells_meet() -> None:
    cells = superpixels(data.astronaut()[:100, :120], Rect(0, 0, 120, 100), 10)
    labels = np.pad(cells.labels, ((0, 1), (0, 1)), mode="edge")
    expected = (labels[:-1, :-1] != labels[:-1, 1:]) | (labels[:-1, :-1] != labels[1:, :-1])
    np.testing.assert_array_equal(cells.borders(), expected)


def test_cells_follow_the_edge_of_a_disc() -> None:
    """The cells inside make the disc again, all but a thin rim."""
    disc = paste(brush_segment((80.3, 70.1), (80.3, 70.1), 77, (140, 160)), (140, 160))
    pixels = np.where(disc[..., None], (200, 60, 40), (40, 90, 60)).astype(np.uint8)
    cells = superpixels(pixels, Rect(0, 0, 160, 140), 16)
    share = np.bincount(cells.labels.ravel(), disc.ravel()) / np.bincount(cells.labels.ravel())
    rebuilt = (share > 0.5)[cells.labels]
    assert (rebuilt ^ disc).sum() < 0.01 * disc.sum()


def test_cells_explain_a_photograph_as_well_as_those_of_scikit_image() -> None:
    """Share of the variance of the colours that the means of the cells keep."""
    photo = data.astronaut()[::2, ::2]

    def explained(labels: np.ndarray) -> float:
        flat, colors = labels.ravel(), photo.reshape(-1, 3).astype(float)
        means = np.stack([np.bincount(flat, colors[:, i]) for i in range(3)], axis=1) / np.bincount(flat)[:, None]
        return 1 - ((colors - means[flat]) ** 2).sum() / ((colors - colors.mean(axis=0)) ** 2).sum()

    ours = superpixels(photo, Rect(0, 0, 256, 256), 16)
    assert 0.7 * 256 <= ours.num_cells <= 1.3 * 256
    assert explained(ours.labels) > explained(slic(photo, ours.num_cells, compactness=10, start_label=0)) - 0.01


def test_flat_colour_gives_squares() -> None:
    cells = superpixels(np.full((64, 96, 3), 90, np.uint8), Rect(0, 0, 96, 64), 16)
    assert cells.num_cells == 24
    assert all(num_pixels(cells.cell_at((x, y))) == 256 for x in range(8, 96, 16) for y in range(8, 64, 16))


def test_wrong_arguments_are_refused() -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    rect = Rect(0, 0, 30, 20)
    with pytest.raises(ValueError, match="RGB"):
        superpixels(pixels, Rect(0, 0, 20, 30))
    for numbers in [(1, 10, 5), (16, 0, 5), (16, math.inf, 5), (16, 10, 0)]:
        with pytest.raises(ValueError, match="cell_px"):
            superpixels(pixels, rect, *numbers)
    with pytest.raises(ValueError, match="finite"):
        superpixels(pixels, rect).cell_at((math.nan, 0))
    assert superpixels(pixels, rect).cells_touched(brush_segment((90, 90), (90, 90), 5, (200, 200)))[0].is_empty
