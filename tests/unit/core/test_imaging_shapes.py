"""Rectangles, ellipses, lassos and both brushes against the pixel centres, one by one and without rounding."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pspnet_core.imaging.areas import common, mask_within, num_pixels, tight_area, united, without
from pspnet_core.imaging.shapes import ellipse, lasso, rectangle, square_corner, square_segment, whole_pixels
from pspnet_core.imaging.strokes import brush_segment, polygon_mask
from pspnet_core.types import Rect
from tests.helpers.areas import paste

SHAPE = (40, 48)
Y, X = (grid + 0.5 for grid in np.mgrid[: SHAPE[0], : SHAPE[1]])
COORDINATES = st.floats(-30, 70, allow_nan=False).map(lambda v: round(v, 3))
POINTS = st.tuples(COORDINATES, COORDINATES)
# Eighths of a pixel: all arithmetic of the oracles is then exact in integers.
EIGHTHS = st.integers(-160, 480)
EXACT_POINTS = st.tuples(EIGHTHS, EIGHTHS)


def pixels(point: tuple[int, int]) -> tuple[float, float]:
    return point[0] / 8, point[1] / 8


def capsule_oracle(p0, p1, diameter_eighths) -> np.ndarray:
    """Which centres are at most half the diameter from the segment: integers only, in sixteenths of a pixel."""
    out = np.zeros(SHAPE, bool)
    (x0, y0), (x1, y1) = [[2 * v for v in p] for p in (p0, p1)]
    dx, dy = x1 - x0, y1 - y0
    length = dx * dx + dy * dy
    for row, column in np.ndindex(SHAPE):
        x, y = 16 * column + 8 - x0, 16 * row + 8 - y0
        along = x * dx + y * dy
        if along <= 0 or length == 0:
            inside = x * x + y * y <= diameter_eighths**2
        elif along >= length:
            inside = (x - dx) ** 2 + (y - dy) ** 2 <= diameter_eighths**2
        else:
            inside = (x * dy - y * dx) ** 2 <= diameter_eighths**2 * length
        out[row, column] = inside
    return out


@settings(max_examples=120, deadline=None)
@given(EXACT_POINTS, EXACT_POINTS, st.integers(12, 48))
def test_thin_brushes_are_exact_capsules(p0, p1, diameter) -> None:
    """Radius 0.75 to 3 in steps of a sixteenth, slow and fast, with centres that lie exactly on the border."""
    painted = paste(brush_segment(pixels(p0), pixels(p1), diameter / 8, SHAPE), SHAPE)
    np.testing.assert_array_equal(painted, capsule_oracle(p0, p1, diameter))


@pytest.mark.parametrize(("diameter", "num"), [(1, 1), (2, 5), (3, 9), (4, 13), (5, 21), (6, 29)])
def test_dabs_on_a_pixel_centre_have_the_pixels_of_the_disc(diameter, num) -> None:
    assert num_pixels(brush_segment((20.5, 20.5), (20.5, 20.5), diameter, SHAPE)) == num


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 150)), min_size=2, max_size=5), st.floats(0.5, 6))
def test_no_brush_leaves_gaps_at_any_speed(points, size) -> None:
    from scipy.ndimage import label

    for brush in (brush_segment, square_segment):
        union = np.zeros((150, 200), bool)
        for p0, p1 in pairwise(points):
            union |= paste(brush(p0, p1, size, union.shape), union.shape)
        assert label(union, np.ones((3, 3)))[1] <= 1
        for x, y in points:
            if x < 200 and y < 150 and (brush is square_segment or size >= math.sqrt(2)):
                reach = max(1, int(size))
                near = union[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1]
                assert near.any(), "a point of the path is not covered"


@settings(max_examples=150, deadline=None)
@given(POINTS, POINTS, st.floats(1.01, 30))
def test_square_brush_is_what_the_square_sweeps(p0, p1, side) -> None:
    painted = paste(square_segment(p0, p1, side, SHAPE), SHAPE)
    # Distance from the moving middle in the maximum norm: convex in the position, so a ternary search finds it.
    low, high = np.zeros(SHAPE), np.ones(SHAPE)

    def reach(t):
        return np.maximum(abs(X - p0[0] - t * (p1[0] - p0[0])), abs(Y - p0[1] - t * (p1[1] - p0[1])))

    for _ in range(90):
        third = (high - low) / 3
        left_is_nearer = reach(low + third) < reach(high - third)
        low, high = np.where(left_is_nearer, low, low + third), np.where(left_is_nearer, high - third, high)
    distance = reach((low + high) / 2)
    assert painted[distance < side / 2 - 1e-6].all()
    assert not painted[distance > side / 2 + 1e-6].any()


@given(st.floats(5, 40), st.floats(5, 30), st.integers(1, 8))
@example(5.0, 29.999999999999996, 5)
def test_square_dab_of_n_has_n_by_n_pixels_wherever_it_stands(x, y, side) -> None:
    rect, mask = square_segment((x, y), (x, y), side, SHAPE)
    assert (rect.w, rect.h) == (side, side)
    assert mask.all()
    if side == 1:
        assert rect[:2] == (math.floor(x), math.floor(y))


@settings(max_examples=100, deadline=None)
@given(EXACT_POINTS, EXACT_POINTS)
def test_rectangle_by_pixel_centres(p0, p1) -> None:
    (x0, x1), (y0, y1) = sorted((p0[0] / 8, p1[0] / 8)), sorted((p0[1] / 8, p1[1] / 8))
    inside = (x0 <= X) & (x1 > X) & (y0 <= Y) & (y1 > Y)
    np.testing.assert_array_equal(paste(rectangle(pixels(p0), pixels(p1), SHAPE), SHAPE), inside)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    np.testing.assert_array_equal(paste(polygon_mask(corners, SHAPE), SHAPE), inside)


@settings(max_examples=150, deadline=None)
@given(EXACT_POINTS, EXACT_POINTS)
def test_ellipse_by_pixel_centres(p0, p1) -> None:
    """In integers: with everything times 16, ((2x - a) / w)^2 + ((2y - b) / h)^2 <= 1."""
    painted = paste(ellipse(pixels(p0), pixels(p1), SHAPE), SHAPE)
    w, h = 2 * abs(p1[0] - p0[0]), 2 * abs(p1[1] - p0[1])
    inside = np.zeros(SHAPE, bool)
    if w and h:
        for row, column in np.ndindex(SHAPE):
            x, y = 2 * (16 * column + 8 - p0[0] - p1[0]), 2 * (16 * row + 8 - p0[1] - p1[1])
            inside[row, column] = (x * h) ** 2 + (y * w) ** 2 <= (w * h) ** 2
    np.testing.assert_array_equal(painted, inside)


@pytest.mark.parametrize(
    ("w", "h", "num"), [(1, 1, 1), (2, 2, 4), (1, 7, 7), (9, 1, 9), (3, 3, 9), (4, 4, 12), (5, 5, 21)]
)
def test_tiny_ellipses(w, h, num) -> None:
    rect, mask = ellipse((10, 20), (10 + w, 20 + h), SHAPE)
    assert rect == Rect(10, 20, w, h), "touches all four sides of its box"
    assert mask.sum() == num
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask[:, ::-1])


@given(st.integers(1, 40))
def test_a_round_ellipse_is_the_dab_of_the_brush(size) -> None:
    middle = (3 + size / 2, 2 + size / 2)
    box = paste(ellipse((3, 2), (3 + size, 2 + size), SHAPE), SHAPE)
    if size >= 2:
        np.testing.assert_array_equal(box, paste(brush_segment(middle, middle, size, SHAPE), SHAPE))


def test_an_ellipse_without_area_is_empty() -> None:
    for box in [((3, 3), (3, 9)), ((3.5, 3.5), (9, 3.5)), ((5, 5), (5, 5)), ((-9, -9), (-2, -2)), ((90, 3), (99, 5))]:
        assert ellipse(*box, SHAPE)[0].is_empty
        assert ellipse(*box, SHAPE)[1].shape == (0, 0)


@given(POINTS, POINTS)
def test_whole_pixels_hold_both_points(p0, p1) -> None:
    (left, top), (right, bottom) = whole_pixels(p0, p1)
    for x, y in (p0, p1):
        assert left <= x < right
        assert top <= y < bottom
    assert num_pixels(rectangle((left, top), (right, bottom), (10**6, 10**6))) == max(0, right - max(0, left)) * max(
        0, bottom - max(0, top)
    )


@given(POINTS, POINTS)
def test_square_corner_keeps_the_side_and_makes_a_square(p0, p1) -> None:
    x, y = square_corner(p0, p1)
    assert abs(abs(x - p0[0]) - abs(y - p0[1])) < 1e-9
    assert (x - p0[0]) * (p1[0] - p0[0]) >= 0
    assert (y - p0[1]) * (p1[1] - p0[1]) >= 0
    assert max(abs(x - p0[0]), abs(y - p0[1])) == pytest.approx(max(abs(p1[0] - p0[0]), abs(p1[1] - p0[1])))


def winding(points) -> np.ndarray:
    """How often the path goes around each centre, one ray each."""
    out = np.zeros(SHAPE, int)
    for row, column in np.ndindex(SHAPE):
        x, y = column + 0.5, row + 0.5
        for (ax, ay), (bx, by) in pairwise([*points, points[0]]):
            if (ay <= y) != (by <= y):
                (tx, ty), (lx, ly) = ((ax, ay), (bx, by)) if ay < by else ((bx, by), (ax, ay))
                if tx + (y - ty) * ((lx - tx) / (ly - ty)) <= x:
                    out[row, column] += 1 if ay < by else -1
    return out


@settings(max_examples=40, deadline=None)
@given(st.lists(POINTS, min_size=3, max_size=9))
def test_lasso_fills_what_the_path_goes_around(points) -> None:
    np.testing.assert_array_equal(paste(lasso(points, SHAPE), SHAPE), winding(points) != 0)


def test_a_lasso_that_overlaps_its_own_beginning_has_no_hole() -> None:
    turns = [
        (20 + r * math.cos(t), 20 + r * math.sin(t)) for t, r in zip(np.linspace(0, 9, 90), [15] * 90, strict=True)
    ]
    assert paste(lasso(turns, SHAPE), SHAPE)[20, 20]
    assert lasso([(1, 1), (9, 9)], SHAPE)[0].is_empty


@pytest.mark.parametrize(
    "call",
    [
        lambda: rectangle((0, 0), (math.nan, 1), SHAPE),
        lambda: ellipse((0, math.inf), (3, 1), SHAPE),
        lambda: lasso([(0, 0), (math.inf, 0), (0, 3)], SHAPE),
        lambda: square_segment((0, 0), (3, 1), 0, SHAPE),
        lambda: square_segment((0, 0), (math.nan, 1), 3, SHAPE),
        lambda: whole_pixels((0, 0), (math.nan, 1)),
    ],
)
def test_impossible_shapes_are_refused(call) -> None:
    with pytest.raises(ValueError, match=r"finite|over 0"):
        call()


MASKS = st.integers(0, 2**63).map(lambda seed: np.random.default_rng(seed).random(SHAPE) < 0.02)


@given(MASKS, MASKS)
def test_areas_add_subtract_and_intersect_like_masks(one, other) -> None:
    whole = Rect(0, 0, SHAPE[1], SHAPE[0])
    a, b = tight_area(whole, one), tight_area(whole, other)
    np.testing.assert_array_equal(paste(united([a, b]), SHAPE), one | other)
    np.testing.assert_array_equal(paste(without(a, b), SHAPE), one & ~other)
    np.testing.assert_array_equal(paste(common(a, b), SHAPE), one & other)
    inner = Rect(5, 7, 20, 11)
    np.testing.assert_array_equal(mask_within(a, inner), one[inner.slices])
