"""From paths (dropped, chosen, named on the command line) to an open project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.read import IMAGE_SUFFIXES
from pspnet_studio.dialogs.leave import DropChoice, ask_add_or_open
from pspnet_studio.messages import tr
from pspnet_studio.model.intake import plan_intake
from pspnet_studio.model.session import Session
from pspnet_studio.settings import Settings
from pspnet_studio.windows.guard import TrainingGuard


class IntakeFlow(QObject):
    """Opens paths or adds them to the open project, asking where it matters.

    Args:
        session: Where they are opened.
        guard: Asks about a running fine-tune before another project is opened.
        settings: Remembers the folder.
        parent: Window of the dialogs.
        ask: The question "add or open"; tests answer it themselves.
    """

    def __init__(
        self,
        session: Session,
        guard: TrainingGuard,
        settings: Settings,
        parent: QWidget,
        ask: Callable[[QWidget, str, str], DropChoice] = ask_add_or_open,
    ) -> None:
        super().__init__(parent)
        self._session, self._guard, self._settings, self._window, self._ask = session, guard, settings, parent, ask
        session.project_changed.connect(self._on_project_changed)

    def drop(self, paths: Sequence[Path]) -> None:
        """Take what was dropped on the window."""
        project = self._session.project
        if project is None:
            self.open(paths)
            return
        name = paths[0].name if len(paths) == 1 else tr("{count} paths").format(count=len(paths))
        choice = self._ask(self._window, name, project.root.name)
        if choice is DropChoice.ADD:
            self._session.add_paths(paths)
        elif choice is DropChoice.OPEN:
            self.open(paths)

    def open(self, paths: Sequence[Path]) -> None:
        """Open paths as a project, in place of the one that is open."""
        try:
            intake = plan_intake(paths)
        except PspnetError as error:
            self._session.notice.emit(error)
            return
        self._guard.run(
            tr("opening another folder"),
            lambda: self._session.open_folder(intake.root, intake.include, intake.others),
        )

    def choose_folder(self) -> None:
        """Ask for a folder and open it."""
        folder = QFileDialog.getExistingDirectory(self._window, tr("Open a folder of images"), self._start_folder())
        if folder:
            self.open([Path(folder)])

    def choose_images(self) -> None:
        """Ask for single images and open them."""
        patterns = " ".join(f"*{suffix}" for suffix in sorted(IMAGE_SUFFIXES))
        files, _ = QFileDialog.getOpenFileNames(
            self._window, tr("Open images"), self._start_folder(), tr("Images ({patterns})").format(patterns=patterns)
        )
        if files:
            self.open([Path(file) for file in files])

    def choose_addition(self) -> None:
        """Ask for a folder and add it to the open project."""
        folder = QFileDialog.getExistingDirectory(self._window, tr("Add a folder of images"), self._start_folder())
        if folder:
            self._session.add_paths([Path(folder)])

    def _start_folder(self) -> str:
        recent = self._settings.recent_folders
        return str(Path(recent[0]).parent) if recent else str(Path.home())

    def _on_project_changed(self) -> None:
        project = self._session.project
        if project is not None:
            self._settings.add_recent_folder(str(project.root))
