"""From the question what to import, over a look at what would change, to imported masks that can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.project.project import Notice, Project
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.dialogs.import_annotations import ImportAnnotationsDialog
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.whole_image import again
from pspnet_studio.model.whole_steps import WholeSteps
from pspnet_studio.windows.convert_flow import ConvertFlow
from pspnet_studio.windows.progress_flow import ProgressFlow

if TYPE_CHECKING:
    from pspnet_core.project.conversion import Planes
    from pspnet_core.project.formats.importing import ImportFinished

_WIDTH_PX = 360
_PATIENCE_MS = 300
_MAX_NAMED = 3


@dataclass(slots=True, eq=False)
class _Done:
    """What an import did.

    Attributes:
        project: Whose images.
        document: The one that was open.
        in_open_image: What there is to do in it.
        written: Key and record of each of the others.
    """

    project: Project
    document: Document | None
    in_open_image: MaskPatch | None = None
    written: list[tuple[str, bytes]] = field(default_factory=list)


class AnnotationImportFlow(ProgressFlow):
    """Imports annotations into the open project; the last import can be taken back as a conversion can.

    Args:
        session: Whose project.
        canvas: Ends its stroke before an edit.
        steps: Changes the open image.
        convert_flow: Takes back what was imported.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError``, a ``Notice`` or a sentence.
    """

    def __init__(
        self,
        session: Session,
        canvas: CanvasView,
        steps: WholeSteps,
        convert_flow: ConvertFlow,
        window: QWidget,
        show: Callable[[object], None],
    ) -> None:
        super().__init__(window)
        self._session, self._canvas, self._steps, self._convert_flow = session, canvas, steps, convert_flow
        self._window, self._show = window, show
        self._looking: JobHandle | None = None
        self._writing: JobHandle | None = None

    def ask(self) -> None:
        """Ask what to import, say what would change, then import."""
        project = self._session.project
        if project is None or self._progress is not None or self._writing is not None:
            return
        self._canvas.end_stroke()
        self._session.save_now()  # what was painted just now counts, too
        dialog = ImportAnnotationsDialog(project.classes, self._window)
        dialog.question_changed.connect(lambda: self._look(dialog, project))
        is_accepted = dialog.exec() == QDialog.DialogCode.Accepted
        self._stop_looking()
        if is_accepted and dialog.source is not None:
            self.start(project, dialog.source, dialog.format, dialog.over, dialog.choices)

    def start(
        self,
        project: Project,
        source: Path,
        format_id: str | None = None,
        over: str = "free",
        choices: Mapping[str, str] | None = None,
    ) -> None:
        """Save, then import; the open image gets its part as a step of its history."""
        self._canvas.end_stroke()
        if project is not self._session.project:
            return
        progress = self._progress = QProgressDialog(tr("Saving…"), tr("Cancel"), 0, 0, self._window)
        progress.setWindowTitle(tr("Import annotations"))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.WindowModal)  # no image is opened while its mask is rewritten
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.setMinimumDuration(_PATIENCE_MS)
        progress.canceled.connect(self._on_cancel)
        options = {"over": over, "classes": dict(choices or {})}
        self._session.save_now(
            then=lambda: self._write(progress, project, source, format_id, options),
            on_failed=lambda _error: self._close(progress),
        )

    # --- inside

    def _look(self, dialog: ImportAnnotationsDialog, project: Project) -> None:
        """Work out what an import would do, and show that in the dialog."""
        self._stop_looking()
        source = dialog.source
        if source is None:
            dialog.set_result("", can_import=False)
            return
        dialog.set_result(tr("Looking at {name}…").format(name=source.name), can_import=False)
        options = {"over": dialog.over, "classes": dialog.choices, "dry_run": True}
        format_id = dialog.format
        pixels = 0

        def on_event(event: Any) -> None:
            nonlocal pixels
            if hasattr(event, "num_matched"):
                dialog.set_plan(event.classes)
            elif hasattr(event, "item_key"):
                pixels += event.num_pixels
                text = tr("{done} of {total} images: {pixels} pixels would change so far…")
                counted = text.format(done=event.done, total=event.total, pixels=f"{pixels:,}")
                dialog.set_result(counted, can_import=True)

        self._looking = self._session.runner.submit(
            Lane.IO,
            lambda: importing(project, source, format_id, options, {}),
            name=tr("looking at annotations"),
            priority=Priority.PREFETCH,
            on_event=on_event,
            on_done=lambda report: dialog.set_result(trial_words(report), can_import=report.num_changed > 0),
            on_error=lambda error: dialog.set_result(str(error), can_import=False),
        )

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _write(
        self, progress: QProgressDialog, project: Project, source: Path, format_id: str | None, options: dict[str, Any]
    ) -> None:
        if self._progress is not progress:  # cancelled while it was saved
            return
        progress.setLabelText(tr("Importing annotations…"))
        done = _Done(project, self._session.document)
        document = done.document
        planes = {} if document is None else {document.item_key: document.committed_snapshot()}

        def run() -> Iterator[Any]:
            for event in importing(project, source, format_id, options, planes):
                if getattr(
                    event, "is_saved", False
                ):  # kept in the lane: also what was written before a cancel is known
                    done.written.append((event.item_key, event.patch.to_bytes()))
                yield event

        def on_event(event: Any) -> None:
            if not hasattr(event, "item_key"):
                return
            progress.setMaximum(max(1, event.total))
            progress.setValue(event.done)
            if event.patch is not None and not event.is_saved:
                done.in_open_image = event.patch

        def finish(message: object | None = None) -> None:
            self._finish(progress, done, message)

        def on_done(report: ImportFinished) -> None:
            finish()
            for message in words_of(report):
                self._show(message)

        stopped = tr("The import was stopped; what was imported before stays.")
        self._writing = self._session.runner.submit(
            Lane.IO,
            run,
            name=tr("importing annotations"),
            priority=Priority.PREFETCH,
            on_event=on_event,
            on_done=on_done,
            on_error=finish,
            on_cancelled=lambda: finish(stopped),
        )

    def _finish(self, progress: QProgressDialog, done: _Done, message: object | None) -> None:
        """Make the edit of the open image, then tell everybody and remember what can be taken back."""
        self._writing = None
        self._session.add_classes(())  # tells everybody of those that it brought
        document, found = done.document, done.in_open_image

        def end(patch: MaskPatch | None = None) -> None:
            self._close(progress)
            for key, _ in done.written:
                self._session.item_rewritten(key)
            records = [*([] if patch is None else [patch.to_bytes()]), *(record for _, record in done.written)]
            if records:
                self._convert_flow.remember(done.project, records)
            if message is not None:
                self._show(message)

        if found is None or document is None or document is not self._session.document:
            end()
        else:
            self._steps.make(document, document.patching(lambda planes: again(planes, found)), end, on_dropped=end)

    def _on_cancel(self) -> None:
        if self._writing is not None:
            self._writing.cancel()  # its end comes to finish
        else:
            self._on_cancelled()


def importing(
    project: Project, source: Path, format_id: str | None, options: dict[str, Any], planes: Mapping[str, Planes]
) -> Iterator[Any]:
    """The job; what it needs is imported in its lane."""
    from pspnet_core.project.formats.importing import ImportOptions, import_annotations

    yield from import_annotations(project, source, format_id, ImportOptions(**options), planes)


def trial_words(report: ImportFinished) -> str:
    """What an import would do."""
    lines = [
        tr("{pixels} pixels of {images} images would change.").format(
            pixels=f"{report.num_pixels:,}", images=report.num_changed
        )
    ]
    if report.added:
        lines.append(tr("New classes: {names}.").format(names=", ".join(report.added)))
    if report.failures:
        first = report.failures[0]
        text = tr("{count} images are refused, for example {name}: {why}")
        lines.append(text.format(count=len(report.failures), name=first.item_key, why=first.title))
    lines += [str(remark) for remark in report.remarks[:_MAX_NAMED]]
    return "\n".join(lines)


def words_of(report: ImportFinished) -> list[object]:
    """What is shown after an import: what was refused first."""
    words: list[object] = []
    if report.failures:
        named = "\n".join(f"{failure.item_key}: {failure.title}" for failure in report.failures[:_MAX_NAMED])
        title = tr_count(
            "1 annotation was not taken over.", "{count} annotations were not taken over.", len(report.failures)
        )
        words.append(PspnetError(title, named, tr("These images were left as they are.")))
    changed = tr_count("1 image was changed.", "{count} images were changed.", report.num_changed)
    added = tr(" New classes: {names}.").format(names=", ".join(report.added)) if report.added else ""
    words.append(changed + added)
    if report.remarks:
        lost = "\n".join(str(remark) for remark in report.remarks[:_MAX_NAMED])
        words.append(Notice(tr("Not everything was taken over:"), lost))
    return words
