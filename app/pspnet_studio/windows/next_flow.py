"""Where to go next: the image that is best corrected next, and the place that the prediction doubts most."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence

from pspnet_studio.canvas.spot_ring import SpotRing
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.messages import tr
from pspnet_studio.model.queue import Queue
from pspnet_studio.model.session import Session
from pspnet_studio.model.spots import Spots

if TYPE_CHECKING:
    from pspnet_core.inference.spots import Spot

_SPOT_SHARE = 8  # of the view is one place
_LEAST_ZOOM = 0.5  # device pixels per image pixel at which a place can be judged


class NextFlow(QObject):
    """Moves to the next image or the next place, or says why there is none.

    Args:
        session: Project and image.
        queue: The images.
        canvas: Shows the places.
        next_image: The command, whose keys are told.
        tell: Shows a sentence for a short time.
    """

    def __init__(
        self, session: Session, queue: Queue, canvas: CanvasView, next_image: QAction, tell: Callable[[str], None]
    ) -> None:
        super().__init__(canvas)
        self._session, self._queue, self._canvas = session, queue, canvas
        self._next_image, self._tell = next_image, tell
        self.ring = SpotRing(canvas)
        self.spots = Spots(session, self)
        self.spots.reached.connect(self._on_reached)
        self.spots.told.connect(tell)

    def next_image(self) -> None:
        """Open the image that is best corrected next; what was edited is saved."""
        self._canvas.end_stroke()
        key = self._queue.best(other_than=self._session.current_key)
        if key is not None:
            suggestion = self._queue.suggestion(key)
            self._session.go_to(key)
            if suggestion is not None:
                self._tell(tr("Suggested: {reason}").format(reason=suggestion.text))
        elif not self._queue.is_on:
            self._tell(tr("No image is suggested: switch on Model › Suggest next images."))
        elif self._queue.is_ready:
            self._tell(tr("No image is left to suggest."))
        else:
            self._tell(tr("Nothing is suggested yet: the images are still being looked at."))

    def offer(self) -> None:
        """An image was marked as done: tell how to go on, where there is something to go on with."""
        if self._queue.best(other_than=self._session.current_key) is not None:
            keys = self._next_image.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            self._tell(tr("Done. {keys} opens the next suggested image.").format(keys=keys))

    def next_spot(self) -> None:
        """Look at the place that the prediction doubts most, then at the next one."""
        self._canvas.end_stroke()
        self.spots.next(self._radius_px())

    def previous_spot(self) -> None:
        """Look at the place before."""
        self.spots.previous()

    def _radius_px(self) -> int:
        """Half a place, which is an eighth of what is seen of the image."""
        port = self._canvas.viewport
        scale = max(port.scale, _LEAST_ZOOM)
        seen: float = min(port.view_w / scale, port.view_h / scale, port.image_w, port.image_h)
        return max(1, round(seen / _SPOT_SHARE / 2))

    def _on_reached(self, spot: Spot, radius_px: int) -> None:
        if self._canvas.zoom < _LEAST_ZOOM:
            self._canvas.set_zoom(_LEAST_ZOOM)
        port = self._canvas.viewport
        if port.image_w * port.scale > port.view_w or port.image_h * port.scale > port.view_h:
            self._canvas.look_at(spot.x + 0.5, spot.y + 0.5)
        self.ring.show_at(spot.x + 0.5, spot.y + 0.5, radius_px)
        self._tell(tr("Doubtful spot: {percent} % unsure").format(percent=round(spot.doubt * 100)))
