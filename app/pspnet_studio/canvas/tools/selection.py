"""The pixels that wait for a decision, shared by all selection tools of one canvas, and how they are applied."""

from __future__ import annotations

from collections.abc import Iterator

from pspnet_core.imaging.areas import Area, empty_area, relative
from pspnet_core.imaging.planes import TILE_PX
from pspnet_core.types import Rect
from pspnet_studio.canvas.area_picture import AreaPicture


class Selection:
    """Holds an area and its picture.

    Attributes:
        picture: How it is drawn.
    """

    def __init__(self) -> None:
        self._area = empty_area()
        self.picture = AreaPicture([])

    @property
    def area(self) -> Area:
        """What is selected; not changed in place."""
        return self._area

    @property
    def is_empty(self) -> bool:
        """Whether nothing is selected."""
        return self._area[0].is_empty

    def set(self, area: Area) -> None:
        """Select something else."""
        self._area = area
        self.picture = AreaPicture([area])

    def clear(self) -> None:
        """Select nothing."""
        if not self.is_empty:
            self.set(empty_area())


def in_tiles(area: Area) -> Iterator[Area]:
    """An area in pieces of one tile each, those left out in which nothing lies: painting them costs what they touch."""
    rect, mask = area
    for y in range(rect.y // TILE_PX * TILE_PX, rect.bottom, TILE_PX):
        for x in range(rect.x // TILE_PX * TILE_PX, rect.right, TILE_PX):
            tile = Rect(x, y, TILE_PX, TILE_PX).intersect(rect)
            part = mask[relative(tile, rect).slices]
            if part.any():
                yield tile, part
