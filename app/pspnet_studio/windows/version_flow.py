"""What can be done with a version: use, compare, read about, export, delete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from pspnet_core.project.project import Notice
from pspnet_core.training.versions import Version, VersionStore
from pspnet_studio.canvas.compare import Arrangement, CompareView
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.model.version_comparison import VersionComparison
from pspnet_studio.panels.versions import VersionList
from pspnet_studio.windows.version_details import VersionDetails

_SUFFIX = "safetensors"
_IDS = ("version_use", "version_compare", "version_details", "version_export", "version_delete")


def ask_file(parent: QWidget, proposal: Path) -> Path | None:
    """Ask where a checkpoint is to lie; None when nothing was chosen."""
    dialog = QFileDialog(parent, tr("Export version"), str(proposal.parent), tr("Checkpoints (*.safetensors)"))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(_SUFFIX)
    dialog.selectFile(proposal.name)
    return Path(dialog.selectedFiles()[0]) if dialog.exec() and dialog.selectedFiles() else None


def ask_delete(parent: QWidget, number: int) -> bool:
    """Ask whether a version is to go for good."""
    box = QMessageBox(QMessageBox.Icon.Question, tr("Delete version"), "", parent=parent)
    box.setText(tr("Delete version {number} for good?").format(number=number))
    box.setInformativeText(tr("Its network and its record are removed. Images and labels stay as they are."))
    delete = box.addButton(tr("&Delete"), QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton(tr("&Keep it"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    return box.clickedButton() is delete


class VersionFlow(QObject):
    """Commands about the version whose row has the keyboard.

    Args:
        session: Its runner copies files.
        training: Knows the versions.
        comparison: Predicts with several of them.
        versions: The list.
        compare: Shows them side by side.
        actions: By id.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError`` or a ``Notice``.
        ask_where: The question where to; tests answer it themselves.
        ask_whether: The question before deleting; likewise.
    """

    def __init__(
        self,
        session: Session,
        training: Training,
        comparison: VersionComparison,
        versions: VersionList,
        compare: CompareView,
        actions: dict[str, QAction],
        window: QWidget,
        show: Callable[[object], None],
        ask_where: Callable[[QWidget, Path], Path | None] = ask_file,
        ask_whether: Callable[[QWidget, int], bool] = ask_delete,
    ) -> None:
        super().__init__(window)
        self._session, self._training, self._comparison = session, training, comparison
        self._versions, self._compare, self._actions = versions, compare, actions
        self._window, self._show, self._ask_where, self._ask_whether = window, show, ask_where, ask_whether
        self.details: VersionDetails | None = None
        functions = (self.use, self.compare, self.show_details, self.export, self.delete)
        for action_id, function in zip(_IDS, functions, strict=True):
            actions[action_id].triggered.connect(lambda _=False, function=function: self._with_selected(function))
        versions.set_actions([actions[action_id] for action_id in _IDS])
        versions.selection_changed.connect(self.update_enabled)
        session.document_changed.connect(self.update_enabled)
        training.current_changed.connect(self.update_enabled)
        training.versions_changed.connect(self.update_enabled)
        comparison.changed.connect(self._on_comparison_changed)
        comparison.failed.connect(show)
        compare.arrangement_changed.connect(self._on_arrangement_changed)
        self.update_enabled()

    def use(self, number: int) -> None:
        """Predict with it."""
        self._training.set_current(number)

    def compare(self, number: int) -> None:
        """Show it beside the one in use on the open image, or stop that."""
        if number in self._comparison.numbers:
            self._comparison.stop()
        elif (current := self._training.current_version) is not None:
            self._comparison.start([current, number] if number != current else [current])
        else:
            self._comparison.start([number])

    def show_details(self, number: int) -> None:
        """Tell all that is known about it."""
        project = self._session.project
        assert project is not None, "no project is open"
        self.details = VersionDetails(self._version(number), project.classes, self._window)
        self.details.show()

    def export(self, number: int) -> None:
        """Copy it to a file."""
        project = self._session.project
        assert project is not None, "no project is open"
        path = self._ask_where(self._window, project.root.parent / f"{project.root.name}-{number}.{_SUFFIX}")
        if path is None:
            return
        store = VersionStore(project.folder / "versions")
        self._session.runner.call(
            Lane.IO,
            lambda: store.export(number, path),
            name=tr("exporting version {number}").format(number=number),
            priority=Priority.OPEN,
            on_done=lambda _: self._show(
                Notice(tr("Version {number} was exported to {path}.").format(number=number, path=path))
            ),
            on_error=self._show,
        )

    def delete(self, number: int) -> None:
        """Ask, then delete it; never the one in use."""
        if number != self._training.current_version and self._ask_whether(self._window, number):
            self._training.delete(number)

    def update_enabled(self) -> None:
        """Bring the commands in line with the row that has the keyboard."""
        number, current = self._versions.selected, self._training.current_version
        is_there = number is not None
        is_current = is_there and number == current
        start = self._training.start_choice.version
        enabled = {
            "version_use": is_there and not is_current,
            "version_compare": is_there and self._session.document is not None,
            "version_details": is_there,
            "version_export": is_there,
            "version_delete": is_there and not is_current and number != start,
        }
        for action_id, is_enabled in enabled.items():
            self._actions[action_id].setEnabled(is_enabled)
        self._actions["version_compare"].setChecked(is_there and number in self._comparison.numbers)
        reason = tr("The version in use cannot be deleted.") if is_current else ""
        if is_there and not is_current and number == start:
            reason = tr("Fine-tunes start from this version: see Model > Network…")
        self._actions["version_delete"].setToolTip(reason or tr("Delete this version for good"))

    # --- inside

    def _with_selected(self, function: Callable[[int], None]) -> None:
        if (number := self._versions.selected) is not None:
            function(number)
        self.update_enabled()

    def _version(self, number: int) -> Version:
        return next(version for version in self._training.versions() if version.number == number)

    def _on_comparison_changed(self) -> None:
        current = self._training.current_version
        names = {
            entry.number: tr("Version {number}, in use") if entry.number == current else tr("Version {number}")
            for entry in self._comparison.shown
        }
        rows = [(names[e.number].format(number=e.number), e.document) for e in self._comparison.shown]
        self._compare.show_versions(rows)
        self.update_enabled()

    def _on_arrangement_changed(self) -> None:
        if self._compare.arrangement is not Arrangement.VERSIONS and self._comparison.numbers:
            self._comparison.stop()
