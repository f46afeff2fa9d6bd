"""Threshold: selects what is brighter or darker than a level, in a box or in what is selected."""

from __future__ import annotations

from typing import Any

import numpy as np

from pspnet_core.imaging.areas import Area, empty_area, mask_within
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import Rect
from pspnet_studio.canvas.tools.base import ToolHost
from pspnet_studio.canvas.tools.box_selecting import BoxSelectionTool
from pspnet_studio.canvas.tools.selecting import Finder, Mode, Way
from pspnet_studio.canvas.tools.selection import Selection
from pspnet_studio.messages import tr


class ThresholdTool(BoxSelectionTool):
    """Drag a box, or click into the selection: what lies between two levels in there is selected.

    Which levels: those that the option says, or the one that parts dark from bright best (Otsu).
    """

    id = "threshold"

    def __init__(self, host: ToolHost, selection: Selection) -> None:
        self._levels: list[tuple[int, int]] = []  # the last request fills it
        self._is_telling = False
        super().__init__(host, selection)

    def idle_hint(self) -> str:
        return tr("Drag a box: what is bright (or dark) in it is selected.")

    def box_drawn(self, way: Way, box: Rect) -> None:
        within: Area = (box, np.ones((box.h, box.w), np.bool_))
        self.request(way, lambda: self._finder(within))

    def clicked(self, way: Way, point: Point) -> None:
        selected = self._selection.area
        if mask_within(selected, Rect(int(point[0]), int(point[1]), 1, 1)).any():
            self.request(way, lambda: self._finder(selected), empty_area() if way.mode is Mode.REPLACE else None)
        elif not self.is_busy:
            self._host.show_hint(tr("Drag a box, or click into the selection to narrow it."))

    def _finder(self, within: Area) -> Finder:
        document = self._host.document
        assert document is not None, "a request ends with its image"
        rect = within[0]
        read = document.pixels.reader(rect)
        channel: Any = self.option("channel")
        levels: list[tuple[int, int]] = []
        self._levels = levels
        side, low, high = self.option("side"), float(self.option("low")), float(self.option("high"))

        def find() -> Area:
            from pspnet_core.imaging.select import channel_values, otsu_level, threshold

            values = channel_values(read(), channel)
            if side == "range":
                return threshold(values, rect, low, high, within)
            level = otsu_level(values, within[1])
            first, last = (level + 1, 255) if side == "bright" else (0, level)
            levels.append((first, last))
            return threshold(values, rect, first, last, within)

        return find

    def _show(self, area: Area) -> None:
        super()._show(area)
        if self._levels:  # what was found is where a person goes on from
            self._is_telling = True
            first, last = self._levels.pop()
            self._host.tool_state.set_option(self.id, "low", first)
            self._host.tool_state.set_option(self.id, "high", last)
            self._is_telling = False

    def _on_options_changed(self) -> None:
        before, now = self._options, self._option_values()
        if self._is_telling:
            self._options = now
            return
        state = self._host.tool_state
        was_found = state.tool == self.id and now["side"] == before["side"] != "range"
        if was_found and (now["low"], now["high"]) != (before["low"], before["high"]):
            state.set_option(self.id, "side", "range")  # comes back here
        else:
            super()._on_options_changed()
