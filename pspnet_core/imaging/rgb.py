"""From decoded values of whatever kind to RGB pixels of 8 bits in sRGB: the same rules for every decoder.

16 bits become 8 by their high byte. Other numbers (floating point, signed, 32 bits) have no fixed range: those within
0 and 1 (floating point only) are taken times 255, those within 0 and 255 as they are, all others are stretched from the
smallest to the largest value of the page. What is no number, is marked as "no data" (GDAL's tag) or is beyond 1e30
becomes black and does not count for the range.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.imaging.decoding import decoder, unsupported_depth
from pspnet_core.imaging.profiles import array_to_srgb, to_srgb
from pspnet_core.types import RgbImage

SIXTEEN_BIT_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
"""Pillow's modes of 16-bit grey values."""

NODATA_TAG = 42113
"""Of a TIFF: which value means that nothing was measured (GDAL)."""

_GREY = frozenset({"1", "L", "LA", "La"})
_COLORS = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
_AS_THEY_ARE = frozenset({"L", "RGB", "CMYK", "LAB"})
_NO_MEASUREMENT = 1e30
_BAND_ROWS = 512


def to_rgb(path: Path, image: Image.Image, profile: bytes | None = None) -> RgbImage:
    """The pixels of an image that Pillow has loaded: (H, W, 3) uint8 RGB, not turned, owned by the caller.

    Args:
        path: For messages.
        image: May be changed.
        profile: ICC profile of its values; that of the image itself when not given.

    Raises:
        DecoderError: A palette or its transparency is damaged.
        ImageReadError: Values of this kind cannot be shown.
    """
    profile = image.info.get("icc_profile") if profile is None else profile
    if image.mode in SIXTEEN_BIT_GREY:
        return array_to_srgb((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], profile)
    if image.mode in ("I", "F"):
        nodata = nodata_of(getattr(image, "tag_v2", {}).get(NODATA_TAG))
        return array_to_srgb(to_eight_bits(path, np.asarray(image), nodata)[:, :, None], profile)
    if image.mode not in _GREY | _COLORS:
        raise unsupported_depth(path, image.mode)
    with decoder():
        alpha = None
        if image.mode != "1" and image.has_transparency_data:
            with_alpha = image.convert("RGBA")
            alpha = with_alpha.getchannel("A")
            colors = with_alpha.getchannel("R") if image.mode in _GREY else with_alpha.convert("RGB")
        elif image.mode in _AS_THEY_ARE:
            colors = image
        else:
            colors = image.convert("L" if image.mode in _GREY else "RGB")
        rgb = to_srgb(colors, profile)
        if alpha is not None:
            rgb = rgb.convert("RGB")
            rgb.putalpha(alpha)
            rgb = Image.alpha_composite(Image.new("RGBA", rgb.size, (255, 255, 255, 255)), rgb)
        return np.array(rgb if rgb.mode == "RGB" else rgb.convert("RGB"))


def bands_to_rgb(stored: NDArray[np.uint8], has_alpha: bool, profile: bytes | None = None) -> RgbImage:
    """(H, W, 3) uint8 RGB, C-contiguous, of (H, W) or (H, W, bands) uint8; an alpha band lays it over white."""
    bands = stored[:, :, None] if stored.ndim == 2 else stored
    colors = array_to_srgb(bands[:, :, :3] if bands.shape[2] >= 3 else bands[:, :, :1], profile)
    if not has_alpha or bands.shape[2] not in (2, 4):
        return np.ascontiguousarray(colors)
    alpha = bands[:, :, -1:].astype(np.uint16)
    over_white = (colors * alpha + 255 * (255 - alpha) + 127) // 255
    return over_white.astype(np.uint8)


def to_eight_bits(path: Path, values: NDArray[Any], nodata: float | None = None) -> NDArray[np.uint8]:
    """Numbers of any kind as 8 bits, as told at the top of this file.

    Args:
        path: For messages.
        values: Of any shape and any real type; not changed.
        nodata: Stands for "nothing was measured".

    Returns:
        Of the same shape; ``values`` itself where it has 8 bits.

    Raises:
        ImageReadError: The values are complex, or no numbers.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind not in "biuf":
        raise unsupported_depth(path, str(values.dtype))
    low, high = _range(values, nodata)
    is_unit = values.dtype.kind in "bf" and low >= 0 and high <= 1
    is_plain = not is_unit and low >= 0 and high <= 255
    offset = 0.0 if is_unit or is_plain else low
    span = 1.0 if is_unit else 255.0 if is_plain else (high - low) or np.inf
    out = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _BAND_ROWS):  # in bands: no array of floats is as large as the image
        band = values[top : top + _BAND_ROWS].astype(np.float64)
        shown = np.rint(np.where(_measured(band, nodata), band - offset, 0.0) * 255.0 / span)
        out[top : top + _BAND_ROWS] = np.clip(shown, 0, 255).astype(np.uint8)
    return out


def nodata_of(tag: Any) -> float | None:
    """The value in GDAL's tag; None where there is none that is a number."""
    try:
        return None if tag is None else float(str(tag).strip().rstrip("\0"))
    except ValueError:
        return None


def _range(values: NDArray[Any], nodata: float | None) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for top in range(0, len(values), _BAND_ROWS):
        band = values[top : top + _BAND_ROWS].astype(np.float64)
        known = band[_measured(band, nodata)]
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _measured(band: NDArray[np.float64], nodata: float | None) -> NDArray[np.bool_]:
    known = np.abs(band) < _NO_MEASUREMENT  # also false for what is no number
    return known if nodata is None else known & (band != nodata) & (band != np.float64(np.float32(nodata)))
