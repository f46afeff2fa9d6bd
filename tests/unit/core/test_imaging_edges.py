"""Scissors and snapping: on drawn edges to a fraction of a pixel, and never outside of what was given."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging.scissors import Scissors, edge_path, simplified_path
from pspnet_core.imaging.shapes import ellipse
from pspnet_core.imaging.snap import resampled_path, snap_area, snap_path, snap_point
from pspnet_core.imaging.strokes import polygon_mask
from pspnet_core.types import Rect
from tests.helpers.areas import paste

SHAPE = (140, 170)  # of the image
RECT = Rect(30, 20, 120, 100)  # of the part that is looked at
HUNDREDTHS = st.integers(-5000, 5000).map(lambda v: v / 100)
CENTRE, RADIUS = (88.3, 69.2), 33.0


def disc_pixels(noise: int = 0) -> np.ndarray:
    """A disc with soft borders, as a camera sees it, in the part of the image."""
    y, x = np.mgrid[: RECT.h, : RECT.w] + 0.5
    inside = np.clip(RADIUS - np.hypot(x + RECT.x - CENTRE[0], y + RECT.y - CENTRE[1]) + 0.5, 0, 1)[..., None]
    pixels = inside * np.array([200, 90, 60]) + (1 - inside) * np.array([60, 110, 90])
    return np.rint(pixels + np.random.default_rng(1).integers(-noise, noise + 1, pixels.shape)).astype(np.uint8)


def off_circle(point) -> float:
    return abs(math.hypot(point[0] - CENTRE[0], point[1] - CENTRE[1]) - RADIUS)


DISC = disc_pixels()


@given(st.floats(0, 6.28), st.floats(-6, 6))
def test_a_point_snaps_to_the_edge_between_the_pixels(angle, away) -> None:
    distance = RADIUS + away
    point = CENTRE[0] + distance * math.cos(angle), CENTRE[1] + distance * math.sin(angle)
    snapped = snap_point(DISC, RECT, point, 8)
    assert off_circle(snapped) < 0.35
    assert math.dist(snapped, point) < abs(away) + 2, "it slid along the edge"


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(20, 160), st.floats(10, 130), st.floats(0, 20))
def test_a_point_moves_by_no_more_than_the_radius(number, x, y, radius) -> None:
    pixels = np.random.default_rng(number).integers(0, 256, (RECT.h, RECT.w, 3), np.uint8)
    assert math.dist(snap_point(pixels, RECT, (x, y), radius), (x, y)) <= radius + 1e-6


def test_a_step_between_two_columns_is_found_exactly() -> None:
    pixels = np.full((RECT.h, RECT.w, 3), 50, np.uint8)
    pixels[:, 60:, 2] = 90  # one channel only
    assert snap_point(pixels, RECT, (92.7, 60.2), 6)[0] == pytest.approx(RECT.x + 60, abs=1e-3)
    assert snap_point(pixels, RECT, (92.7, 60.2), 6)[1] == pytest.approx(60.2, abs=0.6)
    assert snap_point(pixels, RECT, (99.7, 60.2), 6) == (99.7, 60.2), "no edge within the radius"
    assert snap_point(pixels, RECT, (92.7, 60.2), 6, min_contrast=30) == (92.7, 60.2), "too weak an edge"
    assert snap_point(pixels, RECT, (3, 3), 6) == (3, 3), "outside of the part"


def test_the_stronger_of_two_edges_wins() -> None:
    pixels = np.full((RECT.h, RECT.w, 3), 50, np.uint8)
    pixels[:, 50:] = 70
    pixels[:, 58:] = 200
    assert snap_point(pixels, RECT, (RECT.x + 53.2, 60), 8)[0] == pytest.approx(RECT.x + 58, abs=0.05)


@pytest.mark.parametrize("noise", [0, 12])
def test_a_closed_path_snaps_to_the_disc(noise) -> None:
    pixels = disc_pixels(noise)
    rough = [
        (
            CENTRE[0] + (RADIUS + 4 * math.sin(3 * t)) * math.cos(t),
            CENTRE[1] + (RADIUS + 4 * math.sin(3 * t)) * math.sin(t),
        )
        for t in np.linspace(0, 2 * math.pi, 40, endpoint=False)
    ]
    path = resampled_path(rough, 2, closed=True)
    snapped = snap_path(pixels, RECT, path, 7, closed=True)
    assert len(snapped) == len(path)
    assert np.mean([off_circle(p) for p in snapped]) < 0.5 < np.mean([off_circle(p) for p in path])
    assert max(off_circle(p) for p in snapped) < 1.5
    assert snap_path(pixels, RECT, path, 7, closed=True) == snapped
    quarter = snap_path(pixels, RECT, path[: len(path) // 4], 7)
    assert np.mean([off_circle(p) for p in quarter]) < 0.6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 170), st.floats(0, 140)), min_size=0, max_size=12),
    st.floats(0, 9),
    st.booleans(),
)
def test_points_of_a_path_move_by_no_more_than_the_radius(points, radius, closed) -> None:
    snapped = snap_path(DISC, RECT, points, radius, closed)
    assert len(snapped) == len(points)
    for before, after in zip(points, snapped, strict=True):
        assert math.dist(before, after) <= radius + 1e-6


def test_a_path_over_flat_colour_stays() -> None:
    flat = np.full((RECT.h, RECT.w, 3), 9, np.uint8)
    path = resampled_path([(50, 40), (90, 60), (120, 100)], 2)
    np.testing.assert_allclose(snap_path(flat, RECT, path, 6), path)


@given(
    st.lists(st.tuples(HUNDREDTHS, HUNDREDTHS), min_size=2, max_size=8, unique=True),
    st.floats(0.5, 20),
    st.booleans(),
)
def test_resampled_points_lie_on_the_path_at_equal_distances(points, step, closed) -> None:
    new = resampled_path(points, step, closed)
    ring = [*points, points[0]] if closed else points
    length = sum(math.dist(a, b) for a, b in pairwise(ring))
    assert len(new) == max(1, round(length / step)) + (0 if closed else 1)
    if not closed:
        assert new[0] == pytest.approx(points[0])
        assert new[-1] == pytest.approx(points[-1])
    for point in new:
        assert min(abs(math.dist(a, point) + math.dist(point, b) - math.dist(a, b)) for a, b in pairwise(ring)) < 1e-6
    for a, b in pairwise(new):
        assert math.dist(a, b) <= length / max(1, round(length / step)) + 1e-9


def test_an_area_snaps_to_the_disc() -> None:
    pixels = disc_pixels(10)
    true = paste(
        ellipse((CENTRE[0] - RADIUS, CENTRE[1] - RADIUS), (CENTRE[0] + RADIUS, CENTRE[1] + RADIUS), SHAPE), SHAPE
    )
    corners = [(CENTRE[0] + 35 * math.cos(t), CENTRE[1] + 35 * math.sin(t)) for t in np.linspace(0, 6.28, 7)[:-1]]
    rough = polygon_mask(corners, SHAPE)
    snapped = paste(snap_area(pixels, RECT, rough, 7), SHAPE)
    assert (paste(rough, SHAPE) ^ true).sum() > 300
    assert (snapped ^ true).sum() < 60
    np.testing.assert_array_equal(snapped, paste(snap_area(pixels, RECT, rough, 7), SHAPE))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(20, 165), st.floats(10, 130)), min_size=3, max_size=6),
    st.integers(0, 2**32),
    st.floats(0, 12),
)
def test_the_border_of_an_area_moves_by_no_more_than_the_radius(points, number, radius) -> None:
    area = polygon_mask(points, SHAPE)
    pixels = np.random.default_rng(number).integers(0, 256, (RECT.h, RECT.w, 3), np.uint8)
    snapped = paste(snap_area(pixels, RECT, area, radius), SHAPE)
    part = np.zeros(SHAPE, bool)
    part[RECT.slices] = True
    before = paste(area, SHAPE) & part
    assert not (snapped & ~part).any()
    rows, columns = np.nonzero(snapped ^ before)
    for side in (before, ~before):  # what changed lies close to the border: both sides are within the radius
        at = np.argwhere(side)
        for row, column in list(zip(rows, columns, strict=True))[:40]:
            assert ((at - (row, column)) ** 2).sum(axis=1).min() <= (radius + 1) ** 2
    if before.sum() > 0:
        assert snapped.any(), "the area is gone"


ENDS = [(CENTRE[0] + RADIUS * math.cos(t), CENTRE[1] + RADIUS * math.sin(t)) for t in (0.2, 2.1)]


@pytest.mark.parametrize("noise", [0, 10])
def test_scissors_follow_the_edge(noise) -> None:
    path = edge_path(disc_pixels(noise), RECT, ENDS[0], ENDS[1])
    assert max(off_circle(point) for point in path) < 2
    assert len(path) > 40


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40),
    st.tuples(st.floats(0, 90), st.floats(0, 90)), st.tuples(st.floats(0, 90), st.floats(0, 90)),
)  # fmt: skip
def test_scissors_give_a_connected_path_between_the_points(number, height, width, start, end) -> None:
    """Also in parts of one row, and between points outside of the part."""
    rect = Rect(17, 23, width, height)
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    scissors = Scissors(pixels, rect)
    assert scissors.anchor is None
    scissors.set_anchor(start)
    path = scissors.path_to(end)

    def pixel(point) -> tuple[float, float]:
        x = min(max(math.floor(point[0]), rect.x), rect.right - 1)
        return x + 0.5, min(max(math.floor(point[1]), rect.y), rect.bottom - 1) + 0.5

    assert path[0] == pixel(start) == scissors.anchor
    assert path[-1] == pixel(end)
    for (ax, ay), (bx, by) in pairwise(path):
        assert max(abs(ax - bx), abs(ay - by)) == 1
    for x, y in path:
        assert rect.x < x < rect.right
        assert rect.y < y < rect.bottom
    assert scissors.path_to(end) == path


def test_one_anchor_serves_many_paths() -> None:
    scissors = Scissors(DISC, RECT)
    scissors.set_anchor(ENDS[0])
    for end in (ENDS[1], (60.2, 70.9), ENDS[0]):
        assert scissors.path_to(end) == edge_path(DISC, RECT, ENDS[0], end)
    scissors.set_anchor(ENDS[1])
    assert scissors.path_to(ENDS[0])[0] == scissors.anchor
    assert len(scissors.path_to(ENDS[1])) == 1


@given(st.lists(st.tuples(HUNDREDTHS, HUNDREDTHS), max_size=30, unique=True), st.floats(0, 20))
def test_a_simplified_path_stays_within_the_tolerance(points, tolerance) -> None:
    kept = simplified_path(points, tolerance)
    assert kept[:1] == points[:1]
    assert kept[-1:] == points[-1:]
    index = 0
    for a, b in pairwise(kept):
        index = points.index(a, index)
        while points[index] != b:
            length = math.dist(a, b)
            t = 0.0
            if length:
                t = ((points[index][0] - a[0]) * (b[0] - a[0]) + (points[index][1] - a[1]) * (b[1] - a[1])) / length**2
                t = min(1.0, max(0.0, t))
            foot = a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])
            assert math.dist(foot, points[index]) <= tolerance + 1e-6
            index += 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="RGB"):
        Scissors(DISC, Rect(0, 0, 9, 9))
    with pytest.raises(ValueError, match="anchor"):
        Scissors(DISC, RECT).path_to((50, 50))
    with pytest.raises(ValueError, match="finite"):
        Scissors(DISC, RECT).set_anchor((math.nan, 50))
    with pytest.raises(ValueError, match="at least 0"):
        simplified_path([(0, 0), (1, 1)], -1)
    with pytest.raises(ValueError, match="over 0"):
        resampled_path([(0, 0), (1, 1)], 0)
    for call in (snap_point, snap_area, snap_path):
        with pytest.raises(ValueError, match="RGB"):
            call(DISC[1:], RECT, (50, 50), 3)
    with pytest.raises(ValueError, match="finite"):
        snap_point(DISC, RECT, (math.nan, 50), 3)
    with pytest.raises(ValueError, match="at least 0"):
        snap_path(DISC, RECT, [(50, 50)] * 4, -3)
    assert snap_area(DISC, RECT, polygon_mask([], SHAPE), 3)[0].is_empty
