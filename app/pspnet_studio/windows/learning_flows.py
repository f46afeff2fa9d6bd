"""The commands about fine-tuning, versions and reviews, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from pspnet_studio.model.learning import Learning
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.settings import Settings
from pspnet_studio.windows.training_flow import ReviewFlow, TrainingFlow
from pspnet_studio.windows.version_flow import VersionFlow

if TYPE_CHECKING:
    from pspnet_studio.windows.main_window import MainWindow

_TOLD_MS = 6_000


class LearningFlows(QObject):
    """Connects the panels and commands about learning to the model.

    Args:
        window: Its panels, canvas and actions.
        session: Project and image.
        training: Fine-tuning.
        learning: What stands around it.
        settings: Remember mode and time.
    """

    def __init__(
        self, window: MainWindow, session: Session, training: Training, learning: Learning, settings: Settings
    ) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        panel, actions, show = window.training_panel, window.actions_by_id, window.message_bar.show_message
        self.training = TrainingFlow(session, training, learning.continuous, panel, actions, show, self._tell)
        self.versions = VersionFlow(
            session, training, learning.comparison, panel.versions, window.compare, actions, window, show
        )
        self.review = ReviewFlow(
            session,
            learning.reviews,
            window.review_dock,
            window.review_panel,
            window.canvas,
            actions["review"],
            show,
            self._tell,
        )
        panel.review_wanted.connect(self.review.open)
        window.review_panel.item_chosen.connect(session.go_to)
        window.review_panel.told.connect(self._tell)
        learning.continuous.ask(lambda: window.canvas.has_work_under_way, lambda: panel.seconds_of("quick"))
        mode = settings.training_mode
        panel.set_length("full", settings.full_training_seconds)
        panel.set_length("quick", settings.training_seconds)
        panel.set_length(mode, panel.seconds_of(mode))
        panel.length_changed.connect(self._on_length_changed)

    def _tell(self, text: str) -> None:
        self._window.status_line.showMessage(text, _TOLD_MS)

    def _on_length_changed(self, mode: str, seconds: int) -> None:
        self._settings.training_mode = mode
        if mode == "full":
            self._settings.full_training_seconds = seconds
        else:
            self._settings.training_seconds = seconds
