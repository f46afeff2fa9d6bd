"""One painted aerial scene: fields, water, roads, roofs and trees, lit from one side."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pspnet_core.sample_paint import (
    Floats,
    Rgb,
    Scene,
    blurred,
    distance_to_line,
    noise,
    smooth_curve,
    to_uint8,
)
from pspnet_core.sample_trees import Ground, Recipe, plant_trees
from pspnet_core.types import ClassMap, RgbImage

Points = NDArray[np.float64]


RECIPES: tuple[Recipe, ...] = (
    Recipe(river=46, roads=2, houses=9, forest=0.14),
    Recipe(roads=3, houses=26, forest=0.10, field_px=105),
    Recipe(lakes=1, roads=1, houses=6, forest=0.22, field_px=160),
    Recipe(roads=2, houses=5, halls=5, forest=0.08, field_px=170),
    Recipe(river=30, roads=1, houses=4, forest=0.38, field_px=120),
    Recipe(roads=2, houses=12, forest=0.07, orchard=True, field_px=120),
    Recipe(river=64, roads=1, houses=14, halls=1, forest=0.12, field_px=150),
    Recipe(lakes=1, roads=2, houses=8, forest=0.16, orchard=True, field_px=110),
)

_CROPS: tuple[Rgb, ...] = (
    (0.78, 0.69, 0.43),  # wheat
    (0.70, 0.62, 0.43),  # stubble
    (0.38, 0.51, 0.24),  # maize
    (0.49, 0.59, 0.31),  # meadow
    (0.57, 0.65, 0.36),  # young barley
    (0.46, 0.36, 0.27),  # ploughed
    (0.60, 0.49, 0.37),  # dry soil
    (0.79, 0.73, 0.30),  # rape
    (0.33, 0.46, 0.26),  # clover
    (0.66, 0.68, 0.48),  # hay
)
_ROOFS: tuple[Rgb, ...] = (
    (0.66, 0.33, 0.22),
    (0.58, 0.27, 0.20),
    (0.72, 0.43, 0.28),
    (0.44, 0.42, 0.43),
    (0.36, 0.37, 0.41),
    (0.50, 0.36, 0.29),
)
_HALLS: tuple[Rgb, ...] = ((0.76, 0.76, 0.74), (0.60, 0.64, 0.68), (0.82, 0.80, 0.74), (0.52, 0.55, 0.55))
_WATERS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.12, 0.27, 0.34), (0.31, 0.46, 0.45)),
    ((0.16, 0.29, 0.26), (0.36, 0.44, 0.34)),
    ((0.10, 0.24, 0.38), (0.29, 0.47, 0.53)),
)
_ASPHALT: tuple[Rgb, ...] = ((0.50, 0.50, 0.51), (0.57, 0.56, 0.55), (0.43, 0.44, 0.46))
_GRAVEL: tuple[Rgb, ...] = ((0.76, 0.70, 0.59), (0.69, 0.61, 0.48))


def paint_scene(recipe: Recipe, seed: int, width: int, height: int) -> tuple[RgbImage, ClassMap]:
    """Paint one scene; the same arguments give the same picture.

    Args:
        recipe: What it holds.
        seed: Of all randomness.
        width: In pixels.
        height: In pixels.

    Returns:
        (H, W, 3) uint8 RGB and its true (H, W) uint8 class map of :class:`Ground` ids, without unlabelled pixels.
    """
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * math.pi)
    scene = Scene(
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), Ground.FIELD, np.uint8),
        (math.cos(angle), math.sin(angle)),
        rng,
    )
    hedges = _fields(scene, recipe.field_px)
    if recipe.river:
        _water(scene, recipe.river / 2 - distance_to_line(_course(scene, 6, 0.16), (height, width)))
    roads = [_course(scene, int(rng.integers(3, 6)), 0.12) for _ in range(recipe.roads)]
    for _ in range(recipe.lakes):
        _water(scene, _lake(scene, roads))
    for number, course in enumerate(roads):
        _road(scene, course, is_main=number == 0)
    for _ in range(recipe.halls):
        _hall(scene, roads)
    for _ in range(recipe.houses):
        _house(scene, roads)
    plant_trees(scene, recipe, hedges)
    return to_uint8(_develop(scene)), scene.classes


def _fields(scene: Scene, field_px: float) -> Floats:
    """A patchwork of fields over everything; gives the distance of each pixel to the nearest field border."""
    rng, shape = scene.rng, (scene.height, scene.width)
    angle = rng.uniform(0, math.pi)
    x, y = scene.coordinates()
    u = x * math.cos(angle) + y * math.sin(angle) + 16 * noise(rng, shape, 190, 2)
    v = y * math.cos(angle) - x * math.sin(angle) + 16 * noise(rng, shape, 190, 2)
    rows, to_row = _bands(rng, v, field_px * 0.85)
    columns, to_column = np.zeros_like(rows), np.zeros_like(v)
    for row in np.unique(rows):
        inside = rows == row
        columns[inside], to_column[inside] = _bands(rng, u[inside], field_px * 1.25)
    _, cell = np.unique(rows * 64 + columns, return_inverse=True)
    cell = cell.reshape(shape)
    num = int(cell.max()) + 1
    crops = np.array(_CROPS)[rng.integers(0, len(_CROPS), num)] + rng.normal(0, 0.025, (num, 3))
    along = rng.integers(0, 2, num).astype(np.float32)[cell]
    period = rng.uniform(5, 10, num).astype(np.float32)[cell]
    strength = (rng.uniform(0.0, 0.06, num) * (rng.random(num) < 0.75)).astype(np.float32)[cell]
    furrows = strength * np.sin(2 * math.pi * (u * along + v * (1 - along)) / period)
    mottle = 0.045 * noise(rng, shape, 60, 4) + 0.03 * noise(rng, shape, 7, 2)
    scene.color[...] = crops.astype(np.float32)[cell] * (1 + furrows + mottle)[..., None]
    border = np.minimum(to_row, to_column)
    verge = np.exp(-((border / 2.6) ** 2)) * np.float32(0.55)
    scene.paint(verge, (0.34, 0.41, 0.22))
    return border


def _bands(rng: np.random.Generator, values: Floats, width_px: float) -> tuple[NDArray[np.int64], Floats]:
    """Cut a coordinate into bands of varied width; the band of each value and its distance to the nearest cut."""
    low, high = float(values.min()), float(values.max())
    steps = rng.uniform(0.6, 1.4, max(2, math.ceil((high - low) / width_px) + 3)) * width_px
    cuts = (low - rng.uniform(0, width_px) + np.cumsum(steps)).astype(np.float32)
    band = np.searchsorted(cuts, values)
    below, above = cuts[np.maximum(band - 1, 0)], cuts[np.minimum(band, len(cuts) - 1)]
    return band, np.minimum(np.abs(values - below), np.abs(above - values)).astype(np.float32)


def _course(scene: Scene, num_bends: int, swing: float) -> Points:
    """A curve from one side of the picture to the other."""
    rng, width, height = scene.rng, scene.width, scene.height
    t = np.linspace(-0.15, 1.15, num_bends)
    start, end = rng.uniform(0.15, 0.85, 2)
    across = start + (end - start) * t + rng.uniform(-swing, swing, num_bends)
    points = np.stack([t * width, across * height], axis=1)
    if rng.random() < 0.45:
        points = np.stack([across * width, t * height], axis=1)
    return smooth_curve(points, 160)


def _lake(scene: Scene, roads: list[Points]) -> Floats:
    """Signed distance to the shore of a lake, positive in the water; it keeps away from roads where it can."""
    rng = scene.rng
    x, y = scene.coordinates()
    places = rng.uniform((0.1, 0.1), (0.9, 0.9), (24, 2)) * (scene.width, scene.height)
    near = [min(np.hypot(*(course - place).T).min() for course in roads) for place in places]
    cx, cy = places[int(np.argmax(near))]
    radius, stretch, turn = rng.uniform(65, 115), rng.uniform(1.0, 1.7), rng.uniform(0, math.pi)
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    a = (dx * math.cos(turn) + dy * math.sin(turn)) / stretch
    b = dy * math.cos(turn) - dx * math.sin(turn)
    return (radius - np.hypot(a, b) + 26 * noise(rng, x.shape, 80, 2)).astype(np.float32)


def _water(scene: Scene, depth: Floats) -> None:
    """Water where ``depth`` (signed distance to the shore in pixels) is positive, with a bank around it."""
    rng, shape = scene.rng, depth.shape
    depth = depth + 5 * noise(rng, shape, 36, 2)
    deep, shallow = _WATERS[int(rng.integers(len(_WATERS)))]
    bank = np.clip((depth + 8) / 7, 0, 1) * np.float32(0.75)
    scene.paint(bank.astype(np.float32), (0.63, 0.58, 0.43))
    share = np.clip(depth / 26, 0, 1)[..., None]
    ripples = 0.05 * noise(rng, shape, 9, 2) + 0.10 * noise(rng, shape, 90, 2)
    tone = (np.array(shallow) * (1 - share) + np.array(deep) * share) * (1 + ripples)[..., None]
    scene.paint(np.clip(depth + 0.5, 0, 1).astype(np.float32), tone.astype(np.float32), Ground.WATER)


def _road(scene: Scene, course: Points, is_main: bool) -> None:
    """A road along a course, over whatever is there."""
    rng = scene.rng
    if is_main:
        width, rgb = int(rng.integers(13, 19)), _ASPHALT[int(rng.integers(len(_ASPHALT)))]
    else:
        choices = _GRAVEL if rng.random() < 0.5 else _ASPHALT
        width, rgb = int(rng.integers(7, 12)), choices[int(rng.integers(len(choices)))]
    tone = float(rng.uniform(0.94, 1.06))
    surface = (rgb[0] * tone, rgb[1] * tone, rgb[2] * tone)
    # Over water the verge is the deck of a bridge, on land it is grass.
    scene.line(course, width + 5, (0.53, 0.52, 0.38), Ground.ROAD, over=Ground.WATER)
    scene.line(course, width, surface, Ground.ROAD)
    if is_main:
        for start in range(0, len(course) - 3, 4):
            scene.line(course[start : start + 3], 1, (0.80, 0.79, 0.74))
        _cars(scene, course, width)
    else:
        scene.line(course, max(1, width // 4), (surface[0] * 0.93, surface[1] * 0.95, surface[2] * 0.93))


def _cars(scene: Scene, course: Points, road_px: int) -> None:
    rng = scene.rng
    for position in rng.choice(len(course) - 2, int(rng.integers(2, 6)), replace=False):
        direction = course[position + 1] - course[position]
        direction = direction / np.hypot(*direction)
        side = np.array([-direction[1], direction[0]]) * (1 if rng.random() < 0.5 else -1)
        body = _rectangle(course[position] + side * road_px * 0.24, direction, 6.5, 3.2)
        scene.polygon_shadow(body, 1.6, 0.4)
        tone = rng.uniform(0.15, 0.92)
        scene.polygon(body, (tone, tone * rng.uniform(0.75, 1.0), tone * rng.uniform(0.7, 1.0)))


def _rectangle(center: Points, direction: Points, length: float, width: float) -> Points:
    """Corners (4, 2): begin left, end left, end right, begin right, seen along ``direction``."""
    half, side = direction * length / 2, np.array([-direction[1], direction[0]]) * width / 2
    return np.array([center - half - side, center + half - side, center + half + side, center - half + side])


def _site(scene: Scene, roads: list[Points], reach: float, length: float, width: float) -> Points | None:
    """Corners of a free place for a building, mostly along a road; None when none was found."""
    rng = scene.rng
    for _ in range(12):
        if roads and rng.random() < 0.85:
            course = roads[int(rng.integers(len(roads)))]
            position = int(rng.integers(1, len(course) - 1))
            direction = course[position + 1] - course[position]
            direction = direction / np.hypot(*direction)
            side = np.array([-direction[1], direction[0]]) * (1 if rng.random() < 0.5 else -1)
            center = course[position] + side * (width / 2 + rng.uniform(14, reach))
        else:
            turn = rng.uniform(0, math.pi)
            direction = np.array([math.cos(turn), math.sin(turn)])
            center = rng.uniform((0, 0), (scene.width, scene.height))
        place = _rectangle(center, direction, length + 8, width + 8)
        if _is_free(scene, place):
            return _rectangle(center, direction, length, width)
    return None


def _is_free(scene: Scene, corners: Points) -> bool:
    """Whether nothing but fields lies under a rectangle, most of which is in the picture."""
    s, t = (axis.ravel()[:, None] for axis in np.meshgrid(np.linspace(0, 1, 7), np.linspace(0, 1, 7)))
    points = corners[0] + s * (corners[1] - corners[0]) + t * (corners[3] - corners[0])
    columns, rows = points.astype(int).T
    inside = (columns >= 0) & (columns < scene.width) & (rows >= 0) & (rows < scene.height)
    if inside.mean() < 0.6:
        return False
    return bool((scene.classes[rows[inside], columns[inside]] == Ground.FIELD).all())


def _house(scene: Scene, roads: list[Points]) -> None:
    """A house with a ridged roof: its slopes differ by how they face the sun; a yard around it."""
    rng = scene.rng
    width = rng.uniform(17, 27)
    corners = _site(scene, roads, 44, width * rng.uniform(1.2, 1.9), width)
    if corners is None:
        return
    middle = corners.mean(0)
    yard = middle + (corners - middle) * rng.uniform(1.5, 1.9)
    scene.polygon(yard, (0.50, 0.56, 0.34) if rng.random() < 0.6 else (0.64, 0.59, 0.48))
    rgb = _ROOFS[int(rng.integers(len(_ROOFS)))]
    _gable(scene, corners, rgb, float(rng.uniform(7, 12)), is_hipped=rng.random() < 0.4)
    if rng.random() < 0.35:  # a wing across
        ahead = corners[1] - corners[0]
        direction = np.array([-ahead[1], ahead[0]]) / np.hypot(*ahead)
        wing = _rectangle(corners[1:3].mean(0) - ahead * 0.22, direction, width * 1.5, width * 0.7)
        _gable(scene, wing, rgb, 0.0, is_hipped=False)
    chimney = corners[0] * 0.55 + corners[2] * 0.45
    scene.polygon(_rectangle(chimney, np.array([1.0, 0.0]), 3.4, 3.4), (0.42, 0.34, 0.30))


def _gable(scene: Scene, corners: Points, rgb: Rgb, shadow_px: float, is_hipped: bool) -> None:
    if shadow_px:
        scene.polygon_shadow(corners, shadow_px, 0.58)
    begin, end = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    inset = (end - begin) * (0.22 if is_hipped else 0.0)
    ridge = (begin + inset, end - inset)
    faces = [
        np.array([corners[0], corners[1], ridge[1], ridge[0]]),
        np.array([corners[3], corners[2], ridge[1], ridge[0]]),
        np.array([corners[1], corners[2], ridge[1]]),
        np.array([corners[3], corners[0], ridge[0]]),
    ]
    scene.polygon(corners, rgb, Ground.ROOF)
    middle = corners.mean(0)
    for face in faces:
        outward = face[:2].mean(0) - middle
        light = 1.0 - 0.24 * float(np.dot(outward, scene.sun)) / max(1e-6, float(np.hypot(*outward)))
        light *= float(scene.rng.uniform(0.97, 1.03))
        scene.polygon(face, (rgb[0] * light, rgb[1] * light, rgb[2] * light))
    scene.line(np.array(ridge), 1, (rgb[0] * 1.18, rgb[1] * 1.18, rgb[2] * 1.18))


def _hall(scene: Scene, roads: list[Points]) -> None:
    """A large flat roof with sky lights, on a paved yard that counts as road."""
    rng = scene.rng
    length, width = rng.uniform(70, 120), rng.uniform(38, 64)
    corners = _site(scene, roads, 50, length, width)
    if corners is None:
        return
    middle = corners.mean(0)
    scene.polygon(middle + (corners - middle) * 1.12, (0.58, 0.57, 0.55), Ground.ROAD)
    scene.polygon_shadow(corners, float(rng.uniform(10, 16)), 0.6)
    rgb = _HALLS[int(rng.integers(len(_HALLS)))]
    scene.polygon(corners, (rgb[0] * 0.82, rgb[1] * 0.82, rgb[2] * 0.84), Ground.ROOF)
    scene.polygon(middle + (corners - middle) * 0.95, rgb)
    ahead = (corners[1] - corners[0]) / np.hypot(*(corners[1] - corners[0]))
    for share in np.linspace(-0.36, 0.36, int(rng.integers(3, 7))):
        scene.polygon(_rectangle(middle + ahead * length * share, ahead, 5.0, width * 0.62), (0.45, 0.52, 0.58))


def _develop(scene: Scene) -> Floats:
    """The light of the day: clouds, colour of the sun, haze, softness and grain."""
    rng, shape = scene.rng, (scene.height, scene.width)
    color = blurred(np.clip(scene.color, 0, 1), 0.6)
    warmth, brightness = rng.uniform(-0.05, 0.06), rng.uniform(0.88, 1.1)
    balance = np.array([1 + warmth, 1 + 0.25 * rng.uniform(-0.05, 0.05), 1 - warmth], np.float32)
    clouds = 1 + 0.09 * noise(rng, shape, 260, 2)
    color = color * balance * np.float32(brightness) * clouds[..., None]
    grey = color.mean(axis=2, keepdims=True)
    color = grey + (color - grey) * np.float32(rng.uniform(0.74, 0.92))
    haze = np.float32(rng.uniform(0, 0.08))
    color = color * (1 - haze) + haze * np.array([0.72, 0.77, 0.82], np.float32)
    grain = rng.normal(0, 0.011, shape).astype(np.float32) + 0.012 * noise(rng, shape, 2.4, 1)
    result: Floats = (color + grain[..., None]).astype(np.float32)
    return result
