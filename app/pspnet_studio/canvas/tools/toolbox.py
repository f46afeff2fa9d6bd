"""All tools of one canvas."""

from __future__ import annotations

from pspnet_studio.canvas.tools.accept_brush import AcceptBrushTool
from pspnet_studio.canvas.tools.accept_region import AcceptRegionTool
from pspnet_studio.canvas.tools.base import Tool, ToolHost
from pspnet_studio.canvas.tools.box import BoxTool
from pspnet_studio.canvas.tools.brush import BrushTool
from pspnet_studio.canvas.tools.fill import FillTool
from pspnet_studio.canvas.tools.grabcut import GrabCutTool
from pspnet_studio.canvas.tools.lasso import LassoTool
from pspnet_studio.canvas.tools.pick import PickTool
from pspnet_studio.canvas.tools.polygon import PolygonTool
from pspnet_studio.canvas.tools.scissors import ScissorsTool
from pspnet_studio.canvas.tools.selection import Selection
from pspnet_studio.canvas.tools.superpixels import SuperpixelTool
from pspnet_studio.canvas.tools.threshold import ThresholdTool
from pspnet_studio.canvas.tools.wand import WandTool


def make_tools(host: ToolHost) -> dict[str, Tool]:
    """One of each, by the ids of :func:`pspnet_studio.model.tool_specs.tool_specs`."""
    selection = Selection()
    return {
        "brush": BrushTool(host),
        "eraser": BrushTool(host, erases=True),
        "polygon": PolygonTool(host),
        "lasso": LassoTool(host),
        "rectangle": BoxTool(host),
        "ellipse": BoxTool(host, is_round=True),
        "fill": FillTool(host),
        "wand": WandTool(host, selection),
        "superpixels": SuperpixelTool(host, selection),
        "scissors": ScissorsTool(host, selection),
        "grabcut": GrabCutTool(host, selection),
        "threshold": ThresholdTool(host, selection),
        "accept_brush": AcceptBrushTool(host),
        "accept_region": AcceptRegionTool(host),
        "pick": PickTool(host),
    }
