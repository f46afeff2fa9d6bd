"""Notices what other programs do in the project's folders; looks when the window comes to the front."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication

from pspnet_core.errors import PspnetError
from pspnet_core.project.mask_versions import MaskChangedError
from pspnet_core.project.records import Notice
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr

if TYPE_CHECKING:
    from pspnet_core.project.project import Project
    from pspnet_studio.model.session import Session

_LEAST_S = 2.0
"""The folders are not looked at more often."""


class FolderWatch(QObject):
    """Reads the folders again when something in them changed, and the mask of the open image.

    Nothing is watched all the time: 100,000 images lie in some thousand folders, and to ask each when it was changed
    takes milliseconds, while most systems watch no more than some thousand.

    Args:
        session: Its parent.

    Signals:
        mask_changed: Another program has written the mask of the item with this key, and it was changed here, too: a
            person has to say which one stays (:meth:`keep_ours`, :meth:`take_theirs`).
    """

    mask_changed = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._last_s = 0.0
        self._asked: set[str] = set()  # a question is open
        self._put_off: set[str] = set()
        self._told: set[Notice] = set()  # of the project
        session.project_changed.connect(self._on_project_changed)
        session.items_changed.connect(self._on_items_changed)
        session.document_changed.connect(self._on_document_changed)
        session.autosave.failed.connect(self._on_failed)
        application = QCoreApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._on_state_changed)

    def look(self) -> None:
        """Look now whether something changed, in the background; says something only when it did."""
        project, session = self._session.project, self._session
        if project is None:
            return
        self._last_s = time.monotonic()
        self._put_off.clear()
        document = session.document
        key = document.item_key if document is not None and not document.is_read_only else None
        session.runner.call(
            Lane.IO,
            lambda: (project.is_outdated(), key is not None and project.masks.has_changed(key)),
            name=tr("looking at the folder"),
            priority=Priority.TIDY,
            on_done=lambda found: self._on_looked(project, key, *found),
        )

    def keep_ours(self, key: str) -> None:
        """What was painted here is to stay; the file of the other program becomes a backup."""
        self._asked.discard(key)
        project = self._session.project
        if project is None:
            return

        def accept() -> None:
            project.backups.keep_mask(key, is_forced=True)
            project.masks.note(key)

        self._session.runner.call(
            Lane.IO,
            accept,
            name=tr("keeping a backup"),
            priority=Priority.SAVE,
            on_done=lambda _: self._session.autosave.flush(),
            on_error=self._session.notice.emit,
        )

    def take_theirs(self, key: str) -> None:
        """The file of the other program is to stay; what was painted here and not saved goes."""
        self._asked.discard(key)
        project, document = self._session.project, self._session.document
        if project is None:
            return
        self._session.autosave.drop(project, key)
        if document is not None and document.item_key == key:
            self._session.read_again()
        else:
            self._session.histories.drop(key)

    def decide_later(self, key: str) -> None:
        """Nothing is written until it is decided: it is asked again when the window comes to the front."""
        self._asked.discard(key)
        self._put_off.add(key)

    # --- inside

    def _on_state_changed(self, state: Qt.ApplicationState) -> None:
        if state is Qt.ApplicationState.ApplicationActive and time.monotonic() - self._last_s > _LEAST_S:
            self.look()

    def _on_project_changed(self) -> None:
        project = self._session.project
        self._told = set(project.notices) if project is not None else set()  # who opens it tells them
        self._asked.clear()
        self._put_off.clear()
        self._last_s = time.monotonic()
        if project is None or not project.pages.num_unknown:
            return
        self._session.runner.submit(
            Lane.IO,
            project.pages.look,
            name=tr("counting pages"),
            priority=Priority.TIDY,
            on_done=lambda _: self._rescan(project),
        )

    def _on_items_changed(self) -> None:
        """Tell what is to be told since the folders were read again: for instance that labelled images have gone."""
        notices = self._session.project.notices if self._session.project is not None else ()
        for notice in notices:
            if notice not in self._told:
                self._session.notice.emit(notice)
        self._told = set(notices)

    def _on_document_changed(self) -> None:
        project, document = self._session.project, self._session.document
        if project is not None:
            kept = {self._session.current_key or "", document.item_key if document is not None else ""}
            project.masks.forget_others(kept | self._session.autosave.unsaved_keys())

    def _on_looked(self, project: Project, key: str | None, is_outdated: bool, is_mask_changed: bool) -> None:
        if project is not self._session.project:
            return
        if is_outdated:
            self._rescan(project)
        document = self._session.document
        if not is_mask_changed or document is None or document.item_key != key:
            return
        if self._session.autosave.state != "saved" or document.is_editing:
            self._ask(document.item_key)
            return
        self._session.notice.emit(
            Notice(
                tr("The mask of {name} was changed by another program.").format(name=key),
                tr("It was read again, and is shown as it is now."),
            )
        )
        self._session.read_again()

    def _rescan(self, project: Project) -> None:
        if project is self._session.project:
            self._session.rescan(is_quiet=True)

    def _on_failed(self, error: PspnetError) -> None:
        if isinstance(error, MaskChangedError):
            self._ask(error.key)

    def _ask(self, key: str) -> None:
        if key not in self._asked | self._put_off:
            self._asked.add(key)
            self.mask_changed.emit(key)
