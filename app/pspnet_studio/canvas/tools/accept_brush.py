"""Accept brush: takes over the prediction where one strokes."""

from __future__ import annotations

from pspnet_core.imaging.runs import Runs
from pspnet_studio.canvas.tools.base import ToolHost
from pspnet_studio.canvas.tools.brush import BrushTool
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document

_NUM_BANDS = 4
"""The crescent by which a large brush moves on is dealt with in this many parts: its box is mostly empty."""


def no_prediction_hint() -> str:
    """What has to be done before a prediction can be accepted."""
    return tr("There is no prediction of this image yet: fine-tune, then accept.")


class AcceptBrushTool(BrushTool):
    """Accepts the prediction under the brush; the secondary button gives accepted pixels back to it.

    What was painted, erased or imported stays as it is.
    """

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._id = "accept_brush"
        self.paints_class = False
        self._rejects = False

    def hint(self) -> str:
        document = self._host.document
        if document is not None and document.prediction is None:
            return no_prediction_hint()
        return tr("Drag to accept the prediction, right button takes that back. Shift-click goes in a straight line.")

    def _start(self, document: Document, erases: bool) -> str:
        if document.prediction is None and not erases:
            self._host.show_hint(no_prediction_hint())
            return ""
        self._rejects = erases
        return "reject" if erases else "accept"

    def _put(self, document: Document, runs: Runs) -> None:
        for band in runs.bands(_NUM_BANDS):
            rect, mask = runs.within(band).to_area()
            if self._rejects:
                document.reject(rect, mask)
            elif document.prediction is not None:
                document.accept(rect, mask)
