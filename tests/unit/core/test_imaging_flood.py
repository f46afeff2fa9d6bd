"""Regions that grow by tiles against scikit-image's labels, and what they cost."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from pspnet_core.errors import SelectionError
from pspnet_core.imaging import flood
from pspnet_core.imaging.flood import component_at, connected_tiles, flood_region, flood_tiles
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import Rect
from tests.helpers.areas import paste


def around(same: np.ndarray, row: int, column: int, connectivity: int) -> np.ndarray:
    """The connected region of ``same`` around a pixel of it, by scikit-image."""
    labels = label(same, connectivity=1 if connectivity == 4 else 2)
    return labels == labels[row, column]


@st.composite
def class_maps(draw) -> np.ndarray:
    """Coarse patches with noise in them: regions of all sizes, also with holes and diagonal contacts."""
    height, width = draw(st.integers(1, 45)), draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([1, 1, 3, 8]))
    coarse = random.integers(0, draw(st.integers(1, 4)), (height // size + 1, width // size + 1))
    classes = np.kron(coarse, np.ones((size, size), int))[:height, :width].astype(np.uint8)
    classes[random.random(classes.shape) < draw(st.sampled_from([0, 0.05]))] = 255
    return classes


@settings(max_examples=150, deadline=None)
@given(class_maps(), st.floats(0, 0.999), st.floats(0, 0.999), st.sampled_from([4, 8]), st.sampled_from([2, 7, 16]))
def test_flood_over_many_tiles(classes, x, y, connectivity, tile_px) -> None:
    height, width = classes.shape
    seed = (x * width, y * height)
    row, column = math.floor(seed[1]), math.floor(seed[0])
    expected = around(classes == classes[row, column], row, column, connectivity)
    plane = PlaneStore.from_array(classes, 255)
    with mock.patch.object(flood, "TILE_PX", tile_px):
        whole = flood_region(plane.read, seed, plane.shape, connectivity=connectivity)
        parts = flood_tiles(plane.read, seed, plane.shape, connectivity=connectivity)
        component = component_at(classes, seed, connectivity=connectivity)
    np.testing.assert_array_equal(paste(whole, classes.shape), expected)
    np.testing.assert_array_equal(paste(component, classes.shape), expected)
    counted = np.sum([paste(part, classes.shape).astype(int) for part in parts], axis=0)
    np.testing.assert_array_equal(counted, expected.astype(int), err_msg="the parts overlap or leave a gap")


@settings(max_examples=60, deadline=None)
@given(class_maps(), st.integers(0, 2**32), st.sampled_from([4, 8]))
def test_a_component_stays_in_what_is_allowed(classes, number, connectivity) -> None:
    random = np.random.default_rng(number)
    allowed = random.random(classes.shape) < 0.8
    row, column = (int(random.integers(n)) for n in classes.shape)
    found = paste(component_at(classes, (column + 0.5, row + 0.5), allowed, connectivity=connectivity), classes.shape)
    if not allowed[row, column]:
        assert not found.any()
    else:
        same = (classes == classes[row, column]) & allowed
        np.testing.assert_array_equal(found, around(same, row, column, connectivity))


def test_a_spiral_comes_back_to_the_same_tiles() -> None:
    """Tiles of real size; the way leaves and enters each of them many times."""
    shape = (1100, 1300)
    wall = np.zeros(shape, np.uint8)
    for step in range(0, 500, 20):
        wall[step : shape[0] - step, step] = wall[step : shape[0] - step, shape[1] - 1 - step] = 1
        wall[step, step : shape[1] - step] = wall[shape[0] - 1 - step, step : shape[1] - step] = 1
        side = step + 5 if (step // 20) % 2 else shape[1] - step - 7
        wall[step, side] = 0  # a gap, now left, now right
    plane = PlaneStore.from_array(wall)
    found = flood_region(plane.read, (650.5, 550.5), shape)
    np.testing.assert_array_equal(paste(found, shape), around(wall == 0, 550, 650, 4))
    assert found[1].sum() > 1_000_000


def test_a_small_region_of_a_gigapixel_plane_reads_its_own_tiles_only() -> None:
    plane = PlaneStore(90_000, 90_000, 255)
    plane.fill(Rect(50_000, 50_000, 300, 20), None, 7)
    read = []

    def counting(rect: Rect) -> np.ndarray:
        read.append(rect)
        return plane.read(rect)

    rect, mask = flood_region(counting, (50_100.2, 50_010.9), plane.shape)
    assert rect == Rect(50_000, 50_000, 300, 20)
    assert mask.all()
    assert sum(r.w * r.h for r in read) <= 3 * 512 * 512


def test_too_large_a_region_is_refused_in_words() -> None:
    plane = PlaneStore(2000, 2000, 255)
    with pytest.raises(SelectionError) as caught:
        flood_tiles(plane.read, (5, 5), plane.shape, max_pixels=1_000_000)
    assert "1,000,000 pixels" in caught.value.title
    assert caught.value.remedy
    assert sum(mask.sum() for _, mask in flood_tiles(plane.read, (5, 5), plane.shape, max_pixels=4_000_000)) == 4e6


def test_a_thin_region_whose_box_is_too_large_comes_in_pieces() -> None:
    plane = PlaneStore(2000, 2000, 255)
    plane.fill(Rect(0, 0, 2000, 1), None, 1)
    plane.fill(Rect(0, 0, 1, 2000), None, 1)
    with pytest.raises(SelectionError):
        flood_region(plane.read, (5, 0), plane.shape, max_pixels=100_000)
    assert sum(mask.sum() for _, mask in flood_tiles(plane.read, (5, 0), plane.shape, max_pixels=100_000)) == 3999


@pytest.mark.parametrize("seed", [(-0.1, 3), (3, -1), (10, 3), (3, 10), (1e12, 0)])
def test_a_seed_outside_selects_nothing(seed) -> None:
    plane = PlaneStore(10, 10)
    assert flood_tiles(plane.read, seed, plane.shape) == []
    assert flood_region(plane.read, seed, plane.shape)[0].is_empty
    assert component_at(plane.to_array(), seed)[0].is_empty
    assert connected_tiles(lambda rect: np.ones((rect.h, rect.w), bool), seed, (10, 10)) == []


def test_wrong_arguments_are_refused() -> None:
    plane = PlaneStore(10, 10)
    with pytest.raises(ValueError, match="connectivity"):
        flood_region(plane.read, (3, 3), plane.shape, connectivity=6)  # type: ignore[arg-type]
    for call in (flood_tiles, flood_region):
        with pytest.raises(ValueError, match="finite"):
            call(plane.read, (math.nan, 3), plane.shape)
    with pytest.raises(ValueError, match="finite"):
        component_at(plane.to_array(), (math.inf, 3))
    with pytest.raises(ValueError, match="does not fit"):
        component_at(plane.to_array(), (3, 3), np.ones((4, 4), bool))
