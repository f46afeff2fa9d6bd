"""From the question where to, to a network as a file for other programs, and what to tell about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QProgressDialog, QWidget

from pspnet_core.atomic import check_place
from pspnet_core.errors import PspnetError
from pspnet_core.export.onnx_packages import require_onnx
from pspnet_core.project.project import Notice
from pspnet_studio.jobs.model_export import ExportReport, export_apart
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.windows.progress_flow import ProgressFlow

_WIDTH_PX = 360
_SUFFIX = "onnx"


def ask_file(parent: QWidget, proposal: Path) -> Path | None:
    """Ask where an ONNX file is to lie; None when nothing was chosen."""
    dialog = QFileDialog(parent, tr("Export model"), str(proposal.parent), tr("ONNX (*.onnx)"))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(_SUFFIX)
    dialog.selectFile(proposal.name)
    return Path(dialog.selectedFiles()[0]) if dialog.exec() and dialog.selectedFiles() else None


class ModelExportFlow(ProgressFlow):
    """Exports the version in use as ONNX, one export at a time.

    Args:
        session: Its runner does it.
        training: Knows the versions.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError`` or a ``Notice``.
        ask: The question where to; tests answer it themselves.
    """

    def __init__(
        self,
        session: Session,
        training: Training,
        window: QWidget,
        show: Callable[[object], None],
        ask: Callable[[QWidget, Path], Path | None] = ask_file,
    ) -> None:
        super().__init__(window)
        self._session, self._training, self._window, self._show = session, training, window, show
        self._ask_file = ask

    def can_start(self) -> tuple[bool, str]:
        """Whether there is something to export, and if not, why not."""
        if self._session.project is None:
            return False, tr("Open a folder of images first.")
        if not self._training.versions():
            return False, tr("There is no version to export yet: fine-tune, or import weights.")
        if self._training.current_version is None:
            return False, tr("No version is in use: choose one in the list of versions.")
        return True, ""

    def ask(self) -> None:
        """Ask where to, then export the version in use."""
        if self._progress is not None:
            self._progress.show()
            self._progress.raise_()
            return
        project, number = self._session.project, self._training.current_version
        assert project is not None, "no project is open"
        assert number is not None, "no version is in use"
        try:
            require_onnx()
        except PspnetError as error:
            self._show(error)
            return
        path = self._ask_file(self._window, project.root.parent / f"{project.root.name}-{number}.{_SUFFIX}")
        if path is None:
            return
        try:
            _check(path, project.folder, self._training.checkpoint_path(number))
        except PspnetError as error:
            self._show(error)
            return
        self.start(number, path)

    def start(self, number: int, path: Path) -> None:
        """Export version ``number`` to ``path``."""
        text = tr("Waiting for the fine-tune to end…") if self._training.is_running else tr("Starting…")
        progress = self._progress = QProgressDialog(text, tr("Cancel"), 0, 0, self._window)
        progress.setWindowTitle(tr("Export model"))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.NonModal)
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.canceled.connect(self._on_cancelled)
        progress.show()  # it always takes a while
        checkpoint = self._training.checkpoint_path(number)

        def run() -> Iterator[Any]:
            yield from export_apart(checkpoint, path)

        def on_done(report: ExportReport) -> None:
            self._close(progress)
            self._show(words_of(report, number))

        def on_error(error: PspnetError) -> None:
            self._close(progress)
            self._show(error)

        # With the priority of a fine-tune: the two share the processor, so one waits for the other.
        self._job = self._session.runner.submit(
            Lane.TORCH,
            run,
            name=tr("exporting version {number}").format(number=number),
            priority=Priority.TRAINING,
            on_event=lambda report: _show_progress(progress, report),
            on_done=on_done,
            on_error=on_error,
        )


def _check(path: Path, folder: Path, checkpoint: Path) -> None:
    """Raises: PspnetError when the file cannot be written, or would take the place of one of the project's own."""
    check_place(path, [checkpoint])
    if path.resolve().is_relative_to(folder.resolve()):
        raise PspnetError(
            tr("{name} cannot be written there.").format(name=path.name),
            tr("{folder} holds what belongs to the project, its versions among them.").format(folder=folder),
            tr("Choose another folder."),
        )


def words_of(report: ExportReport, number: int) -> Notice:
    """What is shown after an export: where the file is, and what it was compared with."""
    result = report.result
    assert result is not None, "it has not ended"
    checks = result["checks"]
    sizes = ", ".join(f"{check['width']} × {check['height']}" for check in checks)
    title = tr("Version {number} was exported to {path}.").format(number=number, path=result["path"])
    detail = tr(
        "{size:.1f} MB; takes images of any size. Compared with the version at {sizes} pixels: the largest difference "
        "of a logit is {difference:.0e}, and {equal:.2%} of the pixels get the same class."
    ).format(
        size=result["num_bytes"] / 1e6,
        sizes=sizes,
        difference=max(check["max_difference"] for check in checks),
        equal=math.floor(min(check["equal_argmax"] for check in checks) * 10_000) / 10_000,  # 100 % means all
    )
    return Notice(title, detail, tr("How to prepare images, and the classes, are in the metadata of the file."))


def _show_progress(progress: QProgressDialog, report: ExportReport) -> None:
    words = {
        "": tr("Starting…"),
        "capture": tr("Following the network…"),
        "translate": tr("Translating it to ONNX…"),
        "check": tr("Comparing the file with the network…"),
        "write": tr("Writing the file…"),
    }
    progress.setLabelText(words[report.phase])
    if report.total:
        progress.setMaximum(report.total)
        progress.setValue(report.done)
