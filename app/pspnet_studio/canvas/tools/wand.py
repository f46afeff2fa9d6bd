"""Magic wand: a click selects what has the colour under the pointer."""

from __future__ import annotations

from typing import Literal

from pspnet_core.imaging.areas import Area
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import Pointer
from pspnet_studio.canvas.tools.selecting import Finder, SelectionTool
from pspnet_studio.messages import tr

_SIDE_PX = 6144
"""It looks at a square of this side around the pointer: more pixels would keep the hand waiting."""


class WandTool(SelectionTool):
    """Selects the pixels whose colour is near to that under the pointer, connected with it or anywhere."""

    id = "wand"

    def idle_hint(self) -> str:
        if self.option("at_once"):
            return tr("Click to paint what has this colour, right button erases it. Shift-click selects it first.")
        return tr("Click to select what has this colour.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        seed = (pointer.x, pointer.y)
        if document is None or document.is_editing or not _holds(document.rect, seed):
            return
        way = self.way_of(pointer)
        if way is not None:
            self.request(way, lambda: self._finder(seed))

    def _finder(self, seed: Point) -> Finder:
        document = self._host.document
        assert document is not None, "a request ends with its image"
        rect = Rect(int(seed[0]) - _SIDE_PX // 2, int(seed[1]) - _SIDE_PX // 2, _SIDE_PX, _SIDE_PX)
        rect = rect.intersect(document.rect)
        read = document.pixels.reader(rect)
        tolerance, contiguous = float(self.option("tolerance")), bool(self.option("contiguous"))
        space: Literal["rgb", "lab"] = "lab" if self.option("space") == "lab" else "rgb"

        def find() -> Area:
            from pspnet_core.imaging.select import magic_wand  # OpenCV comes with it: not when the window starts

            return magic_wand(read(), rect, seed, tolerance, space=space, contiguous=contiguous)

        return find


def _holds(rect: Rect, point: Point) -> bool:
    return rect.x <= point[0] < rect.right and rect.y <= point[1] < rect.bottom
