"""Pick class: go on with the class under the pointer."""

from __future__ import annotations

import math

from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.tools.base import Pointer, Tool
from pspnet_studio.messages import tr


class PickTool(Tool):
    """Makes the class that is shown under a click, also by the prediction, the current one.

    Then, unless its option says otherwise, the tool of before is taken up again.
    """

    paints_class = False

    def hint(self) -> str:
        return tr("Click to paint with the class under the pointer.")

    def release(self, pointer: Pointer) -> None:
        document, tools = self._host.document, self._host.tool_state
        if document is None or pointer.erase:
            return
        place = Rect(math.floor(pointer.x), math.floor(pointer.y), 1, 1).intersect(document.rect)
        if place.is_empty:
            return
        class_id = int(document.displayed(place)[0][0, 0])
        if class_id == UNLABELLED:
            self._host.show_hint(tr("There is no class here."))
            return
        tools.set_class_id(class_id)
        if tools.option("pick", "returns"):
            tools.set_tool(tools.previous_tool)
