"""Points and outlines that find the edges of the image, for tools with the options ``snap`` and ``reach``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pspnet_core.imaging.outlines import snapped_outline
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import Rect, RgbImage
from pspnet_studio.canvas.tools.base import ToolHost
from pspnet_studio.model.document import Document

_MAX_REACH_PX = 48.0  # image pixels, however small the image is shown
_MARGIN_PX = 6


def snapped_point(host: ToolHost, tool: str, point: Point) -> Point:
    """The point on the edge near to ``point``, if the tool is to snap and there is one."""
    document = host.document
    if document is None or not host.tool_state.option(tool, "snap"):
        return point
    from pspnet_core.imaging.snap import snap_point  # OpenCV: not before somebody snaps

    reach = _reach_px(host, tool)
    side = 2 * math.ceil(reach + _MARGIN_PX)
    rect = Rect(math.floor(point[0]) - side // 2, math.floor(point[1]) - side // 2, side, side)
    rect = rect.intersect(document.rect)
    pixels = None if rect.is_empty else document.pixels.read(rect)
    return point if pixels is None else snap_point(pixels, rect, point, reach)


def snapped_path(host: ToolHost, tool: str, document: Document, points: Sequence[Point]) -> Sequence[Point]:
    """A closed path on the edges along it, if the tool is to snap."""
    if not host.tool_state.option(tool, "snap"):
        return points

    def read(rect: Rect) -> RgbImage:
        pixels = document.pixels.read(rect)
        return np.zeros((rect.h, rect.w, 3), np.uint8) if pixels is None else pixels  # not there yet: no edges

    return snapped_outline(read, (document.rect.h, document.rect.w), points, _reach_px(host, tool))


def _reach_px(host: ToolHost, tool: str) -> float:
    """How far a point may move, in image pixels: as the hand aims, by what it sees on the screen."""
    reach = float(host.tool_state.option(tool, "reach"))
    return min(_MAX_REACH_PX, reach * host.pixel_ratio / host.viewport.scale)
