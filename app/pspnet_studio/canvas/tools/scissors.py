"""Intelligent scissors: an outline that follows the edges of the image from click to click."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPainterPath, QTransform

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.source import level_size, num_levels_of
from pspnet_core.imaging.strokes import Point, polygon_mask
from pspnet_core.types import Rect, RgbImage
from pspnet_studio.canvas.tools.base import Pointer, Tool, ToolHost, paint_two_tone, to_device
from pspnet_studio.canvas.tools.selecting import SelectionTool, Way
from pspnet_studio.canvas.tools.selection import Selection
from pspnet_studio.jobs.tool_work import Work
from pspnet_studio.messages import tr

if TYPE_CHECKING:
    from pspnet_core.imaging.scissors import Scissors

_SIDE_PX = 512
"""Paths are looked for in a square of this side around the last anchor, in pixels of the reduced image."""

_HANDLE_PX = 4.0
_CLOSE_PX = 8.0
_MIN_POINTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _EdgeMap:
    """Paths from one anchor, found in an image reduced as far as the screen shows it.

    Attributes:
        scissors: Knows the paths, in pixels of the reduced part.
        rect: The part, in image pixels.
        step: Image pixels per reduced pixel.
    """

    scissors: Scissors
    rect: Rect
    step: int

    @staticmethod
    def around(reduced: RgbImage, rect: Rect, step: int, anchor: Point) -> _EdgeMap:
        """Work it out for the RGB pixels of ``rect``, each the mean of ``step`` x ``step``."""
        from pspnet_core.imaging.scissors import Scissors  # OpenCV comes with it: not when the window starts

        scissors = Scissors(reduced, Rect.of_array(reduced))
        scissors.set_anchor(((anchor[0] - rect.x) / step, (anchor[1] - rect.y) / step))
        return _EdgeMap(scissors, rect, step)

    def path_to(self, point: Point) -> list[Point]:
        """From the anchor along edges to ``point``, the last part straight where that lies too far away."""
        there = ((point[0] - self.rect.x) / self.step, (point[1] - self.rect.y) / self.step)
        path = self.scissors.path_to(there)
        return [*((self.rect.x + x * self.step, self.rect.y + y * self.step) for x, y in path), point]


class ScissorsTool(SelectionTool):
    """Click along an object: the path between two clicks follows its edge; closed, it is filled or selected.

    A click near the first anchor, a double-click and Enter close it; Backspace takes back the last anchor.
    """

    id = "scissors"

    def __init__(self, host: ToolHost, selection: Selection) -> None:
        super().__init__(host, selection)
        self._way: Way | None = None
        self._anchors: list[Point] = []
        self._legs: list[list[Point]] = []  # from each anchor to the next
        self._clicks: list[Point] = []  # set before the paths of the last anchor were known
        self._closes = False
        self._map: _EdgeMap | None = None
        self._mapping: Work | None = None
        self._position: Point | None = None

    @property
    def is_active(self) -> bool:
        return bool(self._anchors) or super().is_active

    def idle_hint(self) -> str:
        return tr("Click on the edge of an object, then along it: the path between follows the edge.")

    def hint(self) -> str:
        if not self._anchors:
            return super().hint()
        if len(self._anchors) + len(self._clicks) < _MIN_POINTS - 1:
            return tr("Click further along the edge. Backspace takes back the last point, Esc all.")
        return tr("Double-click or Enter closes the outline. Backspace takes back the last point, Esc all.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing or self._closes or self.is_busy:
            return
        point = self._within(pointer)
        self._position = point
        if not self._anchors:
            self._way = self.way_of(pointer)
            if self._way is None:
                return
            self._anchors = [point]
            self._map_from(point)
        elif len(self._anchors) + len(self._clicks) >= _MIN_POINTS - 1 and self._is_near_first(point):
            self._close()
            return
        else:
            self._clicks.append(point)
            self._work_off()
        self.changed()

    def double_click(self, pointer: Pointer) -> None:
        # Its first press has set the last anchor already.
        if self._anchors:
            self._close()
        else:
            self.press(pointer)

    def move(self, pointer: Pointer) -> None:
        self._position = self._within(pointer)
        if self._anchors:
            self._host.update_guides()

    def finish(self) -> None:
        if self._anchors:
            self._close()
        else:
            super().finish()

    def cancel(self) -> None:
        if self._anchors:
            self._forget()
            self.changed()
        else:
            super().cancel()

    def remove_last(self) -> None:
        self._closes = False
        if self._clicks:
            self._clicks.pop()
        elif len(self._anchors) > 1:
            self._anchors.pop()
            self._legs.pop()
            self._map_from(self._anchors[-1])
        elif self._anchors:
            self._forget()
        else:
            return
        self.changed()

    def put_down(self, successor: Tool) -> None:
        super().put_down(successor)
        self._forget()

    def reset(self) -> None:
        super().reset()
        self._forget()
        self._position = None

    def guide_rect(self) -> Rect:
        rect = super().guide_rect()
        if not self._anchors:
            return rect
        box = self._outline().controlPointRect()
        margin = (_HANDLE_PX + 3) * self._host.pixel_ratio
        x, y = math.floor(box.left() - margin), math.floor(box.top() - margin)
        return rect.union(Rect(x, y, math.ceil(box.width() + 2 * margin) + 1, math.ceil(box.height() + 2 * margin) + 1))

    def paint_guides(self, painter: QPainter) -> None:
        super().paint_guides(painter)
        if self._anchors:
            paint_two_tone(painter, self._outline(), self._host.pixel_ratio)

    # --- inside

    def _outline(self) -> QPainterPath:
        """The path so far, to the pointer, and its anchors, in device pixels."""
        viewport = self._host.viewport
        path = QPainterPath(QPointF(*self._anchors[0]))
        for leg in [*self._legs, self._clicks, self._live_leg()]:
            for point in leg:
                path.lineTo(*point)
        outline = QTransform(viewport.scale, 0, 0, viewport.scale, viewport.offset_x, viewport.offset_y).map(path)
        for index, anchor in enumerate([*self._anchors, *self._clicks]):
            size = _HANDLE_PX * self._host.pixel_ratio * (1.0 if index == 0 else 0.5)
            outline.addEllipse(to_device(viewport, anchor), size, size)
        return outline

    def _live_leg(self) -> list[Point]:
        """From the last anchor to the pointer; straight as long as the paths are not known."""
        if self._position is None or self._closes:
            return []
        if self._map is None or self._clicks:
            return [self._position]
        return self._map.path_to(self._position)

    def _map_from(self, anchor: Point) -> None:
        """Have the paths from an anchor worked out."""
        document = self._host.document
        assert document is not None, "an outline ends with its image"
        self._stop_mapping()
        level = min(self._host.viewport.level, num_levels_of(document.rect.w, document.rect.h) - 1)
        step = 1 << level
        left, top = (int(v) // step - _SIDE_PX // 2 for v in anchor)
        whole = Rect(0, 0, *level_size(document.rect.w, document.rect.h, level))
        part = Rect(left, top, _SIDE_PX, _SIDE_PX).intersect(whole)
        rect = Rect(*(v << level for v in part)).intersect(document.rect)
        read = document.pixels.reader(part, level)
        has_ended = False

        def on_done(edge_map: _EdgeMap) -> None:
            nonlocal has_ended
            has_ended, self._mapping, self._map = True, None, edge_map
            self._work_off()
            if self._anchors:
                self._host.update_guides()

        def on_error(_: PspnetError) -> None:
            self._forget()
            self.changed()

        handle = self._host.compute(lambda: _EdgeMap.around(read(), rect, step, anchor), on_done, on_error)
        if not has_ended:
            self._mapping = handle

    def _work_off(self) -> None:
        """Make a leg of the next click as soon as the paths to it are known, then close if that was asked for."""
        if self._map is None:
            return
        if self._clicks:
            point = self._clicks.pop(0)
            self._legs.append(self._map.path_to(point))
            self._anchors.append(point)
            self._map_from(point)
        elif self._closes:
            self._legs.append(self._map.path_to(self._anchors[0]))
            self._fill()

    def _close(self) -> None:
        points = [self._anchors[0], *(point for leg in [*self._legs, self._clicks] for point in leg)]
        if len(points) < _MIN_POINTS:
            self._host.show_hint(tr("An outline needs at least two points along the edge. Click to add them."))
            return
        self._closes = True
        self._work_off()
        if self._closes:
            self._host.update_guides()

    def _fill(self) -> None:
        document, way = self._host.document, self._way
        assert document is not None
        assert way is not None
        points = [self._anchors[0], *(point for leg in self._legs for point in leg)]
        self._forget()
        self.request(way, lambda: lambda: polygon_mask(points, document.shape))  # as large as the image, perhaps

    def _forget(self) -> None:
        self._stop_mapping()
        self._way = None
        self._closes = False
        for points in (self._anchors, self._legs, self._clicks):
            points.clear()

    def _stop_mapping(self) -> None:
        if self._mapping is not None:
            self._mapping.cancel()
        self._mapping = self._map = None

    def _within(self, pointer: Pointer) -> Point:
        """The point of the image nearest to the pointer."""
        viewport = self._host.viewport
        return min(max(pointer.x, 0.0), float(viewport.image_w)), min(max(pointer.y, 0.0), float(viewport.image_h))

    def _is_near_first(self, point: Point) -> bool:
        return self._screen_distance(point, self._anchors[0]) <= _CLOSE_PX
