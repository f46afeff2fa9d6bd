"""Nothing that runs is thrown away unasked."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from pspnet_studio.dialogs.leave import TrainingChoice, ask_about_training
from pspnet_studio.messages import tr
from pspnet_studio.model.training import Training


class TrainingGuard(QObject):
    """Runs an action that would end a fine-tune only after the person decided about the fine-tune.

    Args:
        training: The fine-tune that is looked after.
        parent: Window over which the question is asked.
        ask: The question; tests answer it themselves.

    Signals:
        waiting: What is waited for, in words; empty when nothing is.
    """

    waiting = Signal(str)

    def __init__(
        self,
        training: Training,
        parent: QWidget,
        ask: Callable[[QWidget, str], TrainingChoice] = ask_about_training,
    ) -> None:
        super().__init__(parent)
        self._training = training
        self._window = parent
        self._ask = ask
        self._pending: Callable[[], None] | None = None
        training.ended.connect(self._on_ended)

    def run(self, purpose: str, action: Callable[[], None]) -> None:
        """Do ``action`` now, or after the running fine-tune ended as the person wishes, or not at all."""
        if not self._training.is_running:
            action()
            return
        choice = self._ask(self._window, purpose)
        if choice is TrainingChoice.STAY:
            self._pending = None
            self.waiting.emit("")
            return
        if not self._training.is_running:  # it ended while the question was open
            action()
            return
        self._pending = action
        self._training.drop_waiting()
        if choice is TrainingChoice.WAIT:
            self.waiting.emit(tr("Waiting for the fine-tune to end before {purpose}.").format(purpose=purpose))
            self._training.set_paused(False)  # or it would never end
        elif choice is TrainingChoice.KEEP:
            self.waiting.emit(tr("Keeping what was learned before {purpose}.").format(purpose=purpose))
            self._training.finish_early()
        else:
            self._training.cancel()

    def _on_ended(self, _: object) -> None:
        action, self._pending = self._pending, None
        self.waiting.emit("")
        if action is not None:
            action()
