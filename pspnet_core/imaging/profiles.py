"""Colours of other profiles (ICC) in sRGB, which is what the screen, the network and every export expect."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.types import RgbImage

SAME_LEVELS = 2
"""A profile that changes no colour by more than so many of 256 levels is taken for sRGB: the pixels stay."""

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_RELATIVE_COLORIMETRIC, _BLACK_POINT_COMPENSATION = 1, 0x2000
_EXACT = 0x0100  # no table with few steps is made of it: for greys that is off by up to 9 levels near black
_STEPS = 9


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image in sRGB.

    Args:
        image: Of mode L, RGB, CMYK or LAB; may be changed in place.
        profile: ICC profile of its values; None, a damaged one or one of other channels counts as none.

    Returns:
        Mode RGB; mode L where the values of a grey image stay as they are. CMYK values without a profile are mixed
        as ideal inks.
    """
    transform = _transform(b"" if image.mode == "LAB" else profile or b"", image.mode)
    if transform is None:
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    if isinstance(transform, np.ndarray):
        return Image.fromarray(transform[np.asarray(image)])
    if image.mode == "RGB":
        image.load()
        if image.readonly:
            image = image.copy()
        return transform.apply_in_place(image)  # type: ignore[no-any-return]
    return transform.apply(image)  # type: ignore[no-any-return]


def array_to_srgb(colors: NDArray[np.uint8], profile: bytes | None) -> RgbImage:
    """Values of an image in sRGB.

    Args:
        colors: (H, W, 1) or (H, W, 3) uint8; not changed.
        profile: As of :func:`to_srgb`.

    Returns:
        (H, W, 3) uint8 RGB; ``colors`` itself where it has three channels that stay as they are.
    """
    mode = "RGB" if colors.shape[2] == 3 else "L"
    transform = _transform(profile or b"", mode)
    if transform is None:
        return colors if mode == "RGB" else np.repeat(colors, 3, axis=2)
    if isinstance(transform, np.ndarray):
        return transform[colors[:, :, 0]]
    return np.array(transform.apply(Image.fromarray(np.ascontiguousarray(colors))))


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> Any:
    """What turns values of a mode into sRGB: a transform, for greys a table (256, 3) uint8.

    None where nothing is to be changed or the profile is of no use.

    Several threads may use it at once: Little CMS keeps what changes during a call on the stack.
    """
    if not profile and mode != "LAB":
        return None
    from PIL import ImageCms  # not when the window starts

    try:
        if mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space != _SPACES.get(mode):
                return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent(_RELATIVE_COLORIMETRIC),
            ImageCms.Flags(_BLACK_POINT_COMPENSATION | (_EXACT if mode == "L" else 0)),
        )
        if mode == "L":
            greys = np.arange(256, dtype=np.uint8)
            table = np.asarray(transform.apply(Image.fromarray(greys[None])))[0]
            return None if int(np.abs(table - greys[:, None].astype(int)).max()) <= SAME_LEVELS else table
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a damaged profile beside good pixels: shown without it, as every viewer does


def _changes_nothing(transform: Any) -> bool:
    """Whether a transform leaves colours as they are: tried on a lattice of them."""
    steps = np.linspace(0, 255, _STEPS).astype(np.uint8)
    before = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    after = np.asarray(transform.apply(Image.fromarray(np.ascontiguousarray(before))))
    return int(np.abs(after.astype(int) - before).max()) <= SAME_LEVELS
