"""What lies over the photograph, as pixels: classes, or one of the other views of them."""

from __future__ import annotations

import numpy as np

from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Provenance, Rect
from pspnet_studio.canvas.colors import ArgbImage, ColorTable, Palette
from pspnet_studio.model.document import Document
from pspnet_studio.model.edited_planes import painted_provenance
from pspnet_studio.model.view_state import OverlayMode

_NOTHING = 0x00000000

# Agreement and disagreement: blue and orange, which people with any colour vision can tell apart.
_SAME, _OTHER = 1, 2
_DIFFERENCE_COLORS = Palette([_NOTHING, 0x5556B4E9, 0xFFE69F00, *[_NOTHING] * 253])

PROVENANCE_COLORS: dict[int, int] = {
    Provenance.ACCEPTED: 0xFF56B4E9,
    Provenance.PAINTED: 0xFFE69F00,
    Provenance.ERASED: 0xFF999999,
    Provenance.IMPORTED: 0xFFCC79A7,
}
"""0xAARRGGBB of each provenance but untouched."""

_PROVENANCE_TABLE = Palette([PROVENANCE_COLORS.get(v, _NOTHING) for v in range(256)])

# The less sure, the stronger: nothing at 100 %, full vermilion at 50 % and less.
_CONFIDENCE_TABLE = Palette([(min(255, round((255 - v) * 2)) << 24) | 0xD55E00 for v in range(256)])


def overlay(document: Document, rect: Rect, mode: OverlayMode, colors: ColorTable, step: int = 1) -> ArgbImage:
    """The overlay of a part of the image, (h, w) uint32, owned by the caller.

    Args:
        document: The image.
        rect: In image pixels, inside the image.
        mode: What to show.
        colors: Of the classes.
        step: Only every n-th row and column, from the first on (:meth:`PlaneStore.read`).
    """
    if mode is OverlayMode.CLASSES:
        return colors.colored(*document.displayed(rect, step))
    if mode is OverlayMode.LABELS:
        classes = document.class_plane.read(rect, step)
        return colors.colored(classes, np.zeros(classes.shape, np.bool_))
    if mode is OverlayMode.PROVENANCE:
        return _PROVENANCE_TABLE.look_up(document.provenance_plane.read(rect, step))
    if document.prediction is None:
        return np.zeros((-(-rect.h // step), -(-rect.w // step)), np.uint32)
    predicted = np.ascontiguousarray(document.prediction.class_map[rect.slices][::step, ::step])
    if mode is OverlayMode.PREDICTION:
        return colors.colored(predicted, np.zeros(predicted.shape, np.bool_))
    if mode is OverlayMode.CONFIDENCE:
        confidence = document.prediction.confidence[rect.slices][::step, ::step]
        return _CONFIDENCE_TABLE.look_up(np.ascontiguousarray(confidence))
    labels = document.class_plane.read(rect, step)
    codes = np.where(labels == predicted, np.uint8(_SAME), np.uint8(_OTHER))
    codes[labels == UNLABELLED] = 0
    return _DIFFERENCE_COLORS.look_up(codes)


def painted_color(class_id: int, mode: OverlayMode, colors: ColorTable) -> int | None:
    """Colour (premultiplied) of pixels that got a class by hand, 255 = were erased.

    None where they need not have the same colour, because the prediction is shown, too.
    """
    if mode is OverlayMode.CLASSES or mode is OverlayMode.LABELS:
        return int(colors.own.premultiplied[class_id])
    if mode is OverlayMode.PROVENANCE:
        return int(_PROVENANCE_TABLE.premultiplied[painted_provenance(class_id)])
    return None


def keys(document: Document, rect: Rect, mode: OverlayMode, step: int = 1) -> ClassMap:
    """What tells the regions of a view apart, (h, w) uint8: between different values there is an outline.

    Arguments as of :func:`overlay`.
    """
    if mode is OverlayMode.CLASSES:
        return document.displayed(rect, step)[0]
    if mode is OverlayMode.PROVENANCE:
        return document.provenance_plane.read(rect, step)
    if mode is OverlayMode.LABELS or document.prediction is None:
        return document.class_plane.read(rect, step)
    predicted = document.prediction.class_map[rect.slices][::step, ::step]
    if mode is not OverlayMode.DIFFERENCE:
        return predicted
    labels = document.class_plane.read(rect, step)
    codes: ClassMap = np.where(labels == UNLABELLED, np.uint8(0), np.where(labels == predicted, 1, 2)).astype(np.uint8)
    return codes


def outlines(values: ClassMap) -> BoolMask:
    """The pixels that have a neighbour of another value: (h, w) bool; nothing lies outside of the array."""
    result = np.zeros(values.shape, np.bool_)
    across, down = values[:, 1:] != values[:, :-1], values[1:] != values[:-1]
    result[:, 1:] |= across
    result[:, :-1] |= across
    result[1:] |= down
    result[:-1] |= down
    return result
