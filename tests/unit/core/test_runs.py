"""Runs against plain masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pspnet_core.imaging.areas import tight_area
from pspnet_core.imaging.planes import PlaneStore, fill_runs
from pspnet_core.imaging.runs import Runs
from pspnet_core.types import Rect

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 15)))


def runs_of(mask: NDArray[np.bool_], x: int = 0, y: int = 0) -> Runs:
    return Runs.of_area(tight_area(Rect(x, y, mask.shape[1], mask.shape[0]), mask))


def pasted(runs: Runs, shape: tuple[int, int]) -> NDArray[np.bool_]:
    rect, mask = runs.to_area()
    assert rect == runs.rect
    out = np.zeros(shape, np.bool_)
    out[rect.slices] = mask
    return out


@settings(deadline=None)
@given(MASKS)
def test_a_mask_comes_back_from_its_runs(mask: NDArray[np.bool_]) -> None:
    runs = runs_of(mask)
    np.testing.assert_array_equal(pasted(runs, mask.shape), mask)
    assert runs.num_pixels == mask.sum()
    assert runs.rect == tight_area(Rect.of_array(mask), mask)[0]
    assert runs.is_empty == (not mask.any())


@settings(deadline=None)
@given(MASKS, st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_within_is_the_common_part(mask: NDArray[np.bool_], x: int, y: int, w: int, h: int) -> None:
    kept = np.zeros_like(mask)
    kept[y : y + h, x : x + w] = mask[y : y + h, x : x + w]
    np.testing.assert_array_equal(pasted(runs_of(mask).within(Rect(x, y, w, h)), mask.shape), kept)


@settings(deadline=None)
@given(MASKS, st.integers(0, 2**32 - 1))
def test_where_keeps_the_chosen_pixels(mask: NDArray[np.bool_], seed: int) -> None:
    chosen = np.random.default_rng(seed).random(mask.shape) < 0.6
    kept = runs_of(mask).where(chosen[mask])
    np.testing.assert_array_equal(pasted(kept, mask.shape), mask & chosen)
    assert kept.num_pixels == (mask & chosen).sum()


@settings(deadline=None)
@given(MASKS, st.integers(1, 5))
def test_bands_and_parts_hold_all_pixels_and_lie_in_the_rectangle(mask: NDArray[np.bool_], num_bands: int) -> None:
    runs = runs_of(mask)
    for rects, most in ((runs.bands(num_bands), num_bands), (runs.parts(num_bands), 2 * num_bands)):
        covered = np.zeros_like(mask)
        for rect in rects:
            assert rect.intersect(runs.rect) == rect
            covered[rect.slices] = True
        assert (mask <= covered).all()
        assert len(rects) <= most


@settings(max_examples=50, deadline=None)
@given(MASKS, st.integers(500, 520), st.integers(500, 520), st.integers(0, 1000), st.integers(0, 255))
def test_runs_fill_planes_as_a_mask_does(mask: NDArray[np.bool_], x: int, y: int, wider: int, value: int) -> None:
    mask = np.repeat(mask, 1 + wider // mask.shape[1], axis=1)
    planes = PlaneStore(1600, 600, 255), PlaneStore(1600, 600, 0)
    expected = PlaneStore(1600, 600, 255)
    runs = runs_of(mask, x, y)
    fill_runs(runs, (planes[0], value), (planes[1], 2))
    expected.fill(Rect(x, y, mask.shape[1], mask.shape[0]), mask, value)
    np.testing.assert_array_equal(planes[0].to_array(), expected.to_array())
    assert planes[1].count_written() == mask.sum()
    if not runs.is_empty:
        assert (planes[0].read_runs(runs) == value).all()


@settings(deadline=None)
@given(st.sampled_from([1, 2, 8, 64, 512]), st.integers(0, 2), st.integers(0, 2), st.integers(1, 900))
def test_every_nth_pixel_of_a_plane(step: int, column: int, row: int, size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1200, 1300), np.uint8)
    plane = PlaneStore.from_array(pixels, 255)
    x, y = column * step, row * step
    part = pixels[y : y + size, x : x + size]
    np.testing.assert_array_equal(plane.read(Rect(x, y, size, size), step), part[::step, ::step])
