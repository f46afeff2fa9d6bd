"""A random crop of a labelled image: scaled, rotated, mirrored, with other light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.training.config import Recipe
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, RgbImage

_MEAN_RGB = (127, 127, 127)
_CELL_PX = 16


def random_crop(
    image: RgbImage,
    class_map: ClassMap,
    anchor: tuple[int, int],
    size: int,
    recipe: Recipe,
    rng: np.random.Generator,
    accepted: BoolMask | None = None,
) -> tuple[RgbImage, ClassMap]:
    """One augmented crop that shows ``anchor`` where the loss sees it.

    Args:
        image: (H, W, 3) uint8 RGB.
        class_map: (H, W) uint8.
        anchor: (row, column) of a pixel.
        size: Side S of the crop.
        recipe: Strength of scaling and rotation, and which pixels the loss sees.
        rng: Source of randomness.
        accepted: (H, W) bool: pixels whose class was accepted from a model.

    Returns:
        New arrays, (S, S, 3) uint8 and (S, S) uint8; grey and 255 outside the image.
    """
    matrix = _matrix(class_map.shape, anchor, size, recipe, rng)
    crop = cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,  # the matrix leads from the crop to the image
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_MEAN_RGB,
    )
    labels = _warped(class_map, matrix, size, UNLABELLED)
    if accepted is not None and recipe.accepted_weight < 1.0:
        is_accepted = _warped(accepted.view(np.uint8), matrix, size, 0) != 0
        labels[is_accepted & _left_out(size, 1.0 - recipe.accepted_weight, rng)] = UNLABELLED
    return change_light(np.asarray(crop, np.uint8), rng), labels


def _warped(plane: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, outside: int) -> NDArray[np.uint8]:
    """(S, S) uint8 of the nearest pixels; ``outside`` where there is no image."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(
        plane, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=outside
    )
    return np.asarray(found, np.uint8)


def _left_out(size: int, share: float, rng: np.random.Generator) -> BoolMask:
    """(S, S) bool: this share of the cells of a grid.

    Pixels that are left out at random weigh less on average over the crops, and unlike with a factor in the loss, the
    labelled pixels that it is divided by are just those that count. Cells, since neighbours say the same.
    """
    side = -(-size // _CELL_PX)
    cells = rng.random((side, side)) < share
    return np.repeat(np.repeat(cells, _CELL_PX, 0), _CELL_PX, 1)[:size, :size]


def _matrix(
    shape: tuple[int, ...], anchor: tuple[int, int], size: int, recipe: Recipe, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(2, 3) float64: from crop pixels (x, y) to image pixels."""
    scale = 2.0 ** -rng.uniform(-recipe.scale_octaves, recipe.scale_octaves)  # image pixels per crop pixel
    angle = np.deg2rad(rng.uniform(-recipe.rotation_deg, recipe.rotation_deg))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = scale * np.array([[np.cos(angle) * mirror, -np.sin(angle)], [np.sin(angle) * mirror, np.cos(angle)]])
    # The anchor lies anywhere in the crop, but the crop leaves the image as little as possible.
    half = size * scale / 2
    centre = []
    for position, length in ((float(anchor[1]), shape[1]), (float(anchor[0]), shape[0])):
        position += 0.5  # of the pixel's centre
        wanted = position + rng.uniform(-0.8, 0.8) * half
        inside = np.clip(wanted, half, length - half) if length >= 2 * half else length / 2 + (wanted - position) / 4
        centre.append(float(np.clip(inside, position - 0.85 * half, position + 0.85 * half)))
    middle = np.array([(size - 1) / 2, (size - 1) / 2])
    offset = np.array(centre) - 0.5 - turn @ middle
    # Shift by about a pixel so that one that the loss sees falls on the anchor: also a single labelled pixel counts.
    target, every = np.array([anchor[1], anchor[0]], np.float64), recipe.loss_stride
    nearest = np.clip(np.rint(np.linalg.solve(turn, target - offset) / every), 0, (size - 1) // every) * every
    return np.column_stack([turn, target - turn @ nearest])


def change_light(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Random brightness, contrast, gamma and colour cast: one lookup table per channel. A new array."""
    levels = np.arange(256) / 255
    gamma, contrast, brightness = 2.0 ** rng.uniform(-0.4, 0.4), rng.uniform(0.75, 1.3), rng.uniform(-0.1, 0.1)
    curve = (levels**gamma - 0.5) * contrast + 0.5 + brightness
    table = curve[:, None] * rng.uniform(0.92, 1.08, 3)
    lut = (np.clip(table, 0, 1) * 255).round().astype(np.uint8)[None]  # (1, 256, 3)
    return np.asarray(cv2.LUT(image, lut), np.uint8)
