"""Fill: a click gives a connected region the class."""

from __future__ import annotations

import math

from pspnet_core.errors import SelectionError
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.tools.base import Pointer, Tool, no_class_hint, paint_areas
from pspnet_studio.messages import tr

MAX_PIXELS = 1 << 24
"""Largest region that is filled by a click: more would make the hand wait."""


class FillTool(Tool):
    """Gives the connected region of one class, or of what has none, under the click the current class, as one step.

    Diagonal neighbours are not connected: a thin line holds. The secondary button erases the region. What the
    prediction shows does not count.
    """

    def hint(self) -> str:
        if self._host.tool_state.class_id is None:
            return no_class_hint()
        return tr("Click a region to give it the class, right button erases it.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing:
            return
        class_id = self._class_to_paint(pointer.erase)
        x, y = math.floor(pointer.x), math.floor(pointer.y)
        place = Rect(x, y, 1, 1).intersect(document.rect)
        if class_id is None or place.is_empty:
            return
        if int(document.class_plane.read(place)[0, 0]) == class_id:
            self._host.show_hint(
                tr("There is nothing to erase here.")
                if class_id == UNLABELLED
                else tr("This region has the current class already.")
            )
            return
        from pspnet_core.imaging.flood import flood_tiles  # OpenCV: not before somebody fills

        read, shape = document.class_plane.read, document.class_plane.shape
        try:
            areas = flood_tiles(read, (pointer.x, pointer.y), shape, max_pixels=MAX_PIXELS)
        except SelectionError:
            self._host.show_hint(too_large_hint())
            return
        paint_areas(document, "fill", areas, class_id)


def too_large_hint() -> str:
    """Why a region is not changed by a click, and what to do."""
    return tr(
        "This region has more than {number} million pixels, too many for a click: divide it with a line of the brush."
    ).format(number=round(MAX_PIXELS / 1e6))
