"""Selections by colour in a part of an image: magic wand and threshold.

Every function takes the pixels of a rectangle of the image and that rectangle, and answers in image coordinates.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import Area, check_fits, check_pixels, empty_area, mask_within, pixel_under, tight_area
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.flood import Connectivity
from pspnet_core.imaging.lab import lab_of
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import BoolMask, Rect, RgbImage

ColorSpace = Literal["rgb", "lab"]
Channel = Literal["grey", "red", "green", "blue", "hue", "saturation", "value"]

_BAND_PX = 1 << 16  # rows are worked on in bands of about so many pixels: floats of a large image stay in the cache


def magic_wand(
    pixels: RgbImage,
    rect: Rect,
    seed: Point,
    tolerance: float,
    *,
    space: ColorSpace = "rgb",
    contiguous: bool = True,
    sample_px: int = 1,
    connectivity: Connectivity = 4,
) -> Area:
    """The pixels of a part of an image whose colour is near to that at a point.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB.
        rect: Where they lie in the image; nothing outside of it is selected.
        seed: (x, y) in image pixels.
        tolerance: The largest distance that still belongs. ``rgb``: of the channel that differs most, 0 to 255.
            ``lab``: the CIE 1976 colour difference, where 2.3 is just noticeable and 100 is black to white.
        space: How distance is measured.
        contiguous: Only the region that is connected to the point.
        sample_px: The colour is the mean of a square of so many pixels a side around the point, odd.
        connectivity: Of the region: 4 or 8.

    Returns:
        Rectangle and mask, owned by the caller; empty where the point lies outside of ``rect``. With a mean the
        pixel under the point itself may be too far from it: then nothing is contiguous.

    Raises:
        ValueError: The pixels do not fit the rectangle, the point is not finite, the tolerance is negative, or
            ``sample_px`` not odd.

    Source: A. R. Robertson, "The CIE 1976 Color-Difference Formulae", 1977 (the distance in Lab).
    """
    check_pixels(rect, pixels)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    if sample_px < 1 or sample_px % 2 == 0:
        raise ValueError(f"sample_px must be odd, got {sample_px}")
    under = pixel_under(seed, rect)
    if under is None:
        return empty_area()
    row, column = under
    reach = sample_px // 2
    sample = pixels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    color = sample.reshape(-1, 3).mean(axis=0)
    near = _near_in_rgb(pixels, color, tolerance) if space == "rgb" else _near_in_lab(pixels, color, tolerance)
    if not contiguous:
        return tight_area(rect, near)
    if not near[row, column]:
        return empty_area()
    return tight_area(rect, connected_part(near, row, column, connectivity))


def connected_part(mask: BoolMask, row: int, column: int, connectivity: Connectivity = 4) -> BoolMask:
    """The connected region of True pixels of ``mask`` (H, W) around one of them, as a new (H, W) bool mask."""
    fillable = mask.view(np.uint8).copy()
    flags = connectivity | (2 << 8) | cv2.FLOODFILL_FIXED_RANGE
    cv2.floodFill(fillable, None, (column, row), 2, 0, 0, flags)
    region: BoolMask = fillable == 2
    return region


def channel_values(pixels: RgbImage, channel: Channel) -> NDArray[np.uint8]:
    """One channel to threshold.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        channel: ``grey`` is the luma of ITU-R BT.601; ``hue`` is 0 to 179, half of the angle in degrees;
            everything else 0 to 255.

    Returns:
        (H, W) uint8, owned by the caller.

    Raises:
        ValueError: There is no such channel.
    """
    pixels = np.ascontiguousarray(pixels)
    if channel == "grey":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    if channel in ("red", "green", "blue"):
        return pixels[..., ("red", "green", "blue").index(channel)].copy()
    if channel in ("hue", "saturation", "value"):
        converted = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
        return converted[..., ("hue", "saturation", "value").index(channel)].copy()
    raise ValueError(f"there is no channel {channel!r}")


def threshold(values: NDArray[np.generic], rect: Rect, low: float, high: float, within: Area | None = None) -> Area:
    """The pixels of a region whose value lies in a range.

    Args:
        values: (rect.h, rect.w) of any real dtype: a channel of the image, 16-bit data, a confidence.
        rect: Where they lie in the image.
        low: Smallest value that belongs.
        high: Largest value that belongs; below ``low`` the range goes around (hue: 170 to 10 is red).
        within: The region; all of ``rect`` when not given.

    Returns:
        Rectangle and mask, owned by the caller.

    Raises:
        ValueError: The values do not fit the rectangle, or a bound is not a number.
    """
    if values.shape != (rect.h, rect.w):
        raise ValueError(f"expected ({rect.h}, {rect.w}) values for {rect}, got {values.shape}")
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"a bound is not a number: {low} to {high}")
    above, below = values >= low, values <= high  # type: ignore[operator]
    chosen: BoolMask = above & below if low <= high else above | below
    if within is not None:
        chosen &= mask_within(within, rect)
    return tight_area(rect, chosen)


def otsu_level(values: NDArray[np.uint8], inside: BoolMask | None = None) -> int:
    """The value that parts dark from bright best: the bright begin above it.

    Args:
        values: (H, W) uint8.
        inside: (H, W) bool, the pixels that count; all when not given.

    Returns:
        0 to 255; the one value there is, if there is only one.

    Raises:
        ValueError: No pixel counts, or a shape or dtype does not fit.

    Source: N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979, eq. 18.
    """
    check_fits(Rect.of_array(values), values, np.uint8)
    if inside is not None:
        check_fits(Rect.of_array(values), inside, np.bool_)
    counted = values if inside is None else values[inside]
    if counted.size == 0:
        raise ValueError("no pixel counts")
    histogram = np.bincount(counted.ravel(), minlength=256)
    levels = np.arange(256)
    num_dark, sum_dark = np.cumsum(histogram), np.cumsum(histogram * levels)
    num_bright, total = counted.size - num_dark, int(sum_dark[-1])
    # Twice the counts make the difference of the means; empty sides have no variance between them.
    parts = num_dark * num_bright
    difference = (sum_dark * num_bright - (total - sum_dark) * num_dark).astype(np.float64)
    between = np.divide(difference**2, parts, out=np.full(256, -1.0), where=parts > 0)
    return int(np.argmax(between)) if (parts > 0).any() else int(counted.flat[0])


def _near_in_rgb(pixels: RgbImage, color: NDArray[np.float64], tolerance: float) -> BoolMask:
    """Pixels of which no channel differs by more than the tolerance."""
    low = [float(max(0, math.ceil(value - tolerance))) for value in color]
    high = [float(min(255, math.floor(value + tolerance))) for value in color]
    if any(first > last for first, last in zip(low, high, strict=True)):
        return np.zeros(pixels.shape[:2], np.bool_)
    found: BoolMask = np.asarray(cv2.inRange(np.ascontiguousarray(pixels), tuple(low), tuple(high))) != 0
    return found


def _near_in_lab(pixels: RgbImage, color: NDArray[np.float64], tolerance: float) -> BoolMask:
    """Pixels whose Euclidean distance in CIELAB (D65, 2 degrees) is at most the tolerance."""
    # A mean of several pixels is not a whole number: the nearest colour stands for it.
    target = lab_of(np.rint(color).astype(np.uint8))
    out = np.empty(pixels.shape[:2], np.bool_)
    num_rows = max(1, _BAND_PX // max(1, pixels.shape[1]))
    for first in range(0, len(out), num_rows):
        band = lab_of(pixels[first : first + num_rows])
        band -= target
        squared = np.einsum("ijk,ijk->ij", band, band)
        # One colour may come out a little different in two places: tolerance 0 has to find it everywhere.
        np.less_equal(squared, np.float32((tolerance + 1e-3) ** 2), out=out[first : first + num_rows])
    return out
