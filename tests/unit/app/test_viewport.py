"""The maths of zoom and pan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pspnet_core.types import Rect
from pspnet_studio.canvas.viewport import MAX_SCALE, MIN_SCALE, Viewport

viewports = st.builds(
    Viewport,
    st.integers(1, 20000),
    st.integers(1, 20000),
    st.integers(1, 4000),
    st.integers(1, 3000),
    st.floats(0.01, 64),
    st.integers(-5000, 5000),
    st.integers(-5000, 5000),
)
coordinates = st.floats(-1e4, 1e4)


@given(viewports, coordinates, coordinates)
def test_device_and_image_points_are_inverse(viewport, x, y):
    assert viewport.to_image(*viewport.to_device(x, y)) == pytest.approx((x, y), abs=1e-6)


@given(viewports, st.floats(0.01, 64), st.floats(0, 1), st.floats(0, 1))
def test_zoom_keeps_the_point_under_the_cursor(viewport, scale, x, y):
    viewport = viewport.fitted()
    x, y = x * viewport.view_w, y * viewport.view_h
    image_x, image_y = viewport.to_image(x, y)
    zoomed = viewport.zoomed(scale, x, y)
    middle = zoomed.to_image(zoomed.view_w // 2, zoomed.view_h // 2)
    margin = 2 / zoomed.scale
    sizes = viewport.image_w, viewport.image_h
    if not all(margin < at < size - margin for at, size in zip(middle, sizes, strict=True)):
        return  # held back so that the image stays in sight
    if zoomed.image_device_rect.w <= zoomed.view_w or zoomed.image_device_rect.h <= zoomed.view_h:
        return  # moved into the view
    moved_x, moved_y = zoomed.to_device(image_x, image_y)
    assert abs(moved_x - x) <= 0.5 + 1e-6
    assert abs(moved_y - y) <= 0.5 + 1e-6


@given(viewports, st.floats(0.01, 64), st.floats(0, 1), st.floats(0, 1))
def test_zoom_moves_an_image_that_has_room_into_the_view(viewport, scale, x, y):
    zoomed = viewport.zoomed(scale, x * viewport.view_w, y * viewport.view_h)
    rect, view = zoomed.image_device_rect, zoomed.view_rect
    assert rect.w > view.w or rect.intersect(view).w == rect.w
    assert rect.h > view.h or rect.intersect(view).h == rect.h


@given(viewports, st.integers(-50000, 50000), st.integers(-50000, 50000))
def test_panning_never_loses_the_image(viewport, dx, dy):
    seen = viewport.panned(dx, dy)
    assert not seen.image_device_rect.intersect(seen.view_rect).is_empty


@given(viewports)
def test_fit_shows_the_whole_image_in_the_middle(viewport):
    fitted = viewport.fitted()
    rect = fitted.image_device_rect
    assert rect.w <= fitted.view_w + 1
    assert rect.h <= fitted.view_h + 1
    assert abs(rect.x - (fitted.view_w - rect.right)) <= 2
    assert abs(rect.y - (fitted.view_h - rect.bottom)) <= 2


@given(viewports)
def test_device_rect_covers_every_device_pixel_of_an_image_pixel(viewport):
    viewport = viewport.fitted()
    x, y = viewport.image_w // 2, viewport.image_h // 2
    rect = viewport.device_rect(Rect(x, y, 1, 1))
    columns = viewport.columns(0, viewport.view_w)
    rows = viewport.rows(0, viewport.view_h)
    hit_columns, hit_rows = np.flatnonzero(columns == x), np.flatnonzero(rows == y)
    if len(hit_columns) and len(hit_rows):
        assert rect.x <= hit_columns[0]
        assert rect.right > hit_columns[-1]
        assert rect.y <= hit_rows[0]
        assert rect.bottom > hit_rows[-1]


def test_zoom_is_clipped_and_snaps_to_full_size():
    viewport = Viewport(1000, 1000, 500, 500).fitted()
    assert viewport.zoomed(1000, 250, 250).scale == MAX_SCALE
    assert viewport.zoomed(0.0001, 250, 250).scale == MIN_SCALE
    assert viewport.zoomed(0.9999, 250, 250).scale == 1.0
    huge = Viewport(200_000, 10, 500, 500)
    assert huge.zoomed(0.0001, 0, 0).scale == pytest.approx(500 / 200_000)


def test_round_zooms_follow_each_other():
    viewport = Viewport(1000, 1000, 500, 500, 0.9)
    assert viewport.larger_scale == 1.0
    assert viewport.smaller_scale == 0.67
    assert Viewport(9, 9, 9, 9, 64.0).larger_scale == 64.0


@pytest.mark.parametrize(("scale", "level"), [(2, 0), (1, 0), (0.75, 0), (0.5, 1), (0.3, 1), (0.25, 2), (0.1, 3)])
def test_the_level_has_at_least_one_pixel_per_device_pixel(scale, level):
    assert Viewport(100, 100, 50, 50, scale).level == level


def test_a_resize_keeps_the_middle_and_a_denser_screen_the_apparent_size():
    viewport = Viewport(1000, 800, 400, 300, 2.0, -500, -300)
    middle = viewport.to_image(200, 150)
    assert viewport.resized(600, 500).to_image(300, 250) == pytest.approx(middle, abs=0.3)
    dense = viewport.resized(800, 600, ratio=2.0)
    assert dense.scale == 4.0
    assert dense.to_image(400, 300) == pytest.approx(middle, abs=0.3)


def test_visible_image_pixels_are_clipped_to_the_image():
    assert Viewport(100, 80, 50, 50, 1.0, 10, 20).image_rect() == Rect(0, 0, 40, 30)
    assert Viewport(100, 80, 50, 50, 1.0, -70, -70).image_rect() == Rect(70, 70, 30, 10)
