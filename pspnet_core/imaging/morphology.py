"""Masks grown by a disc, opened, closed, and smoothed by majority."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.types import BoolMask

_SMALL_RADIUS_PX = 28  # up to here a dilation by a disc is faster than a distance transform


def near(mask: BoolMask, radius_px: float) -> BoolMask:
    """A mask grown by a disc.

    Args:
        mask: (H, W) bool, contiguous.
        radius_px: At least 0.

    Returns:
        (H, W) bool, a copy: the pixels whose centre is at most the radius from that of a True pixel.
    """
    if radius_px < 1 or not mask.any():
        return mask.copy()
    if radius_px <= _SMALL_RADIUS_PX:
        return np.asarray(cv2.dilate(mask.view(np.uint8), _disc(radius_px))).view(np.bool_)
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares of distances are whole numbers: half way to the next one no rounding matters.
    found: BoolMask = np.asarray(distance) <= math.sqrt(math.floor(radius_px * radius_px + 1e-6) + 0.5)
    return found


def majority(mask: BoolMask, radius_px: int) -> BoolMask:
    """Where more than half of the square around a pixel is True; half and half leaves it as it is.

    Args:
        mask: (H, W) bool, contiguous.
        radius_px: The square has 2 radius + 1 pixels a side; what of it lies outside of the array does not count.

    Returns:
        (H, W) bool, owned by the caller.
    """
    size = (2 * radius_px + 1, 2 * radius_px + 1)
    border = cv2.BORDER_CONSTANT
    have = np.asarray(cv2.boxFilter(mask.view(np.uint8), cv2.CV_32S, size, normalize=False, borderType=border))
    y, x = (_num_within(length, radius_px) for length in mask.shape)
    counted = y[:, None] * x
    result: BoolMask = (2 * have > counted) | (mask & (2 * have == counted))
    return result


def opened_and_closed(mask: BoolMask, radius_px: int) -> BoolMask:
    """What discs that fit into the mask cover, and then also what no disc that fits beside it covers.

    Args:
        mask: (H, W) bool; beyond its border the pixels of the border go on.
        radius_px: Of the discs, at least 1.

    Returns:
        (H, W) bool, owned by the caller.
    """
    margin = 4 * radius_px + 1
    padded = np.pad(mask, margin, mode="edge")
    opened = near(~near(~padded, radius_px), radius_px)
    closed = ~near(~near(opened, radius_px), radius_px)
    return closed[margin:-margin, margin:-margin].copy()


def _disc(radius_px: float) -> NDArray[np.uint8]:
    reach = math.floor(radius_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc: NDArray[np.uint8] = (x * x + y * y <= radius_px * radius_px + 1e-6).astype(np.uint8)
    return disc


def _num_within(length: int, radius_px: int) -> NDArray[np.int64]:
    """How many of 0 .. length - 1 are at most the radius from each of them."""
    at = np.arange(length)
    return np.minimum(at + radius_px, length - 1) - np.maximum(at - radius_px, 0) + 1
