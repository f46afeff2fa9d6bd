"""From the question where to, over the saving of what is unsaved, to written masks and what to tell about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Notice, Project
from pspnet_studio.dialogs.export import ExportDialog
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.model.session import Session
from pspnet_studio.windows.progress_flow import ProgressFlow

if TYPE_CHECKING:
    from pspnet_core.export.masks import ExportFinished

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
        dialog = ExportDialog(folder, self.num_masks(project), self._window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.start(project, dialog.folder, dialog.format)

    def num_masks(self, project: Project) -> int:
        """How many images have a mask, without a look at the disk."""
        key = self._session.current_key
        unsaved = None if key is None else self._session.autosave.unsaved_planes(project, key)
        is_new = unsaved is not None and not unsaved.class_plane.is_blank
        return sum(
            bool(item.found_mask or project.state(item.key).labelled_px or (is_new and item.key == key))
            for item in project.items
        )

    def start(self, project: Project, folder: Path, format_name: str) -> None:
        """Save, then write all masks of ``project`` to ``folder``."""
        progress = self._progress = QProgressDialog(tr("Saving…"), tr("Cancel"), 0, 0, self._window)
        progress.setWindowTitle(tr("Export masks"))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.NonModal)
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.setMinimumDuration(_PATIENCE_MS)
        progress.canceled.connect(self._on_cancelled)
        self._session.save_now(
            then=lambda: self._write(progress, project, folder, format_name),
            # The session tells why by itself; the words "not saved" would be lost in a second message.
            on_failed=lambda _error: self._close(progress),
        )

    def _write(self, progress: QProgressDialog, project: Project, folder: Path, format_name: str) -> None:
        if self._progress is not progress:  # cancelled while it was saved
            return
        progress.setLabelText(tr("Writing masks…"))

        def run() -> Iterator[Any]:
            from pspnet_core.export.masks import export_masks

            yield from export_masks(project, folder, format=format_name)

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
            run,
            name=tr("exporting masks"),
            priority=Priority.PREFETCH,
            on_event=on_event,
            on_done=on_done,
            on_error=on_error,
        )


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
        sentences.append(
            tr_count(
                "1 image without any label was left out.",
                "{count} images without any label were left out.",
                report.num_empty,
            )
        )
    words.append(" ".join(sentences))
    if report.notices:
        title = tr_count(
            "One remark on the exported masks:", "{count} remarks on the exported masks:", len(report.notices)
        )
        words.append(Notice(title, _named(report.notices)))
    return words


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
