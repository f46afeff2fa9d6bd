"""From the wish for an earlier version, or a file that is damaged, to a backup in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog, QWidget

from pspnet_core.errors import ClassMapError, PspnetError
from pspnet_core.project.backups import Backup, Backups
from pspnet_core.project.places import OWN_FOLDER
from pspnet_core.project.project import Project
from pspnet_core.project.records import Notice
from pspnet_core.project.store import ProjectDamagedError
from pspnet_core.types import ClassMap, ProvenanceMap
from pspnet_studio.dialogs.leave import ask_restore_project
from pspnet_studio.dialogs.restore import RestoreDialog
from pspnet_studio.jobs.restoring import Restorable, What, difference, put_back, restorables
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.whole_steps import WholeSteps


class RestoreFlow(QObject):
    """Offers backups, and puts back what is chosen.

    Args:
        session: Project and image.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError``, a ``Notice`` or a sentence.
        tell: Shows a sentence for a while.
    """

    def __init__(
        self, session: Session, window: QWidget, show: Callable[[object], None], tell: Callable[[str], None]
    ) -> None:
        super().__init__(window)
        self._session, self._window, self._show = session, window, show
        self._steps = WholeSteps(session, tell, window)
        self.choose: Callable[[str, Sequence[Restorable]], Restorable | None] = self._choose
        self.ask_project: Callable[[QWidget, Backup], bool] = ask_restore_project
        session.notice.connect(self._on_notice)

    def ask(self) -> None:
        """Show what there is for the open image, or for the one that could not be opened, and for the project."""
        session, project = self._session, self._session.project
        if project is None:
            return
        key, is_unreadable = session.unreadable_key or session.current_key, session.unreadable_key is not None
        session.document_leaving.emit()
        session.runner.call(
            Lane.IO,
            lambda: restorables(project, key, is_unreadable),
            name=tr("looking for backups"),
            priority=Priority.OPEN,
            on_done=lambda found: self._on_found(project, key, is_unreadable, found),
            on_error=self._show,
        )

    # --- inside

    def _choose(self, name: str, found: Sequence[Restorable]) -> Restorable | None:
        dialog = RestoreDialog(name, found, self._window)
        return dialog.chosen if dialog.exec() == QDialog.DialogCode.Accepted else None

    def _on_found(self, project: Project, key: str | None, is_unreadable: bool, found: list[Restorable]) -> None:
        if project is not self._session.project:
            return
        if not found:
            text = tr("One is made before a file that was saved is written over for the first time.")
            self._show(Notice(tr("There is no backup yet."), text))
            return
        chosen = self.choose(key or "", found)
        if chosen is None:
            return
        if chosen.what is What.PROJECT and chosen.backup is not None:
            self._restore_project(project.root, project.backups, chosen.backup)
        elif key is not None and is_unreadable:
            self._replace(project, key, chosen)
        elif key is not None and chosen.backup is not None:
            self._change(project, key, chosen.backup)

    def _replace(self, project: Project, key: str, chosen: Restorable) -> None:
        """Of an image that cannot be opened: the files themselves."""
        self._session.runner.call(
            Lane.IO,
            lambda: put_back(project, key, chosen),
            name=tr("restoring a backup"),
            priority=Priority.OPEN,
            on_done=lambda _: self._session.go_to(key),
            on_error=self._show,
        )

    def _change(self, project: Project, key: str, backup: Backup) -> None:
        """Of the open image: as a step that can be undone."""
        self._session.runner.call(
            Lane.IO,
            lambda: project.backups.read_mask(backup),
            name=tr("reading a backup"),
            priority=Priority.OPEN,
            on_done=lambda planes: self._on_read(key, *planes),
            on_error=self._show,
        )

    def _on_read(self, key: str, class_map: ClassMap, provenance: ProvenanceMap) -> None:
        document = self._session.document
        if document is None or document.item_key != key:
            return
        if class_map.shape != document.shape:
            size = f"{class_map.shape[1]} × {class_map.shape[0]}"
            self._show(
                PspnetError(
                    tr("This backup is of another size than the image."),
                    tr("It has {size} pixels.").format(size=size),
                    tr("Choose another one."),
                )
            )
            return
        change = document.patching(lambda planes: difference(planes, key, class_map, provenance))
        self._steps.make(document, change, lambda patch: self._on_changed(key, patch is not None))

    def _on_changed(self, key: str, has_changed: bool) -> None:
        title = tr("The mask of {name} was restored.") if has_changed else tr("The mask of {name} is the same already.")
        self._show(Notice(title.format(name=key), tr("Undo takes it back.") if has_changed else ""))

    def _on_notice(self, message: object) -> None:
        """What could not be opened because a file is damaged: a backup is offered."""
        if isinstance(message, ClassMapError) and self._session.unreadable_key is not None:
            self._show(Notice(tr("An earlier version may help: File › Restore a backup…")))
        if not isinstance(message, ProjectDamagedError) or message.path.parent.name != OWN_FOLDER:
            return
        folder = message.path.parent
        backups = Backups(folder)
        found = backups.projects()
        if found and self.ask_project(self._window, found[0]):
            self._restore_project(folder.parent, backups, found[0])

    def _restore_project(self, root: Path, backups: Backups, backup: Backup) -> None:
        session = self._session

        def go_back() -> None:
            session.runner.call(
                Lane.IO,
                lambda: backups.restore_project(backup),
                name=tr("restoring a backup"),
                priority=Priority.OPEN,
                on_done=lambda _: session.open_folder(root),
                on_error=self._show,
            )

        session.save_now(then=go_back, on_failed=self._show)
