"""All tools of one canvas."""

from __future__ import annotations

from pspnet_studio.canvas.tools.base import Tool, ToolHost
from pspnet_studio.canvas.tools.brush import BrushTool
from pspnet_studio.canvas.tools.polygon import PolygonTool


def make_tools(host: ToolHost) -> dict[str, Tool]:
    """One of each, by the ids of :func:`pspnet_studio.model.tool_specs.tool_specs`."""
    return {
        "brush": BrushTool(host),
        "eraser": BrushTool(host, erases=True),
        "polygon": PolygonTool(host),
    }
