"""The commands about what lies in the project's folder, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from pspnet_studio.model.session import Session

if TYPE_CHECKING:
    from pspnet_studio.windows.main_window import MainWindow


class ProjectFlows(QObject):
    """Connects the commands to the model and keeps them enabled or not.

    Args:
        window: Its actions.
        session: Project and image.
    """

    def __init__(self, window: MainWindow, session: Session) -> None:
        super().__init__(window)
        self._actions, self._session = window.actions_by_id, session
        self._actions["take_over"].triggered.connect(lambda: session.edit_locks.take_over())
        session.edit_locks.changed.connect(self._update)
        session.project_changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        self._actions["take_over"].setEnabled(self._session.edit_locks.can_take_over)
