"""The commands about what lies in the project's folder, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from pspnet_studio.dialogs.leave import ask_whose_mask
from pspnet_studio.model.session import Session
from pspnet_studio.windows.restore_flow import RestoreFlow

if TYPE_CHECKING:
    from pspnet_studio.windows.main_window import MainWindow


_TOLD_MS = 4_000


class ProjectFlows(QObject):
    """Connects the commands to the model and keeps them enabled or not.

    Args:
        window: Its actions.
        session: Project and image.
        ask_whose_mask: The question which of two masks stays; tests answer it themselves.
    """

    def __init__(
        self,
        window: MainWindow,
        session: Session,
        ask_whose_mask: Callable[[QWidget, str], bool | None] = ask_whose_mask,
    ) -> None:
        super().__init__(window)
        self._actions, self._session, self._window = window.actions_by_id, session, window
        self.ask_whose_mask = ask_whose_mask
        session.folder_watch.mask_changed.connect(self._on_mask_changed)
        self._actions["take_over"].triggered.connect(lambda: session.edit_locks.take_over())
        self.restore_flow = RestoreFlow(session, window, window.message_bar.show_message, self._tell)
        self._actions["restore"].triggered.connect(lambda: self.restore_flow.ask())
        session.edit_locks.changed.connect(self._update)
        session.project_changed.connect(self._update)
        self._update()

    def _on_mask_changed(self, key: str) -> None:
        answer = self.ask_whose_mask(self._window, key)
        if answer is None:
            self._session.folder_watch.decide_later(key)
        else:
            (self._session.folder_watch.keep_ours if answer else self._session.folder_watch.take_theirs)(key)

    def _tell(self, text: str) -> None:
        self._window.status_line.showMessage(text, _TOLD_MS)

    def _update(self) -> None:
        self._actions["restore"].setEnabled(self._session.project is not None)
        self._actions["take_over"].setEnabled(self._session.edit_locks.can_take_over)
