"""Where in the open image the prediction is least sure: one place after the other, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.types import Prediction
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session

if TYPE_CHECKING:
    from pspnet_core.inference.spots import Spot

_LEAST_DOUBT = 0.02  # mean over a place; edges of regions alone make about as much


class _Ticket(NamedTuple):
    """What spots were found for."""

    document: Document
    prediction: Prediction
    revision: int
    radius_px: int


class Spots(QObject):
    """Goes through the doubtful places of what is shown, be it a version's prediction or the live one.

    Pixels that somebody decided on are not doubted any more; a place that was corrected falls out by itself. After the
    last place it begins again with the worst.

    Args:
        session: Its document.

    Signals:
        reached: Look there: (Spot, radius in image pixels).
        told: There is something to tell instead: a sentence.
    """

    reached = Signal(object, int)
    told = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._ticket: _Ticket | None = None
        self._spots: list[Spot] = []
        self._trail: list[Spot] = []  # where somebody was
        self._at = -1  # in the trail
        self._work: JobHandle | None = None
        session.document_changed.connect(self._on_document_changed)

    def next(self, radius_px: int) -> None:
        """Go to the worst place that was not looked at yet.

        Args:
            radius_px: Of a place, in image pixels.
        """
        document = self._session.document
        if document is None:
            return
        if document.prediction is None:
            self.told.emit(tr("There is no prediction to doubt yet."))
            return
        ticket = _Ticket(document, document.prediction, document.revision, max(1, radius_px))
        if self._is_same(ticket):
            self._go_on()
        elif self._work is None:
            self._find(ticket)

    def previous(self) -> None:
        """Go back to the place before."""
        if self._at <= 0:
            self.told.emit(tr("There is no doubtful spot before this one."))
            return
        self._at -= 1
        self._reach(self._trail[self._at])

    # --- inside

    def _on_document_changed(self) -> None:
        if self._work is not None:
            self._work.cancel()
            self._work = None
        self._ticket, self._spots = None, []
        self._trail, self._at = [], -1

    def _is_same(self, ticket: _Ticket) -> bool:
        known = self._ticket
        return (
            known is not None
            and known.document is ticket.document
            and known.prediction is ticket.prediction
            and known[2:] == ticket[2:]
        )

    def _find(self, ticket: _Ticket) -> None:
        document, prediction, _, radius_px = ticket
        provenance = document.committed_snapshot()[1]

        def find() -> list[Spot]:
            from pspnet_core.inference.spots import doubtful_spots

            return doubtful_spots(prediction.confidence, provenance, radius_px)

        def on_done(spots: list[Spot]) -> None:
            self._work = None
            if document is not self._session.document:
                return
            if document.prediction is not prediction or document.revision != ticket.revision:
                self.next(radius_px)  # the image was changed meanwhile
                return
            self._ticket, self._spots = ticket, [spot for spot in spots if spot.doubt >= _LEAST_DOUBT]
            self._go_on()

        def on_error(error: PspnetError) -> None:
            self._work = None
            self.told.emit(str(error))

        self._work = self._session.runner.call(
            Lane.TOOL,
            find,
            name=tr("looking for doubtful spots"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=on_error,
        )

    def _go_on(self) -> None:
        if not self._spots:
            self.told.emit(tr("Nothing left to doubt."))
            return
        ahead = range(self._at + 1, len(self._trail))
        again = next((n for n in ahead if self._is_near(self._trail[n], self._spots)), None)
        if again is not None:  # somebody went back before
            self._at = again
        else:
            fresh = next((spot for spot in self._spots if not self._is_near(spot, self._trail)), None)
            if fresh is None:
                self.told.emit(tr("That was the last doubtful spot: here is the worst one again."))
                self._trail, fresh = [], self._spots[0]
            self._trail.append(fresh)
            self._at = len(self._trail) - 1
        self._reach(self._trail[self._at])

    def _is_near(self, spot: Spot, others: list[Spot]) -> bool:
        assert self._ticket is not None
        reach = self._ticket.radius_px
        return any(max(abs(spot.x - other.x), abs(spot.y - other.y)) <= reach for other in others)

    def _reach(self, spot: Spot) -> None:
        assert self._ticket is not None
        self.reached.emit(spot, self._ticket.radius_px)
