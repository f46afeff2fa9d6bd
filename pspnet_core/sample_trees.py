"""What a painted scene holds, and its trees: woods, hedges, single ones, an orchard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pspnet_core.sample_paint import Floats, Rgb, Scene, blurred, noise

_TREES: tuple[Rgb, ...] = ((0.17, 0.29, 0.14), (0.22, 0.34, 0.15), (0.27, 0.37, 0.17), (0.20, 0.31, 0.20))
_RARE_TREES: tuple[Rgb, ...] = ((0.42, 0.40, 0.15), (0.47, 0.30, 0.14), (0.36, 0.43, 0.20))


class Ground(IntEnum):
    """Class ids of the sample."""

    FIELD = 0
    TREE = 1
    ROAD = 2
    ROOF = 3
    WATER = 4


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of what a scene holds.

    Attributes:
        river: Width in pixels, 0 for none.
        lakes: Number of lakes.
        roads: Number of roads.
        houses: Number of houses along the roads.
        halls: Number of large flat roofs.
        forest: Share of the land under trees, 0 to 1.
        orchard: Whether trees also stand in rows on one field.
        field_px: Typical width of a field.
    """

    river: float = 0
    lakes: int = 0
    roads: int = 2
    houses: int = 10
    halls: int = 0
    forest: float = 0.12
    orchard: bool = False
    field_px: float = 130


def plant_trees(scene: Scene, recipe: Recipe, border: Floats) -> None:
    """Put trees with their shadows on free ground.

    Args:
        scene: Painted on.
        recipe: How many.
        border: (H, W) float32, distance to the nearest field border in pixels: hedges grow there.
    """
    _crowns(scene, _tree_places(scene, recipe, border))


def _tree_places(scene: Scene, recipe: Recipe, border: Floats) -> NDArray[np.float64]:
    """Trees as rows (x, y, radius): woods, hedges, single trees, an orchard; only on free ground."""
    rng, shape = scene.rng, (scene.height, scene.width)
    density = noise(rng, shape, 130, 3)
    woods = density > np.quantile(density, 1 - recipe.forest)
    hedge = (border < 3) & (noise(rng, shape, 110, 2) > 0.28)
    candidates = rng.uniform((0, 0), (scene.width, scene.height), (5200, 2))
    chance = np.where(woods, 1.0, np.where(hedge, 0.8, 0.006))
    columns, rows = candidates.astype(int).T
    chosen = candidates[rng.random(len(candidates)) < chance[rows, columns]]
    radii = np.exp(rng.normal(math.log(8.5), 0.28, len(chosen)))
    places = np.column_stack([chosen, radii])
    if recipe.orchard:
        places = np.concatenate([_orchard(scene), places])
    return _thinned(scene, places)


def _orchard(scene: Scene) -> NDArray[np.float64]:
    rng = scene.rng
    turn, step = rng.uniform(0, math.pi), rng.uniform(17, 21)
    center = rng.uniform((0.25, 0.25), (0.75, 0.75)) * (scene.width, scene.height)
    a, b = np.meshgrid(np.arange(-5, 6) * step, np.arange(-4, 5) * step * 1.25)
    x = center[0] + a * math.cos(turn) - b * math.sin(turn)
    y = center[1] + a * math.sin(turn) + b * math.cos(turn)
    places = np.column_stack([x.ravel(), y.ravel(), rng.uniform(5.6, 7.0, x.size)])
    inside = (places[:, :2] >= 0).all(1) & (places[:, 0] < scene.width) & (places[:, 1] < scene.height)
    kept: NDArray[np.float64] = places[inside & (rng.random(x.size) < 0.93)]
    return kept


def _thinned(scene: Scene, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop trees on anything but fields, and crowns that would stand inside another."""
    from pspnet_core.imaging.cv import cv2

    occupied = (scene.classes != Ground.FIELD).astype(np.uint8)
    room = cv2.distanceTransform(1 - occupied, cv2.DIST_L2, 5)
    taken = np.zeros((scene.height, scene.width), np.uint8)
    kept = []
    for x, y, radius in places:
        column, row = int(x), int(y)
        if room[row, column] < radius * 0.7 + 2 or taken[row, column]:
            continue
        cv2.circle(taken, (column, row), int(radius * 0.95), 1, -1)
        kept.append((x, y, radius))
    return np.array(kept, np.float64).reshape(-1, 3)


def _crowns(scene: Scene, places: NDArray[np.float64]) -> None:
    """Shadows first, then crowns from the sunny side on, so that each lies over the shadow of its neighbour."""
    from pspnet_core.imaging.cv import cv2

    shadow = np.zeros((scene.height, scene.width), np.uint8)
    for x, y, radius in places:
        for share in (0.35, 0.7, 1.05):
            center = np.array([x, y]) + np.array(scene.sun) * radius * share
            cv2.circle(shadow, (int(center[0] * 16), int(center[1] * 16)), int(radius * 15), 255, -1, cv2.LINE_AA, 4)
    scene.shade(blurred(shadow.astype(np.float32) / np.float32(255), 0.8), 0.5)
    order = np.argsort(places[:, :2] @ np.array(scene.sun))
    leaves = noise(scene.rng, (scene.height, scene.width), 4.5, 2)
    for index in order:
        _crown(scene, leaves, *places[index])


def _crown(scene: Scene, leaves: Floats, x: float, y: float, radius: float) -> None:
    rng = scene.rng
    reach = math.ceil(radius * 1.3)
    top, left = max(0, int(y) - reach), max(0, int(x) - reach)
    area = (slice(top, min(scene.height, int(y) + reach + 1)), slice(left, min(scene.width, int(x) + reach + 1)))
    rows, columns = np.ogrid[area]
    dx, dy = (columns + 0.5 - x) / radius, (rows + 0.5 - y) / radius
    bearing, bumps = np.arctan2(dy, dx), rng.uniform(0, 2 * math.pi, 2)
    outline = 1 + 0.09 * np.sin(5 * bearing + bumps[0]) + 0.06 * np.sin(9 * bearing + bumps[1])
    distance = np.hypot(dx, dy) / outline
    alpha = np.clip((1 - distance) * radius + 0.5, 0, 1).astype(np.float32)
    facing = -(dx * scene.sun[0] + dy * scene.sun[1])
    light = 1.0 + 0.42 * facing - 0.18 * distance**2 + 0.32 * leaves[area]
    kinds = _RARE_TREES if rng.random() < 0.06 else _TREES
    base = np.array(kinds[int(rng.integers(len(kinds)))]) * rng.uniform(0.9, 1.2)
    rgb = (base * light[..., None]).astype(np.float32)
    part = scene.color[area]
    part += alpha[..., None] * (rgb - part)
    scene.classes[area][alpha > 0.5] = Ground.TREE
