"""Keeps others from changing the open image, and this window from changing what others have open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.locks import BEAT_S, Holder, StaleWatch
from pspnet_core.project.records import Notice
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr

if TYPE_CHECKING:
    from pspnet_core.project.project import Project
    from pspnet_studio.model.document import Document
    from pspnet_studio.model.session import Session

_LOOK_MS = 2_000


class EditLocks(QObject):
    """The lock of the open image: held, or waited for while the image is read only.

    Args:
        session: Its parent, whose loading takes the locks.

    Attributes:
        can_take_over: Whether the holder of the open image's lock was not heard of for long.

    Signals:
        changed: :attr:`can_take_over`, or whether the open image is read only, may be another.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._project: Project | None = None
        self._document: Document | None = None
        self._holder: Holder | None = None
        self._watch = StaleWatch()
        self.can_take_over = False
        self._look_timer, self._beat_timer = QTimer(self), QTimer(self)
        self._look_timer.setInterval(_LOOK_MS)
        self._look_timer.timeout.connect(self._look)
        self._beat_timer.setInterval(round(BEAT_S * 1000))
        self._beat_timer.timeout.connect(self._beat)
        session.project_changed.connect(self._on_project_changed)
        session.document_changed.connect(self._on_document_changed)
        session.autosave.item_saved.connect(self._on_saved)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_quit)

    def take_over(self) -> None:
        """Take the lock of the open image away from who was not heard of for long, and open it to be changed."""
        project, document, holder = self._project, self._document, self._holder
        if project is None or document is None or holder is None or not self.can_take_over:
            return
        self._session.runner.call(
            Lane.IO,
            lambda: project.locks.take_over(document.item_key, holder),
            name=tr("taking over an image"),
            priority=Priority.OPEN,
            on_done=lambda other: self._on_looked(document, other, has_taken=True),
            on_error=self._session.notice.emit,
        )

    # --- inside

    def _on_project_changed(self) -> None:
        before, self._project = self._project, self._session.project
        if before is not None and before is not self._project:
            unsaved = self._session.autosave.unsaved_keys()
            self._call(lambda: before.locks.release_others(unsaved))
        if self._project is None:
            self._beat_timer.stop()
        else:
            self._beat_timer.start()

    def _on_document_changed(self) -> None:
        document, project = self._session.document, self._session.project
        if document is self._document:
            return
        self._document, self._holder, self.can_take_over = document, None, False
        self._look_timer.stop()
        if document is not None and project is not None:
            holder = project.locks.refused(document.item_key)
            if holder is not None:
                self._wait_for(document, holder)
        self._release()
        self.changed.emit()

    def _on_saved(self, key: str) -> None:
        document, project = self._document, self._project
        if project is not None and document is not None and document.item_key == key and not document.is_read_only:
            self._call(lambda: project.locks.acquire(key))  # of a new project there was no folder when it was opened
        self._release()

    def _wait_for(self, document: Document, holder: Holder) -> None:
        self._holder, self._watch = holder, StaleWatch()
        document.set_read_only(True)
        document.refused.connect(self._tell)
        self._look_timer.start()
        self._tell()

    def _tell(self) -> None:
        if self._document is None or self._holder is None:
            return
        title = tr("{name} is being changed by {who}.").format(name=self._document.item_key, who=self._holder)
        remedy = tr("It can be changed here as soon as it is closed there.")
        if self.can_take_over:
            title = tr("{name} is locked by {who}, who was not heard of for a while.").format(
                name=self._document.item_key, who=self._holder
            )
            remedy = tr("Image › Take over the lock opens it for changes here.")
        self._session.notice.emit(Notice(title, tr("It is shown as it is on disk and is read only."), remedy))

    def _look(self) -> None:
        project, document = self._project, self._document
        if project is None or document is None:
            return
        self._session.runner.call(
            Lane.IO,
            lambda: project.locks.holder(document.item_key),
            name=tr("looking at a lock"),
            priority=Priority.TIDY,
            on_done=lambda other: self._on_looked(document, other),
        )

    def _on_looked(self, document: Document, other: Holder | None, has_taken: bool = False) -> None:
        if document is not self._document or self._holder is None:
            return
        if other is not None:
            self._holder = other
            is_stale = self._watch.is_stale(other)
            if is_stale != self.can_take_over:
                self.can_take_over = is_stale
                self._tell()
                self.changed.emit()
            return
        if document.item_key in self._session.autosave.unsaved_keys() and not has_taken:
            return  # what is known here is older than what was done there
        self._look_timer.stop()
        self._session.notice.emit(
            Notice(tr("{name} can be changed here now.").format(name=document.item_key), tr("It was read again."))
        )
        self._session.read_again()

    def _beat(self) -> None:
        project = self._project
        if project is None:
            return
        self._session.runner.call(
            Lane.JOURNAL,
            project.locks.beat,
            name=tr("keeping a lock"),
            priority=Priority.SAVE,
            on_done=lambda lost: self._on_lost(project, lost),
        )

    def _on_lost(self, project: Project, lost: list[str]) -> None:
        document = self._document
        if project is not self._project or document is None or document.item_key not in lost:
            return
        self._session.document_leaving.emit()  # a stroke under way ends here
        self._holder = Holder("", "", b"")
        self._session.notice.emit(
            PspnetError(
                tr("{name} was taken over by another window.").format(name=document.item_key),
                tr("It had not heard of this one for a while. What was painted here and not saved is in the journal."),
                tr("Open the image again to see it as it is there."),
            )
        )
        document.set_read_only(True)
        self._look_timer.start()
        self.changed.emit()

    def _release(self) -> None:
        """Let go what is neither open, nor being opened, nor unsaved."""
        project, session = self._project, self._session
        if project is None:
            return
        kept = session.autosave.unsaved_keys() | ({self._document.item_key} if self._document is not None else set())
        self._call(lambda: project.locks.release_others(kept | {session.current_key or ""}))

    def _call(self, function: object) -> None:
        assert callable(function)
        self._session.runner.call(Lane.JOURNAL, function, name=tr("releasing locks"), priority=Priority.TIDY)

    def _on_quit(self) -> None:
        if self._project is not None:
            self._project.locks.release_others(set())
