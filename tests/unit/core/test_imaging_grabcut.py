"""GrabCut on drawn objects whose true pixels are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from pspnet_core.errors import SelectionError
from pspnet_core.imaging.areas import without
from pspnet_core.imaging.grabcut import grabcut
from pspnet_core.imaging.shapes import ellipse, rectangle
from pspnet_core.imaging.strokes import brush_segment
from pspnet_core.types import Rect
from tests.helpers.areas import paste


def scene(scale: int) -> tuple[np.ndarray, np.ndarray, Rect, tuple[int, int]]:
    """A noisy ellipse on a noisy ground in a part of an image, its true pixels in the image, the part, the image."""
    shape, rect = (150 * scale, 200 * scale), Rect(20 * scale, 10 * scale, 160 * scale, 120 * scale)
    true = paste(ellipse((60 * scale, 40 * scale), (140 * scale, 95 * scale), shape), shape)
    random = np.random.default_rng(3)
    pixels = np.where(true[..., None], (190, 80, 60), (70, 100, 120)) + random.integers(-25, 26, (*shape, 3))
    return pixels.astype(np.uint8)[rect.slices], true, rect, shape


@pytest.mark.parametrize("scale", [1, 5])
def test_the_object_in_the_box(scale) -> None:
    """At full size, and cut at a reduced size with the border refined."""
    pixels, true, rect, shape = scene(scale)
    box = Rect(50 * scale, 30 * scale, 100 * scale, 75 * scale)
    found = grabcut(pixels, rect, box, max_pixels=20_000)
    mask = paste(found, shape)
    assert (mask ^ true).sum() < 0.01 * true.sum()
    again = grabcut(pixels.copy(), rect, box, max_pixels=20_000)
    assert again[0] == found[0]
    np.testing.assert_array_equal(again[1], found[1])


def test_strokes_are_kept_to_the_pixel() -> None:
    pixels, _, rect, shape = scene(4)
    box = Rect(200, 120, 400, 300)
    keep = brush_segment((210.5, 130.5), (230.5, 150.5), 7, shape)
    drop = brush_segment((300.5, 270.5), (480.5, 270.5), 5, shape)
    beyond = brush_segment((620.5, 300.5), (640.5, 300.5), 9, shape)
    mask = paste(grabcut(pixels, rect, box, keep, drop, max_pixels=10_000), shape)
    assert mask[paste(keep, shape)].all()
    assert not mask[paste(drop, shape)].any()
    mask = paste(grabcut(pixels, rect, box, beyond, max_pixels=10_000), shape)
    assert mask[paste(beyond, shape)].all()
    outside = np.ones(shape, bool)
    outside[box.slices] = False
    np.testing.assert_array_equal(mask & outside, paste(beyond, shape) & outside)
    both = paste(grabcut(pixels, rect, box, keep, keep, max_pixels=10_000), shape)
    assert not both[paste(keep, shape)].any(), "background wins"


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32),
    st.tuples(st.integers(-10, 90), st.integers(-10, 70), st.integers(4, 90), st.integers(4, 70)),
    st.integers(1_000, 4_000),
)
def test_nothing_outside_of_the_box_and_the_part(number, box, max_pixels) -> None:
    shape, rect = (90, 110), Rect(6, 9, 95, 72)
    pixels = np.random.default_rng(number).integers(0, 256, (rect.h, rect.w, 3), np.uint8)
    try:
        mask = paste(grabcut(pixels, rect, Rect(*box), iterations=1, max_pixels=max_pixels), shape)
    except SelectionError:
        inside = Rect(*box).intersect(rect)
        assert inside.w * inside.h < 10 * 4 or inside.w * inside.h > 0.95 * rect.w * rect.h
        return
    mask[Rect(*box).intersect(rect).slices] = False
    assert not mask.any()


def test_too_little_to_learn_from_is_said_in_words() -> None:
    pixels, _, rect, shape = scene(1)
    with pytest.raises(SelectionError, match="around the box") as caught:
        grabcut(pixels, rect, rect)
    assert "margin" in caught.value.remedy
    for box in (Rect(60, 60, 2, 3), Rect(900, 900, 5, 5), Rect(60, 60, 0, 0)):
        with pytest.raises(SelectionError, match="The box holds"):
            grabcut(pixels, rect, box)
    # A stroke of background stands for the margin.
    frame = without(rectangle((20, 10), (180, 130), shape), rectangle((24, 14), (176, 126), shape))
    assert grabcut(pixels, rect, rect, background=frame)[1].any()


def test_a_person_is_cut_out_of_a_photograph() -> None:
    photo = data.astronaut()[::2, ::2].copy()
    mask = paste(grabcut(photo, Rect(0, 0, 256, 256), Rect(10, 5, 175, 250), max_pixels=20_000), (256, 256))
    for x, y in [(112, 55), (70, 160), (83, 196), (111, 18)]:  # face, suit, badge, hair
        assert mask[y, x]
    for x, y in [(30, 40), (170, 60), (60, 20), (60, 60)]:  # flag, wall
        assert not mask[y, x]


def test_wrong_arguments_are_refused() -> None:
    pixels, _, rect, _ = scene(1)
    with pytest.raises(ValueError, match="RGB"):
        grabcut(pixels[1:], rect, Rect(50, 50, 30, 30))
    with pytest.raises(ValueError, match="iterations"):
        grabcut(pixels, rect, Rect(50, 50, 30, 30), iterations=0)
    with pytest.raises(ValueError, match="max_pixels"):
        grabcut(pixels, rect, Rect(50, 50, 30, 30), max_pixels=10)
