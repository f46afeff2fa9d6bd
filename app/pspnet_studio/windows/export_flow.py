"""From the question where to, over the saving of what is unsaved, to written masks and what to tell about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Notice, Project, Split
from pspnet_studio.dialogs.export import ExportDialog
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.model.session import Session
from pspnet_studio.windows.progress_flow import ProgressFlow

if TYPE_CHECKING:
    from pspnet_core.project.formats.exporting import ExportFinished

_MAX_NAMED = 3
_PATIENCE_MS = 400
_WIDTH_PX = 360


class ExportFlow(ProgressFlow):
    """Exports the masks of the open project, one export at a time.

    Args:
        session: Its project is exported, after a save.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError``, a ``Notice`` or a sentence.
    """

    def __init__(self, session: Session, window: QWidget, show: Callable[[object], None]) -> None:
        super().__init__(window)
        self._session, self._window, self._show = session, window, show
        self._trial: JobHandle | None = None

    def ask(self) -> None:
        """Ask where to and in which format, then export."""
        project = self._session.project
        assert project is not None, "no project is open"
        if self._progress is not None:
            self._progress.show()
            self._progress.raise_()
            return
        self._session.save_now()  # what was painted just now counts, too
        folder = project.root.parent / f"{project.root.name}-masks"
        splits = self._splits(project)
        dialog = ExportDialog(folder, splits.total(), self._window, splits)
        dialog.trial_requested.connect(lambda: self._try(dialog, project))
        is_accepted = dialog.exec() == QDialog.DialogCode.Accepted
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None
        if is_accepted:
            self.start(project, dialog.folder, dialog.format, dialog.options)

    def num_masks(self, project: Project) -> int:
        """How many images have a mask, without a look at the disk."""
        return self._splits(project).total()

    def _splits(self, project: Project) -> Counter[Split]:
        key = self._session.current_key
        unsaved = None if key is None else self._session.autosave.unsaved_planes(project, key)
        is_new = unsaved is not None and not unsaved.class_plane.is_blank
        return Counter(
            item.split
            for item in project.items
            if item.found_mask or project.state(item.key).labelled_px or (is_new and item.key == key)
        )

    def start(self, project: Project, folder: Path, format_name: str, options: Mapping[str, Any] | None = None) -> None:
        """Save, then write all masks of ``project`` to ``folder``; ``options`` are those of the dialog."""
        progress = self._progress = QProgressDialog(tr("Saving…"), tr("Cancel"), 0, 0, self._window)
        progress.setWindowTitle(tr("Export masks"))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.NonModal)
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.setMinimumDuration(_PATIENCE_MS)
        progress.canceled.connect(self._on_cancelled)
        self._session.save_now(
            then=lambda: self._write(progress, project, folder, format_name, options or {}),
            # The session tells why by itself; the words "not saved" would be lost in a second message.
            on_failed=lambda _error: self._close(progress),
        )

    def _try(self, dialog: ExportDialog, project: Project) -> None:
        """Work out what an export would do, and show that in the dialog."""
        if self._trial is not None:
            self._trial.cancel()
        dialog.set_trial("")
        folder, format_name, options = dialog.folder, dialog.format, dialog.options | {"dry_run": True}
        self._trial = self._session.runner.submit(
            Lane.IO,
            lambda: exporting(project, folder, format_name, options),
            name=tr("trying an export"),
            priority=Priority.PREFETCH,
            on_done=lambda report: dialog.set_trial(trial_words(report)),
            on_error=lambda error: dialog.set_trial(str(error)),
        )

    def _write(
        self, progress: QProgressDialog, project: Project, folder: Path, format_name: str, options: Mapping[str, Any]
    ) -> None:
        if self._progress is not progress:  # cancelled while it was saved
            return
        progress.setLabelText(tr("Writing masks…"))

        def on_event(event: Any) -> None:
            if hasattr(event, "done"):
                progress.setMaximum(max(1, event.total))
                progress.setValue(event.done)

        def on_done(report: ExportFinished) -> None:
            self._close(progress)
            for message in words_of(report):
                self._show(message)

        def on_error(error: PspnetError) -> None:
            self._close(progress)
            self._show(error)

        self._job = self._session.runner.submit(
            Lane.IO,
            lambda: exporting(project, folder, format_name, options),
            name=tr("exporting masks"),
            priority=Priority.PREFETCH,
            on_event=on_event,
            on_done=on_done,
            on_error=on_error,
        )


def exporting(project: Project, folder: Path, format_name: str, options: Mapping[str, Any]) -> Iterator[Any]:
    """The job; what it needs is imported in its lane."""
    from pspnet_core.project.formats.exporting import export_project
    from pspnet_core.project.formats.writing import ExportOptions

    yield from export_project(project, folder, format_name, ExportOptions(**options))


def trial_words(report: ExportFinished) -> str:
    """What an export would do."""
    sentences = [
        tr_count("1 mask would be written.", "{count} masks would be written.", report.num_written),
        *([_left_out(report)] if report.num_empty else []),
        *([tr("{count} cannot be read.").format(count=len(report.failures))] if report.failures else []),
    ]
    if report.mean_iou is not None and report.mean_iou < 1:
        sentences.append(tr("Mean IoU of the polygons: {iou}.").format(iou=f"{report.mean_iou:.4f}"))
    lost = [tr("Not as it was: {what}.").format(what=remark) for remark in report.remarks[:_MAX_NAMED]]
    return "\n".join([" ".join(sentences), *(lost or [tr("Nothing would be lost.")])])


def words_of(report: ExportFinished) -> list[object]:
    """What is shown after an export: what could not be written first."""
    words: list[object] = []
    if report.failures:
        words.append(
            PspnetError(
                tr_count("1 mask could not be exported.", "{count} masks could not be exported.", len(report.failures)),
                _named(report.failures),
                tr("Open these images to see what is wrong with them, then export again."),
            )
        )
    sentence = tr_count(
        "1 mask was written to {folder}.", "{count} masks were written to {folder}.", report.num_written
    )
    sentences = [sentence.format(folder=report.folder)]
    if report.num_empty:
        sentences.append(_left_out(report))
    words.append(" ".join(sentences))
    if report.remarks:
        lost = "\n".join(str(remark) for remark in report.remarks[:_MAX_NAMED])
        words.append(Notice(tr("Not everything could be written as it was:"), lost))
    if report.notices:
        title = tr_count(
            "One remark on the exported masks:", "{count} remarks on the exported masks:", len(report.notices)
        )
        words.append(Notice(title, _named(report.notices)))
    return words


def _left_out(report: ExportFinished) -> str:
    return tr_count(
        "1 image without any label was left out.",
        "{count} images without any label were left out.",
        report.num_empty,
    )


def _named(notices: Sequence[Notice]) -> str:
    """The first few, each with the file it is about, and how many more there are."""
    lines = [
        f"{notice.item_key}: {notice.title}" if notice.item_key is not None else notice.title
        for notice in notices[:_MAX_NAMED]
    ]
    num_more = len(notices) - _MAX_NAMED
    if num_more > 0:
        lines.append(tr_count("and 1 more.", "and {count} more.", num_more))
    return "\n".join(lines)
