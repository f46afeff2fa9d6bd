"""GrabCut: the object in a box, from the colours inside and outside of it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pspnet_core.errors import SelectionError
from pspnet_core.imaging.areas import Area, check_pixels, empty_area, mask_within, relative, tight_area
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.snap import snap_area
from pspnet_core.types import BoolMask, Rect, RgbImage

_SEED = 20  # of the clustering that the colour models begin with
_FEWEST_PX = 10  # each side has a model of five colours, which need samples
_MARGIN = 0.3  # of the longer side of the box: what is looked at around it, as the background
_SMALLEST_MARGIN_PX = 12


def grabcut(
    pixels: RgbImage,
    rect: Rect,
    box: Rect,
    foreground: Area | None = None,
    background: Area | None = None,
    *,
    iterations: int = 4,
    max_pixels: int = 100_000,
) -> Area:
    """The object in a box.

    What lies outside of the box is background. A large box is cut at a reduced size, then the border is moved to the
    edges of the image at full size. The same input always gives the same result. It takes about half a second: not
    for the thread of the window.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB; of them the box and a margin around it are looked at.
        rect: Where they lie in the image.
        box: Around the object, in image pixels.
        foreground: Pixels that belong to the object for sure, also outside of the box.
        background: Pixels that do not; they win where both are given.
        iterations: Rounds, at least 1.
        max_pixels: Size that the cut works at, 1,000 to 1,000,000: more is finer and slower by more than as much.

    Returns:
        Rectangle and mask, owned by the caller; empty when nothing is left.

    Raises:
        SelectionError: There is too little background or foreground to learn from: the box or what is outside of it
            holds under 10 pixels.
        ValueError: The pixels do not fit the rectangle, or a number is out of its range.

    Source: C. Rother, V. Kolmogorov and A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph
        Cuts", SIGGRAPH 2004, as OpenCV has it.
    """
    check_pixels(rect, pixels)
    if iterations < 1 or not 1_000 <= max_pixels <= 1_000_000:
        raise ValueError(f"iterations must be at least 1, max_pixels 1000 to 1000000, got {iterations}, {max_pixels}")
    box = box.intersect(rect)
    part = _with_margin(box, foreground).intersect(rect)
    if box.is_empty:
        raise _too_little("object")
    unwanted = mask_within(background or empty_area(), part)
    wanted = mask_within(foreground or empty_area(), part) & ~unwanted
    inside = mask_within((box, np.ones((box.h, box.w), np.bool_)), part)
    image = np.ascontiguousarray(pixels[relative(part, rect).slices])
    found = _at_size(image, inside, wanted, unwanted, iterations, max_pixels)
    return tight_area(part, (found & (inside | wanted) | wanted) & ~unwanted)


def _at_size(
    image: RgbImage, inside: BoolMask, wanted: BoolMask, unwanted: BoolMask, iterations: int, max_pixels: int
) -> BoolMask:
    """The object at the size of the image, cut at a reduced size where the image is larger than ``max_pixels``."""
    height, width = image.shape[:2]
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    if scale == 1:
        return _cut(image, inside, wanted, unwanted, iterations)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    reduced = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    # A pixel that a thin stroke only touches is marked.
    coarse = _cut(
        reduced, _reduced(inside, size, 0.5), _reduced(wanted, size, 0), _reduced(unwanted, size, 0), iterations
    )
    return _refined(image, coarse, 1.5 / scale)


def _cut(image: RgbImage, inside: BoolMask, wanted: BoolMask, unwanted: BoolMask, iterations: int) -> BoolMask:
    """What GrabCut takes for the object, with all masks of the size of the image."""
    marks = np.where(inside, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_BGD))
    marks[wanted] = cv2.GC_FGD
    marks[unwanted] = cv2.GC_BGD
    num_background = int(np.count_nonzero(marks == cv2.GC_BGD))
    if num_background < _FEWEST_PX:
        raise _too_little("background")
    if marks.size - num_background < _FEWEST_PX:
        raise _too_little("object")
    models: tuple[NDArray[np.float64], NDArray[np.float64]] = (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.setRNGSeed(_SEED)
    cv2.grabCut(image, marks, None, *models, iterations, cv2.GC_INIT_WITH_MASK)
    found: BoolMask = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    return found


def _refined(image: RgbImage, coarse: BoolMask, reach_px: float) -> BoolMask:
    """A mask found at a reduced size at that of the image, its border moved to the edges within the reach."""
    size = image.shape[1], image.shape[0]
    soft = np.asarray(cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_LINEAR))
    whole = Rect.of_array(image)
    return mask_within(snap_area(image, whole, tight_area(whole, soft > 0.5), reach_px), whole)


def _reduced(mask: BoolMask, size: tuple[int, int], share: float) -> BoolMask:
    """A mask at a reduced size (width, height): where more than a share of the pixel is True."""
    reduced: BoolMask = np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)) > share
    return reduced


def _with_margin(box: Rect, foreground: Area | None) -> Rect:
    margin = max(_SMALLEST_MARGIN_PX, round(_MARGIN * max(box.w, box.h)))
    wide = Rect(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin)
    return wide if foreground is None else wide.union(foreground[0])


def _too_little(what: str) -> SelectionError:
    if what == "object":
        return SelectionError(
            f"The box holds fewer than {_FEWEST_PX} pixels that may belong to the object.",
            "GrabCut learns the colours of the object from them.",
            "Draw a larger box around the object.",
        )
    return SelectionError(
        f"Fewer than {_FEWEST_PX} pixels around the box are background.",
        "GrabCut learns the colours of the background from what lies outside of the box.",
        "Draw a box that leaves a margin, or mark background with a stroke.",
    )
