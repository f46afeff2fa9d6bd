"""Accept region: a click takes over one connected region of the prediction."""

from __future__ import annotations

import math
from typing import NamedTuple

from PySide6.QtGui import QPainter

from pspnet_core.errors import SelectionError
from pspnet_core.imaging.areas import Area, pixel_under
from pspnet_core.types import UNLABELLED, BoolMask, Prediction, Provenance, Rect
from pspnet_studio.canvas.area_picture import AreaPicture
from pspnet_studio.canvas.tools.accept_brush import no_prediction_hint
from pspnet_studio.canvas.tools.base import Pointer, Tool, ToolHost
from pspnet_studio.canvas.tools.fill import MAX_PIXELS, too_large_hint
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document

# Plain numbers: numpy compares an array with a member of an IntEnum ten times as slowly.
_UNTOUCHED, _ACCEPTED = int(Provenance.UNTOUCHED), int(Provenance.ACCEPTED)

_MAX_LIT_PIXELS = 1 << 20  # found in the time between two frames


class AcceptRegionTool(Tool):
    """Accepts the connected region of one class of the prediction under the click, as one step.

    The region lights up under the pointer. It ends where something of the person's own lies over the prediction. The
    secondary button gives a connected region of accepted pixels of one class back to the prediction.
    """

    paints_class = False

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._lit: list[Area] = []
        self._picture = AreaPicture([])
        self._lit_for: tuple[Document, int, Prediction | None] | None = None
        self._too_large: _Found | None = None  # what was under the pointer when there was too much to be lit

    def hint(self) -> str:
        document = self._host.document
        if document is not None and document.prediction is None:
            return no_prediction_hint()
        return tr("Click a region of the prediction to accept it, right button takes an accepted one back.")

    def press(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing:
            return
        if document.prediction is None and not pointer.erase:
            self._host.show_hint(no_prediction_hint())
            return
        found = _under(document, pointer)
        if found is None:
            return
        if found.provenance != (_ACCEPTED if pointer.erase else _UNTOUCHED):
            self._host.show_hint(_why_not(found.provenance, pointer.erase))
            return
        try:
            areas = _region(document, pointer, found, MAX_PIXELS)
        except SelectionError:
            self._host.show_hint(too_large_hint())
            return
        document.begin_edit("reject" if pointer.erase else "accept")
        for area in areas:
            (document.reject if pointer.erase else document.accept)(*area)
        document.commit_edit()
        self.move(pointer)

    def move(self, pointer: Pointer) -> None:
        document = self._host.document
        if document is None or document.is_editing or self._is_lit(document, pointer):
            return
        found = _under(document, pointer)
        areas: list[Area] = []
        if found is None or found.provenance not in (_UNTOUCHED, _ACCEPTED) or found.class_id == UNLABELLED:
            self._too_large = None
        elif found != self._too_large:
            try:
                areas, self._too_large = _region(document, pointer, found, _MAX_LIT_PIXELS), None
            except SelectionError:
                self._too_large = found  # a click takes its time to find it, a glance does not
        self._light(document, areas)

    def leave(self) -> None:
        self._too_large = None
        self._light(None, [])

    def reset(self) -> None:
        self.leave()

    def guide_rect(self) -> Rect:
        return self._picture.device_rect(self._host.viewport, self._host.pixel_ratio)

    def paint_guides(self, painter: QPainter) -> None:
        self._picture.paint(painter, self._host.viewport, self._host.pixel_ratio)

    def _is_lit(self, document: Document, pointer: Pointer) -> bool:
        """Whether what is lit is what a pointer there would light."""
        if self._lit_for is None or self._lit_for != (document, document.revision, document.prediction):
            return False
        for rect, mask in self._lit:
            at = pixel_under((pointer.x, pointer.y), rect)
            if at is not None and mask[at]:
                return True
        return False

    def _light(self, document: Document | None, areas: list[Area]) -> None:
        if areas or self._lit:
            self._lit, self._picture = areas, AreaPicture(areas, glows=True)
            self._host.update_guides()
        self._lit_for = None if document is None else (document, document.revision, document.prediction)


class _Found(NamedTuple):
    """What is shown at a pixel, and where it comes from."""

    class_id: int
    provenance: int


def _under(document: Document, pointer: Pointer) -> _Found | None:
    """What is under the pointer; None outside of the image."""
    place = Rect(math.floor(pointer.x), math.floor(pointer.y), 1, 1).intersect(document.rect)
    if place.is_empty:
        return None
    shown, provenance = document.displayed(place)[0], document.provenance_plane.read(place)
    return _Found(int(shown[0, 0]), int(provenance[0, 0]))


def _region(document: Document, pointer: Pointer, found: _Found, max_pixels: int) -> list[Area]:
    """The connected pixels, also over corners, that show the same class from the same source.

    Raises:
        SelectionError: There are more than ``max_pixels``.
    """
    from pspnet_core.imaging.flood import connected_tiles  # OpenCV: not before it is needed

    def matches(rect: Rect) -> BoolMask:
        same: BoolMask = document.displayed(rect)[0] == found.class_id
        same &= document.provenance_plane.read(rect) == found.provenance
        return same

    shape = document.class_plane.shape
    return connected_tiles(matches, (pointer.x, pointer.y), shape, max_pixels=max_pixels, connectivity=8)


def _why_not(provenance: int, rejects: bool) -> str:
    if rejects:
        return tr("There is nothing accepted here that could be taken back.")
    if provenance == _ACCEPTED:
        return tr("This is accepted already; a right-click takes it back.")
    return tr("This is your own, not the prediction's.")
