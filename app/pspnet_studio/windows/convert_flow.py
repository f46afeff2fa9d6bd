"""From the question which class becomes which, over counts of every image, to converted masks, and back again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.project.conversion import (
    Counted,
    Rewritten,
    conversion_patch,
    convert_class,
    count_class,
    inverse_patch,
    num_pixels_of,
    take_back,
)
from pspnet_core.project.project import Notice, Project
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.dialogs.convert import ConvertDialog
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.whole_image import Planes
from pspnet_studio.model.whole_steps import WholeSteps

_WIDTH_PX = 360
_PATIENCE_MS = 300
_MAX_NAMED = 3

_Find = Callable[[Planes], MaskPatch | None]


@dataclass(slots=True, eq=False)
class _Done:
    """What a conversion of a project changed: its records, packed, in the order in which it was done."""

    project: Project
    records: list[bytes] = field(default_factory=list)


class ConvertFlow(QObject):
    """Converts a class in the open image or in all of them; the last conversion of all can be taken back.

    Args:
        session: Whose project.
        steps: Change the open image.
        canvas: Ends its stroke before an edit.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError``, a ``Notice`` or a sentence.

    Signals:
        changed: :attr:`can_take_back` may be another.
    """

    changed = Signal()

    def __init__(
        self,
        session: Session,
        steps: WholeSteps,
        canvas: CanvasView,
        window: QWidget,
        show: Callable[[object], None],
    ) -> None:
        super().__init__(window)
        self._steps = steps
        self._session, self._canvas, self._window, self._show = session, canvas, window, show
        self._counting: JobHandle | None = None
        self._writing: JobHandle | None = None
        self._progress: QProgressDialog | None = None
        self._done: _Done | None = None
        session.project_changed.connect(self._on_project_changed)

    @property
    def can_take_back(self) -> bool:
        """Whether a conversion of the open project is remembered, and none is under way."""
        done = self._done
        is_ours = done is not None and done.project is self._session.project and bool(done.records)
        return is_ours and not self._is_busy

    def ask(self) -> None:
        """Ask what to convert, with counts, then do it."""
        project, document = self._session.project, self._session.document
        if project is None or document is None or self._is_busy:
            return
        self._session.save_now()  # what was painted just now counts, too
        tools = self._session.tool_state
        name = PurePosixPath(document.item_key).name
        dialog = ConvertDialog(project.classes, tools, name, self._window)
        dialog.question_changed.connect(lambda: self._count(dialog, project, document))
        self._count(dialog, project, document)
        is_accepted = dialog.exec() == QDialog.DialogCode.Accepted
        self._stop_counting()
        if is_accepted and dialog.is_for_project:
            self.convert_project(project, dialog.from_id, dialog.to_id)
        elif is_accepted and self._session.document is document:
            self.convert_image(document, dialog.from_id, dialog.to_id)

    def remember(self, project: Project, records: Sequence[bytes]) -> None:
        """Let :meth:`take_back` undo what another command did to the images of a project."""
        self._done = _Done(project, list(records))
        self.changed.emit()

    def convert_image(self, document: Document, from_id: int, to_id: int) -> None:
        """Convert in the open image, as one step of its history."""
        self._canvas.end_stroke()
        if self._may_convert(from_id):
            find = partial(_converted, document.item_key, from_id, to_id)
            self._steps.make(document, document.patching(find), lambda _: None)

    def convert_project(self, project: Project, from_id: int, to_id: int) -> None:
        """Save, then convert in all images; the open one as a step of its history."""
        done = _Done(project)

        def start() -> None:
            skip = () if self._session.document is None else (self._session.document.item_key,)
            events = partial(convert_class, project, from_id, to_id, skip)
            self._write(done, tr("Converting masks…"), len(project.items), events)

        def in_open_image(then: Callable[[], None]) -> None:
            document = self._session.document
            if document is None or not self._may_convert(from_id):
                then()
                return
            find = partial(_converted, document.item_key, from_id, to_id)
            self._change_open(done, document, [find], then)

        self._begin(project, tr("Convert class"), start, in_open_image)

    def take_back(self) -> None:
        """Undo the last conversion of the project where nothing was changed since."""
        done = self._done
        if done is None or not self.can_take_back:
            return
        if not self._may_change():
            return
        records = [(MaskPatch.item_of(record), record) for record in done.records]
        undone = _Done(done.project)

        def in_open_image(then: Callable[[], None]) -> None:
            document = self._session.document
            if document is None:
                then()
                return
            mine = [record for key, record in records if key == document.item_key]
            self._change_open(undone, document, [partial(_inverse_of, record) for record in mine], then)

        def start() -> None:
            open_key = self._session.document.item_key if self._session.document is not None else None
            others = [record for key, record in records if key != open_key]
            self._done = None

            def events() -> Iterator[Rewritten]:  # one of them unpacked at a time
                return take_back(done.project, map(MaskPatch.from_bytes, others))

            self._write(undone, tr("Taking back…"), len(others), events)

        self._begin(done.project, tr("Take back conversion or import"), start, in_open_image)

    # --- inside

    @property
    def _is_busy(self) -> bool:
        return self._writing is not None or self._progress is not None

    def _may_change(self) -> bool:
        may = not self._session.tool_state.only_unlabelled
        if not may:
            self._show(tr("Only unlabelled pixels may change now: switch that off in the Tool menu first."))
        return may

    def _may_convert(self, from_id: int) -> bool:
        return from_id not in self._session.tool_state.locked and self._may_change()

    def _change_open(self, done: _Done, document: Document, finders: Sequence[_Find], then: Callable[[], None]) -> None:
        """Make records in the open image, each as a step and packed where it is found."""
        if not finders:
            then()
            return
        change = document.patching(finders[0])
        packed: list[bytes] = []

        def packing(planes: Planes) -> MaskPatch | None:
            patch = change(planes)
            packed[:] = () if patch is None else (patch.to_bytes(),)
            return patch

        def on_done(_: MaskPatch | None) -> None:
            done.records += packed
            self._change_open(done, document, finders[1:], then)

        self._steps.make(document, packing, on_done, self._close)

    def _begin(
        self,
        project: Project,
        title: str,
        start: Callable[[], None],
        in_open_image: Callable[[Callable[[], None]], None],
    ) -> None:
        """Change the open image, save all, then let ``start`` change the files; the window waits for it."""
        self._canvas.end_stroke()
        if project is not self._session.project:
            return
        progress = self._progress = QProgressDialog(tr("Saving…"), tr("Cancel"), 0, 0, self._window)
        progress.setWindowTitle(title)
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.WindowModal)  # no image is opened while its mask is rewritten
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.setMinimumDuration(_PATIENCE_MS)
        progress.canceled.connect(self._on_cancelled)
        self.changed.emit()
        in_open_image(lambda: self._session.save_now(then=start, on_failed=lambda _error: self._close()))

    def _write(self, done: _Done, text: str, total: int, events: Callable[[], Iterator[Rewritten]]) -> None:
        progress = self._progress
        if progress is None:  # cancelled while it was saved
            self._finish(done, [])
            return
        progress.setLabelText(text)
        progress.setMaximum(max(1, total))
        failures: list[Notice] = []
        written: list[tuple[str, bytes]] = []  # filled in the lane: also what was written before a cancel is known

        def run() -> Iterator[None]:
            for event in events():
                if event.failure is not None:
                    failures.append(event.failure)
                if event.patch is not None:
                    written.append((event.item_key, event.patch.to_bytes()))
                yield

        def finish() -> None:
            for key, record in written:
                done.records.append(record)
                self._session.item_rewritten(key)
            self._finish(done, failures)

        def on_error(error: PspnetError) -> None:
            finish()
            self._show(error)

        self._writing = self._session.runner.submit(
            Lane.IO,
            run,
            name=tr("converting masks"),
            priority=Priority.PREFETCH,
            on_event=lambda _: progress.setValue(progress.value() + 1),
            on_done=lambda _: finish(),
            on_error=on_error,
            on_cancelled=finish,
        )

    def _finish(self, done: _Done, failures: Sequence[Notice]) -> None:
        self._writing = None
        self._close()
        if done.records:
            self._done = done
        self._show(tr_count("1 mask was changed.", "{count} masks were changed.", len(done.records)))
        if failures:
            title = tr_count("1 mask could not be changed.", "{count} masks could not be changed.", len(failures))
            named = "\n".join(f"{notice.item_key}: {notice.title}" for notice in failures[:_MAX_NAMED])
            self._show(Notice(title, named, tr("They were left as they are.")))
        self.changed.emit()

    def _on_cancelled(self) -> None:
        if self._writing is not None:
            self._writing.cancel()  # its end comes to _finish
        else:
            self._close()

    def _close(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.canceled.disconnect(self._on_cancelled)
            progress.hide()
            progress.deleteLater()
            self.changed.emit()

    def _on_project_changed(self) -> None:
        if self._done is not None and self._done.project is not self._session.project:
            self._done = None
        self.changed.emit()

    # --- counting

    def _count(self, dialog: ConvertDialog, project: Project, document: Document) -> None:
        self._stop_counting()
        from_id = dialog.from_id
        dialog.add_count(document.item_key, num_pixels_of(document.class_plane, from_id))
        if not dialog.is_for_project:
            dialog.end_count()
            return

        def on_event(event: Counted) -> None:
            if event.item_key != document.item_key:
                dialog.add_count(event.item_key, event.num_pixels, event.failure.title if event.failure else "")

        def on_error(error: PspnetError) -> None:
            dialog.reject()
            self._show(error)

        def on_done(_: Any) -> None:
            self._counting = None
            dialog.end_count()

        self._counting = self._session.runner.submit(
            Lane.IO,
            lambda: count_class(project, from_id),
            name=tr("counting pixels"),
            priority=Priority.PREFETCH,
            on_event=on_event,
            on_done=on_done,
            on_error=on_error,
        )

    def _stop_counting(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
            self._counting = None


def _inverse_of(record: bytes, planes: Planes) -> MaskPatch | None:
    """What takes a packed record back."""
    return inverse_patch(MaskPatch.from_bytes(record), planes)


def _converted(item_key: str, from_id: int, to_id: int, planes: Planes) -> MaskPatch | None:
    return conversion_patch(item_key, planes, from_id, to_id)
