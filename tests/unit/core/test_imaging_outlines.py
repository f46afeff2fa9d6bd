"""Shapes in tiles and outlines in pieces: the same as in one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pspnet_core.imaging import outlines
from pspnet_core.imaging.outlines import in_tiles, polygon_tiles, snapped_outline
from pspnet_core.imaging.shapes import ellipse
from pspnet_core.imaging.strokes import FillRule, polygon_mask
from pspnet_core.types import Rect
from tests.helpers.areas import paste

SHAPE = (90, 130)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-300, 1600), st.integers(-300, 1200)), min_size=1, max_size=9),
    st.sampled_from(["even-odd", "nonzero"]),
)
@example([(0, 0), (-213, -118), (661, 661)], "even-odd")  # an edge through centres of pixels
def test_a_polygon_in_tiles_is_the_polygon(places: list[tuple[int, int]], rule: FillRule) -> None:
    points = [(x / 10, y / 10) for x, y in places]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlines, "_TILE_PX", 37)
        found = np.zeros(SHAPE, int)
        for area in polygon_tiles(points, SHAPE, rule):
            assert max(area[1].shape) <= 37
            found += paste(area, SHAPE)
    assert found.max() <= 1, "tiles overlap"
    assert np.array_equal(found > 0, paste(polygon_mask(points, SHAPE, rule), SHAPE))


def test_a_shape_in_tiles_lies_in_its_bounds() -> None:
    def part(dx: float, dy: float, size: tuple[int, int]) -> outlines.Area:
        return ellipse((-100 + dx, 20 + dy), (2500 + dx, 1500 + dy), size)

    shape = (1400, 2300)
    areas = list(in_tiles(part, Rect(0, 20, 2300, 1380)))
    assert len(areas) == 6
    whole = sum(paste(area, shape).astype(int) for area in areas)
    assert np.array_equal(whole, paste(part(0, 0, shape), shape))


def star(radius: float, num: int) -> list[tuple[float, float]]:
    """A wavering circle about the middle of a square image of three times the radius."""
    angles = np.linspace(0, 2 * math.pi, num, endpoint=False)
    wave = radius + 3.5 * np.sin(9 * angles)
    return [
        (1.5 * radius + float(r * math.cos(a)), 1.5 * radius + float(r * math.sin(a)))
        for r, a in zip(wave, angles, strict=True)
    ]


@pytest.mark.parametrize("radius", [30.0, 150.0])  # in one piece, and in several
def test_an_outline_finds_the_edge_all_around(radius: float) -> None:
    side = round(3 * radius)
    rows, columns = np.mgrid[:side, :side] + 0.5
    image = np.full((side, side, 3), 60, np.uint8)
    image[np.hypot(columns - side / 2, rows - side / 2) < radius] = (190, 170, 90)
    read: list[Rect] = []

    def pixels(rect: Rect) -> np.ndarray:
        read.append(rect)
        return image[rect.slices]

    path = snapped_outline(pixels, (side, side), star(radius, 90), 8)
    away = [abs(math.hypot(x - side / 2, y - side / 2) - radius) for x, y in path]
    assert max(away) < 1.3
    assert np.mean(away) < 0.4
    assert (len(read) > 3) == (radius > 100)
    assert max(rect.w * rect.h for rect in read) < 400**2
    jumps = np.hypot(*np.diff(np.array([*path, path[0]]), axis=0).T)
    assert jumps.max() < 6, "pieces fit together"


def test_outlines_that_cannot_move_stay_as_they_are() -> None:
    image = np.full((50, 50, 3), 90, np.uint8)

    def pixels(rect: Rect) -> np.ndarray:
        return image[rect.slices]

    triangle = [(10.0, 10.0), (30.0, 12.0), (20.0, 40.0)]
    assert snapped_outline(pixels, (50, 50), triangle, 0) == triangle
    assert snapped_outline(pixels, (50, 50), triangle[:2], 8) == triangle[:2]
    outside = [(x + 500, y) for x, y in triangle]
    assert len(snapped_outline(pixels, (50, 50), outside, 8)) >= 3
    with pytest.raises(ValueError, match="finite"):
        snapped_outline(pixels, (50, 50), [(math.nan, 0.0), *triangle], 8)
