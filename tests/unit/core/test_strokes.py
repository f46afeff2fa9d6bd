"""Brush and polygon against brute force over all pixel centres."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging import strokes
from pspnet_core.imaging.shapes import square_runs
from pspnet_core.imaging.strokes import brush_runs, brush_segment, polygon_mask
from pspnet_core.types import Rect

SHAPE = (60, 80)
COORDINATES = st.floats(-40, 120, allow_nan=False).map(lambda v: round(v, 3))
POINTS = st.tuples(COORDINATES, COORDINATES)


def paste(result, shape=SHAPE):
    rect, mask = result
    assert mask.dtype == np.bool_
    assert mask.shape == (rect.h, rect.w)
    if not rect.is_empty:
        assert rect.intersect(Rect(0, 0, shape[1], shape[0])) == rect, "outside the image"
        assert mask.any(axis=0)[[0, -1]].all(), "rectangle is not tight"
        assert mask.any(axis=1)[[0, -1]].all(), "rectangle is not tight"
    out = np.zeros(shape, bool)
    out[rect.slices] = mask
    return out


def distances(p0, p1, shape=SHAPE):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    dx, dy = p1[0] - p0[0], p1[1] - p0[1]
    squared = dx * dx + dy * dy
    t = np.clip(((x - p0[0]) * dx + (y - p0[1]) * dy) / squared, 0, 1) if squared else 0.0
    return np.hypot(x - p0[0] - t * dx, y - p0[1] - t * dy)


@settings(max_examples=300, deadline=None)
@given(POINTS, POINTS, st.floats(1.5, 70))
def test_brush_is_the_capsule(p0, p1, diameter) -> None:
    painted = paste(brush_segment(p0, p1, diameter, SHAPE))
    distance = distances(p0, p1)
    assert painted[distance < diameter / 2 - 1e-6].all()
    assert not painted[distance > diameter / 2 + 1e-6].any()


@settings(max_examples=300, deadline=None)
@given(POINTS, POINTS, st.one_of(st.floats(1.5, 70), st.integers(1, 40)))
def test_few_rows_and_many_give_the_same_pixels(p0, p1, diameter) -> None:
    by_rows = brush_runs(p0, p1, diameter, SHAPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strokes, "_FEW_ROWS", 0)
        at_once = brush_runs(p0, p1, diameter, SHAPE)
    assert by_rows.rect == at_once.rect
    for one, other in ((by_rows.rows, at_once.rows), (by_rows.starts, at_once.starts), (by_rows.stops, at_once.stops)):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize("few_rows", [0, 1000])
@settings(max_examples=300, deadline=None)
@given(POINTS, POINTS, st.one_of(st.floats(1.5, 70), st.integers(1, 40)), st.sampled_from([brush_runs, square_runs]))
def test_a_stroke_that_goes_on_paints_what_the_dab_before_did_not(few_rows, p0, p1, size, runs_of) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strokes, "_FEW_ROWS", few_rows)
        check_going_on(p0, p1, size, runs_of, is_exact=few_rows == 0 or runs_of is square_runs)


def check_going_on(p0, p1, size, runs_of, is_exact) -> None:
    whole = paste(runs_of(p0, p1, size, SHAPE).to_area())
    dab = paste(runs_of(p0, p0, size, SHAPE).to_area())
    rest = paste(runs_of(p0, p1, size, SHAPE, without_start=True).to_area())
    assert (dab <= whole).all()
    if size < math.sqrt(2):  # single pixels: there is nothing to save
        assert (rest == whole).all()
    elif is_exact:
        np.testing.assert_array_equal(rest, whole & ~dab)
    else:  # with few rows, nothing need be saved
        assert (rest <= whole).all()
        assert (whole & ~dab <= rest).all()


@pytest.mark.parametrize("slope", [1e-15, -1e-12, 1e-9, -1e-6])
def test_an_all_but_flat_brush_is_the_capsule(slope) -> None:
    p0, p1 = (10.5, 20.5), (60.5, 20.5 + slope)
    for ends in ((p0, p1), (p1, p0)):
        painted = paste(brush_segment(*ends, 9.5, SHAPE))
        np.testing.assert_array_equal(painted, distances(p0, p1) <= 9.5 / 2)


@pytest.mark.parametrize("diameter", [2, 3, 4, 5, 7, 8])
def test_centres_at_exactly_the_radius_are_painted(diameter) -> None:
    for point in [(20.5, 20.5), (20.0, 20.0), (20.5, 20.0)]:
        painted = paste(brush_segment(point, point, diameter, SHAPE))
        np.testing.assert_array_equal(painted, distances(point, point) <= diameter / 2)


@settings(max_examples=100, deadline=None)
@given(st.lists(POINTS, min_size=2, max_size=6), st.floats(0.5, 12))
def test_a_stroke_has_no_gaps(points, diameter) -> None:
    """Successive segments together are one 8-connected area wherever the path stays in a larger image."""
    from scipy.ndimage import label

    shape = (240, 240)
    moved = [(x + 60, y + 60) for x, y in points]
    union = np.zeros(shape, bool)
    for p0, p1 in pairwise(moved):
        union |= paste(brush_segment(p0, p1, diameter, shape), shape)
    assert label(union, np.ones((3, 3)))[1] == 1


@given(st.floats(0, 79.999), st.floats(0, 59.999))
def test_thinnest_brush_paints_the_pixel_under_the_point(x, y) -> None:
    rect, mask = brush_segment((x, y), (x, y), 1, SHAPE)
    assert rect == Rect(math.floor(x), math.floor(y), 1, 1)
    assert mask.all()


def test_thinnest_brush_paints_a_line_of_single_pixels() -> None:
    painted = paste(brush_segment((2.9, 3.1), (9.1, 5.0), 1, SHAPE))
    assert painted.sum() == 8
    assert painted[3, 2]
    assert painted[5, 9]
    assert (painted.sum(axis=0) <= 1).all()
    reverse = paste(brush_segment((9.1, 5.0), (2.9, 3.1), 1, SHAPE))
    np.testing.assert_array_equal(painted, reverse)


def test_far_points_cost_nothing_and_paint_nothing() -> None:
    for diameter in (1, 9):
        rect, mask = brush_segment((-1e9, 1e9), (-1e9, 2e9), diameter, SHAPE)
        assert rect.is_empty
        assert mask.size == 0
    across = paste(brush_segment((-1e7, 30.5), (1e7, 30.5), 1, SHAPE))
    assert across[30].all()
    assert across.sum() == 80


def test_impossible_brushes_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        brush_segment((math.nan, 0), (0, 0), 3, SHAPE)
    with pytest.raises(ValueError, match="over 0"):
        brush_segment((0, 0), (0, 0), 0, SHAPE)


def even_odd(points, shape=SHAPE):
    """Each pixel centre on its own: crossings of the ray to the left."""
    out = np.zeros(shape, bool)
    for row, column in np.ndindex(shape):
        x, y, inside = column + 0.5, row + 0.5, False
        for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
            if (ay <= y) != (by <= y):
                (tx, ty), (lx, ly) = ((ax, ay), (bx, by)) if ay < by else ((bx, by), (ax, ay))
                inside ^= tx + (y - ty) * ((lx - tx) / (ly - ty)) <= x
        out[row, column] = inside
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(POINTS, min_size=3, max_size=8))
def test_polygon_is_even_odd_by_pixel_centres(points) -> None:
    np.testing.assert_array_equal(paste(polygon_mask(points, SHAPE)), even_odd(points))


@settings(max_examples=60, deadline=None)
@given(POINTS, POINTS, POINTS, POINTS)
def test_triangles_that_share_edges_tile_without_overlap(a, b, c, d) -> None:
    """By the even-odd rule a quadrilateral is the exclusive or of its two triangles."""
    whole = paste(polygon_mask([a, b, c, d], SHAPE))
    np.testing.assert_array_equal(whole, paste(polygon_mask([a, b, c], SHAPE)) ^ paste(polygon_mask([a, c, d], SHAPE)))


def test_polygon_on_pixel_borders_is_exact() -> None:
    rect, mask = polygon_mask([(3, 4), (10, 4), (10, 9), (3, 9)], SHAPE)
    assert rect == Rect(3, 4, 7, 5)
    assert mask.all()


@pytest.mark.parametrize("points", [[], [(1, 1)], [(1, 1), (30, 30)], [(1, 1), (9, 1), (20, 1)]])
def test_what_encloses_nothing_is_empty(points) -> None:
    rect, mask = polygon_mask(points, SHAPE)
    assert rect.is_empty
    assert mask.size == 0


def test_polygon_with_infinite_corner_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        polygon_mask([(0, 0), (math.inf, 0), (0, 4)], SHAPE)


# What a dab looks like around the middle of a pixel and around a corner of pixels, by its diameter.
DABS = {
    1: ("#", "#"),
    2: (".#. ### .#.", "## ##"),
    3: ("### ### ###", "## ##"),
    4: ("..#.. .###. ##### .###. ..#..", ".##. #### #### .##."),
    5: (".###. ##### ##### ##### .###.", "#### #### #### ####"),
    6: (
        "...#... .#####. .#####. ####### .#####. .#####. ...#...",
        ".####. ###### ###### ###### ###### .####.",
    ),
}


@pytest.mark.parametrize("diameter", DABS)
def test_small_dabs_are_these_pixels(diameter) -> None:
    for place, picture in zip((20.5, 20.0), DABS[diameter], strict=True):
        rows = [[pixel == "#" for pixel in row] for row in picture.split()]
        rect, mask = brush_segment((place, place), (place, place), diameter, SHAPE)
        np.testing.assert_array_equal(mask, rows)
        assert (rect.x, rect.y) == (20 - len(rows) // 2, 20 - len(rows) // 2)
