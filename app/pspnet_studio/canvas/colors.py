"""Lookup tables: which colour the overlay gives to a class id."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from pspnet_core.classes import ClassSet
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap

ArgbImage = NDArray[np.uint32]
"""(H, W) uint32, 0xAARRGGBB, premultiplied with alpha, as QImage.Format_ARGB32_Premultiplied."""

PREDICTED_ALPHA = 0.6
"""How strong pixels of the prediction are drawn beside the user's own."""

FADED_ALPHA = 0.15
"""How strong other classes are drawn beside a highlighted one."""


_SMALL_PX = 20_000


class Palette:
    """256 colours.

    Attributes:
        argb: 0xAARRGGBB, not premultiplied.
        premultiplied: (256,) uint32, what the overlay is drawn with.
    """

    __slots__ = ("argb", "premultiplied")

    def __init__(self, argb: list[int]) -> None:
        self.argb = argb
        self.premultiplied = _converted(np.arange(256, dtype=np.uint8)[None], argb)[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Palette) and self.argb == other.argb

    __hash__ = None  # type: ignore[assignment]

    def look_up(self, class_map: ClassMap) -> ArgbImage:
        """Colours of (h, w) uint8 values, C-contiguous; owned by the caller."""
        if class_map.size < _SMALL_PX:
            return self.premultiplied.take(class_map)
        return _converted(class_map, self.argb)


class ColorTable:
    """Colours of one class set, for pixels of the user and for fainter ones of the prediction.

    Hidden classes and unlabelled pixels are transparent; ids that the set does not know are grey, so that they
    are seen.

    Args:
        classes: Colours and visibility.
        highlight: A class beside which the others fade; None for none.
    """

    __slots__ = ("own", "predicted")

    def __init__(self, classes: ClassSet, highlight: int | None = None) -> None:
        self.own = Palette(_argb(classes, 1.0, highlight))
        self.predicted = Palette(_argb(classes, PREDICTED_ALPHA, highlight))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColorTable) and self.own == other.own

    __hash__ = None  # type: ignore[assignment]

    def colored(self, class_map: ClassMap, predicted: BoolMask) -> ArgbImage:
        """The overlay of a piece of class map, owned by the caller.

        Args:
            class_map: (h, w) uint8 class ids, 255 = nothing; C-contiguous.
            predicted: (h, w) bool, True where the class is the prediction's.
        """
        if class_map.size == 0 or int(class_map.min()) == UNLABELLED:
            return np.zeros(class_map.shape, np.uint32)
        if not predicted.any():
            return self.own.look_up(class_map)
        out = self.predicted.look_up(class_map)
        if not predicted.all():
            np.copyto(out, self.own.look_up(class_map), where=~predicted)
        return out


def _argb(classes: ClassSet, strength: float, highlight: int | None) -> list[int]:
    """256 colours 0xAARRGGBB, not premultiplied."""
    table = []
    for index, (r, g, b) in enumerate(classes.lut()):
        faded = highlight is not None and index != highlight
        alpha = round(255 * strength * (FADED_ALPHA if faded else 1.0))
        table.append(alpha << 24 | int(r) << 16 | int(g) << 8 | int(b))
    for c in classes:
        if not c.visible:
            table[c.index] = 0
    table[UNLABELLED] = 0
    return table


def _converted(class_map: ClassMap, argb: list[int]) -> ArgbImage:
    # For many pixels, Qt's conversion of an indexed image is three times as fast as indexing a table with numpy.
    height, width = class_map.shape
    indexed = QImage(class_map.data, width, height, width, QImage.Format.Format_Indexed8)
    indexed.setColorTable(argb)
    colored = indexed.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
    return np.frombuffer(colored.constBits(), np.uint32).reshape(height, width).copy()
