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
        self.own = _argb(classes, 1.0, highlight)
        self.predicted = _argb(classes, PREDICTED_ALPHA, highlight)

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
            return look_up(class_map, self.own)
        out = look_up(class_map, self.predicted)
        if not predicted.all():
            np.copyto(out, look_up(class_map, self.own), where=~predicted)
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


def look_up(class_map: ClassMap, table: list[int]) -> ArgbImage:
    """Colours of (h, w) uint8 values, C-contiguous, by a table of 256 colours 0xAARRGGBB; owned by the caller."""
    # Qt's conversion of an indexed image is three times as fast as indexing a table with numpy.
    height, width = class_map.shape
    indexed = QImage(class_map.data, width, height, width, QImage.Format.Format_Indexed8)
    indexed.setColorTable(table)
    colored = indexed.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
    return np.frombuffer(colored.constBits(), np.uint32).reshape(height, width).copy()
