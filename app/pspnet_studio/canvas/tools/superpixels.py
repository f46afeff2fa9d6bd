"""Superpixels: cells of one colour light up under the pointer, and a drag takes all that it touches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtGui import QPainter

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.areas import Area, empty_area, mask_within, united
from pspnet_core.imaging.strokes import Point, pixel_line
from pspnet_core.types import Rect
from pspnet_studio.canvas.area_picture import AreaPicture
from pspnet_studio.canvas.tools.base import Pointer, Tool, ToolHost
from pspnet_studio.canvas.tools.selecting import SelectionTool, Way
from pspnet_studio.canvas.tools.selection import Selection
from pspnet_studio.jobs.tool_work import Work
from pspnet_studio.messages import tr

if TYPE_CHECKING:
    from pspnet_core.imaging.superpixels import Superpixels

_CORE_PX, _MARGIN_PX = 512, 240
"""Cells are worked out for 992 px around each square of 512: a cell near the pointer is never cut off."""

_MAX_WINDOWS = 12
"""Kept, the last used; each needs 4 MB."""

_Window = tuple[int, int, int]
"""Column and row of the square, and the size of the cells."""


class SuperpixelTool(SelectionTool):
    """Takes whole cells. They are worked out in the background, once for each part of the image."""

    id = "superpixels"

    def __init__(self, host: ToolHost, selection: Selection) -> None:
        super().__init__(host, selection)
        self._windows: OrderedDict[_Window, Superpixels] = OrderedDict()
        self._cutting: Work | None = None
        self._cutting_window: _Window | None = None
        self._failed: set[_Window] = set()
        self._way: Way | None = None
        self._is_down = False
        self._last: Point = (0.0, 0.0)
        self._hover: Point | None = None
        self._to_take: list[tuple[_Window, Area]] = []
        self._taken = empty_area()
        self._lit_area = empty_area()
        self._lit = AreaPicture([])

    @property
    def is_dragging(self) -> bool:
        return self._is_down

    @property
    def is_active(self) -> bool:
        return self._way is not None or super().is_active

    def idle_hint(self) -> str:
        if self.option("at_once"):
            return tr("Click or drag to paint whole cells, right button erases. Shift-drag selects them first.")
        return tr("Click or drag to select whole cells.")

    def busy_hint(self) -> str:
        return tr("Cutting this part into cells…")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing or self._way is not None:
            return
        self._way = self.way_of(pointer)
        if self._way is not None:
            self._is_down = True
            self._last = (pointer.x, pointer.y)
            self._drag_to(self._last)

    def move(self, pointer: Pointer) -> None:
        point = (pointer.x, pointer.y)
        self._hover = point
        if self._is_down:
            self._drag_to(point)
        elif self._way is None:
            self._light(self._cell_under(point))

    def release(self, pointer: Pointer) -> None:
        if self._is_down:
            self._drag_to((pointer.x, pointer.y))
            self.end_drag()

    def leave(self) -> None:
        self._hover = None
        if self._way is None:
            self._light(empty_area())

    def end_drag(self) -> None:
        if self._is_down:
            self._is_down = False
            self._take()

    def cancel(self) -> None:
        if self._way is not None:
            self._forget_drag()
            self.changed()
        else:
            super().cancel()

    def put_down(self, successor: Tool) -> None:
        super().put_down(successor)
        self._stop_cutting()
        self._forget_drag()

    def reset(self) -> None:
        super().reset()
        self._stop_cutting()
        self._forget_drag()
        self._hover = None
        self._windows.clear()
        self._failed.clear()

    def guide_rect(self) -> Rect:
        lit = self._lit.device_rect(self._host.viewport, self._host.pixel_ratio)
        return super().guide_rect().union(lit)

    def paint_guides(self, painter: QPainter) -> None:
        super().paint_guides(painter)
        self._lit.paint(painter, self._host.viewport, self._host.pixel_ratio)

    # --- inside

    def _drag_to(self, point: Point) -> None:
        document = self._host.document
        assert document is not None
        line = pixel_line(self._last, point, (document.rect.h, document.rect.w))
        self._last = point
        if not line[0].is_empty:
            self._to_take.extend(self._pieces(line))
        self._take()

    def _take(self) -> None:
        """Take the cells on the way so far, as far as they are known, and end when the button is up and all are."""
        fresh: list[Area] = []
        while self._to_take and self._is_known(self._to_take[0][0]):
            window, piece = self._to_take.pop(0)
            if window in self._windows:
                fresh.append(self._windows[window].cells_touched(piece))
        if any((mask & ~mask_within(self._taken, rect)).any() for rect, mask in fresh):
            self._taken = united([self._taken, *fresh])
            self._light(self._taken)
        if self._to_take:
            return  # comes back when the cells there are known
        way = self._way
        if way is not None and not self._is_down:
            taken = self._taken
            self._forget_drag()
            self.select(way, taken, self._selection.area)

    def _pieces(self, area: Area) -> Iterator[tuple[_Window, Area]]:
        """The parts of an area by the square that they lie in."""
        rect, size = area[0], int(self.option("cell"))
        for row in range(rect.y // _CORE_PX, (rect.bottom - 1) // _CORE_PX + 1):
            for column in range(rect.x // _CORE_PX, (rect.right - 1) // _CORE_PX + 1):
                core = Rect(column * _CORE_PX, row * _CORE_PX, _CORE_PX, _CORE_PX).intersect(rect)
                part = mask_within(area, core)
                if part.any():
                    yield (column, row, size), (core, part)

    def _cell_under(self, point: Point) -> Area:
        document = self._host.document
        column, row = int(point[0] // _CORE_PX), int(point[1] // _CORE_PX)
        if document is None or Rect(int(point[0] // 1), int(point[1] // 1), 1, 1).intersect(document.rect).is_empty:
            return empty_area()
        window = (column, row, int(self.option("cell")))
        if not self._is_known(window) or window not in self._windows:
            return empty_area()
        return self._windows[window].cell_at(point)

    def _is_known(self, window: _Window) -> bool:
        """Whether the cells there are known, or never will be; else they are being worked out from now on."""
        if window in self._windows:
            self._windows.move_to_end(window)
            return True
        if window in self._failed:
            return True
        if window != self._cutting_window:
            self._stop_cutting()
            self._cut(window)
        return window in self._windows

    def _cut(self, window: _Window) -> None:
        document = self._host.document
        assert document is not None
        column, row, size = window
        side = _CORE_PX + 2 * _MARGIN_PX
        rect = Rect(column * _CORE_PX - _MARGIN_PX, row * _CORE_PX - _MARGIN_PX, side, side).intersect(document.rect)
        read = document.pixels.reader(rect)

        def work() -> Superpixels:
            from pspnet_core.imaging.superpixels import superpixels

            return superpixels(read(), rect, size)

        def on_done(cells: Superpixels) -> None:
            self._cutting = self._cutting_window = None
            self._windows[window] = cells
            while len(self._windows) > _MAX_WINDOWS:
                self._windows.popitem(last=False)
            self._on_cut()

        def on_error(_: PspnetError) -> None:
            self._cutting = self._cutting_window = None
            self._failed.add(window)
            self._on_cut()

        self._cutting_window = window
        self._host.show_hint(self.busy_hint())
        work_handle = self._host.compute(work, on_done, on_error)
        if self._cutting_window == window:
            self._cutting = work_handle

    def _on_cut(self) -> None:
        if self._way is not None:
            self._take()
        elif self._hover is not None:
            self._light(self._cell_under(self._hover))
            self._host.show_hint(self.hint())

    def _stop_cutting(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
        self._cutting = self._cutting_window = None

    def _forget_drag(self) -> None:
        self._way = None
        self._is_down = False
        self._to_take.clear()
        self._taken = empty_area()
        self._light(empty_area())

    def _light(self, area: Area) -> None:
        if area[0] == self._lit_area[0] and area[1] is self._lit_area[1]:
            return
        self._lit_area = area
        self._lit = AreaPicture([area], glows=True)
        self._host.update_guides()
