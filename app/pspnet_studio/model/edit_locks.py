"""Keeps others from changing the open image, and this window from changing what others have open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.lock_file import Holder
from pspnet_core.project.locks import BEAT_S, ItemLockedError, StaleWatch
from pspnet_core.project.mask_versions import MaskChangedError
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

    It is taken when the image is opened, or with the first edit in a folder where nothing was saved yet. Where it was
    lost, or refused after something was painted, what was painted is kept, and goes on when the lock is free; if the
    mask was changed there, a person chooses (``FolderWatch.mask_changed``).

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
        self._is_claimed = self._is_kept = self._is_asked = False  # for the open image
        self.can_take_over = False
        self._look_timer, self._beat_timer = QTimer(self), QTimer(self)
        self._look_timer.setInterval(_LOOK_MS)
        self._look_timer.timeout.connect(self._look)
        self._beat_timer.setInterval(round(BEAT_S * 1000))
        self._beat_timer.timeout.connect(self._beat)
        session.project_changed.connect(self._on_project_changed)
        session.document_changed.connect(self._on_document_changed)
        session.autosave.item_saved.connect(self._release)
        session.autosave.failed.connect(self._on_failed)
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
            on_done=lambda other: self._on_looked(document, other),
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
        self._is_claimed = self._is_kept = self._is_asked = False
        self._look_timer.stop()
        if document is not None and project is not None:
            document.edited.connect(self._claim)
            document.refused.connect(self._tell)
            holder = project.locks.refused(document.item_key)
            if holder is not None:
                self._wait_for(document, holder)
                self._tell()
        self._release()
        self.changed.emit()

    def _claim(self) -> None:
        """Have the lock from the first edit on, where nothing was there before to make it in."""
        project, document = self._project, self._document
        if project is None or document is None or self._is_claimed:
            return
        self._is_claimed, key = True, document.item_key

        def claim() -> Holder | None:
            project.save_if_new()
            return project.locks.acquire(key)

        def on_error(_: PspnetError) -> None:  # the save that follows meets the same, and tells it
            self._is_claimed = document is not self._document

        self._session.runner.call(
            Lane.IO,
            claim,
            name=tr("locking an image"),
            priority=Priority.SAVE,
            on_done=lambda other: self._on_claimed(document, other),
            on_error=on_error,
        )

    def _on_claimed(self, document: Document, other: Holder | None) -> None:
        if document is not self._document:
            self._release()
        elif other is not None:
            self._keep(document, other)

    def _on_failed(self, error: PspnetError) -> None:
        document = self._document
        if document is not None and isinstance(error, ItemLockedError) and error.key == document.item_key:
            self._keep(document, error.holder)

    def _keep(self, document: Document, holder: Holder) -> None:
        """Somebody else changes what was painted on here."""
        if self._holder is None:
            self._is_kept = True
            self._wait_for(document, holder)
            self._tell()
            self.changed.emit()

    def _wait_for(self, document: Document, holder: Holder) -> None:
        self._holder, self._watch = holder, StaleWatch()
        if document.is_editing:
            self._session.document_leaving.emit()  # a stroke under way ends here
        document.set_read_only(True)
        self._look_timer.start()

    def _tell(self) -> None:
        if self._document is None or self._holder is None:
            return
        key = self._document.item_key
        title = tr("{name} is being changed by {who}.").format(name=key, who=self._holder)
        detail = tr("It is shown as it is on disk and is read only.")
        remedy = tr("It can be changed here as soon as it is closed there.")
        if self._is_kept or key in self._session.autosave.unsaved_keys():
            detail = tr("What was painted here is kept in the journal of this window.")
            remedy = tr("It is saved as soon as the image is closed there; if it was changed there, you choose then.")
        if self.can_take_over:
            title = tr("{name} is locked by {who}, who was not heard of for a while.").format(
                name=key, who=self._holder
            )
            remedy = tr("Image › Take over the lock opens it for changes here.")
        self._session.notice.emit(Notice(title, detail, remedy))

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

    def _on_looked(self, document: Document, other: Holder | None) -> None:
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
        if self._is_kept or document.item_key in self._session.autosave.unsaved_keys():
            self._regain(document)
            return
        self._look_timer.stop()
        self._session.notice.emit(
            Notice(tr("{name} can be changed here now.").format(name=document.item_key), tr("It was read again."))
        )
        self._session.read_again()

    def _regain(self, document: Document) -> None:
        """The lock is free, and there is something here that is not on disk, perhaps."""
        project, key = self._project, document.item_key
        if project is None:
            return

        def regain() -> Holder | None:
            other = project.locks.acquire(key)
            if other is None:
                project.masks.check(key)
            return other

        self._session.runner.call(
            Lane.IO,
            regain,
            name=tr("locking an image"),
            priority=Priority.SAVE,
            on_done=lambda other: self._on_regained(document, other),
            on_error=lambda error: self._on_not_regained(document, error),
        )

    def _on_regained(self, document: Document, other: Holder | None) -> None:
        if document is not self._document or self._holder is None:
            self._release()
            return
        if other is not None or document.is_editing:
            self._holder = other or self._holder
            return  # it is looked at again
        self._look_timer.stop()
        self._holder, self.can_take_over, self._is_kept, self._is_claimed = None, False, False, True
        document.set_read_only(False)
        self._session.notice.emit(
            Notice(
                tr("{name} can be changed here now.").format(name=document.item_key),
                tr("It is as it was here: what was painted and not saved is saved now."),
            )
        )
        self._session.autosave.flush()
        self.changed.emit()

    def _on_not_regained(self, document: Document, error: PspnetError) -> None:
        if document is not self._document or self._is_asked or not isinstance(error, MaskChangedError):
            return  # it is tried again
        self._is_asked = True

        def read_again() -> None:
            if document is self._document and self._holder is not None:
                self._session.read_again()

        self._session.autosave.flush(then=read_again)  # if something is unsaved it fails, and a person is asked

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
        self._is_kept = True
        self._wait_for(document, Holder("", "", b""))
        self._session.notice.emit(
            PspnetError(
                tr("{name} was taken over by another window.").format(name=document.item_key),
                tr("It had not heard of this one for a while. What was painted here and not saved is in the journal."),
                tr("It can be changed here again as soon as it is closed there."),
            )
        )
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
