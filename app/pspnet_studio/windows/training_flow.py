"""Fine-tuning by menu, key and button: start, rest, end, by itself; and from a review to the pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget

from pspnet_core.imaging.areas import Area
from pspnet_core.training.review_events import Place
from pspnet_studio.canvas.spot_ring import SpotRing
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.model.continuous import Continuous
from pspnet_studio.model.review import Reviews
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.panels.review import ReviewPanel
from pspnet_studio.panels.training import TrainingPanel

_VIEW_SHARE = 3.0  # of a place that is looked at, so much is seen of the image in each direction
_MOST_ZOOM = 4.0
_LEAST_RADIUS_PX = 12.0
_MARKED_MS = 6_000


class TrainingFlow(QObject):
    """Commands about fine-tuning.

    Args:
        session: Its project.
        training: Is told.
        continuous: Is told, too, and tells when it starts one.
        panel: Knows mode and time.
        actions: By id.
        show: Shows an error, a notice or a sentence that stays.
        tell: Shows a sentence for a short time.
    """

    def __init__(
        self,
        session: Session,
        training: Training,
        continuous: Continuous,
        panel: TrainingPanel,
        actions: dict[str, QAction],
        show: Callable[[object], None],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(panel)
        self._session, self._training, self._continuous, self._panel = session, training, continuous, panel
        self._actions, self._show = actions, show
        functions: dict[str, Callable[[], None]] = {
            "fine_tune": self.start,
            "pause_training": lambda: training.set_paused(not training.is_paused),
            "stop_training": training.finish_early,
            "cancel_training": training.cancel,
            "continuous_training": lambda: continuous.set_on(not continuous.is_on),
        }
        for action_id, function in functions.items():
            actions[action_id].triggered.connect(lambda _=False, function=function: function())
        for signal in (training.started, training.ended, training.paused_changed, training.waiting_changed):
            signal.connect(self.update_enabled)
        training.progressed.connect(self._on_progressed)
        for other in (session.project_changed, continuous.changed):
            other.connect(self.update_enabled)
        continuous.started.connect(lambda count: tell(_started_text(count)))
        self.update_enabled()

    def start(self) -> None:
        """Fine-tune with the chosen mode and time, or once more after the one that runs; or say why not."""
        can_start, reason = self._training.can_start()
        if can_start or self._training.is_running:
            self._panel.press_start()
        else:
            self._show(reason)

    def update_enabled(self, *_: object) -> None:
        """Bring the commands in line with what is possible now."""
        training, has_project = self._training, self._session.project is not None
        enabled = {
            "fine_tune": has_project and (not training.is_running or training.waiting is None),
            "pause_training": training.is_running,
            "stop_training": training.is_running,
            "cancel_training": training.is_running,
            "continuous_training": has_project,
        }
        for action_id, is_enabled in enabled.items():
            self._actions[action_id].setEnabled(is_enabled)
        self._actions["pause_training"].setChecked(training.is_paused)
        self._actions["continuous_training"].setChecked(self._continuous.is_on)

    def _on_progressed(self, _: object) -> None:
        if not self._actions["pause_training"].isEnabled():
            self.update_enabled()


class ReviewFlow(QObject):
    """Shows the review, and the pixels that are behind its numbers.

    Args:
        session: Its document.
        reviews: Makes it.
        dock: Holds the panel.
        panel: Shows it.
        canvas: Shows the pixels.
        action: The command.
        show: Shows an error.
        tell: Shows a sentence for a short time.
    """

    def __init__(
        self,
        session: Session,
        reviews: Reviews,
        dock: QDockWidget,
        panel: ReviewPanel,
        canvas: CanvasView,
        action: QAction,
        show: Callable[[object], None],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(canvas)
        self._reviews, self._dock, self._panel = reviews, dock, panel
        self._canvas, self._action = canvas, action
        self._has_mark = False
        self._mark_timer = QTimer(self, singleShot=True, interval=_MARKED_MS)
        self._mark_timer.timeout.connect(self._unmark)
        self.ring = SpotRing(canvas)
        action.triggered.connect(lambda: self.open())
        reviews.changed.connect(self._on_changed)
        reviews.failed.connect(show)
        reviews.told.connect(tell)
        reviews.reached.connect(self._on_reached)
        reviews.marked.connect(self._on_marked)
        session.document_changed.connect(self._unmark)
        self._on_changed()

    def open(self) -> None:
        """Bring the review into sight, and make it anew where there is none, or an outdated one."""
        self._dock.show()
        self._dock.raise_()
        if self._reviews.result is None or self._reviews.outdated:
            self._reviews.start()

    def _on_changed(self) -> None:
        self._action.setEnabled(self._reviews.version is not None)

    def _on_marked(self, area: Area) -> None:
        """Hatch the pixels for a while."""
        self._has_mark = True
        self._canvas.set_preview([area])
        self._mark_timer.start()

    def _unmark(self) -> None:
        self._mark_timer.stop()
        if self._has_mark:
            self._has_mark = False
            self._canvas.set_preview([])

    def _on_reached(self, place: Place) -> None:
        """Look at its middle so that a disc of its area fills a third of the view, and mark it."""
        self._canvas.end_stroke()
        self._unmark()
        port = self._canvas.viewport
        radius = max(_LEAST_RADIUS_PX, math.sqrt(place.area_px / math.pi))
        wanted = min(port.view_w, port.view_h) / (_VIEW_SHARE * 2 * radius)
        if wanted <= min(port.view_w / port.image_w, port.view_h / port.image_h):
            self._canvas.fit()
        else:
            self._canvas.set_zoom(min(wanted, _MOST_ZOOM))
            self._canvas.look_at(place.x + 0.5, place.y + 0.5)
        self.ring.show_at(place.x + 0.5, place.y + 0.5, radius)
        self._panel.take_focus_back()


def _started_text(count: int) -> str:
    one, many = (
        tr("A fine-tune began by itself: 1 image was corrected."),
        tr("A fine-tune began by itself: {count} images were corrected."),
    )
    return tr_count(one, many, count)
