"""From the question what to clean up, over a preview on the image, to one step of the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMargins, QObject, QPoint, QTimer
from PySide6.QtWidgets import QWidget

from pspnet_core.errors import PspnetError
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.dialogs.clean_up import CleanUpDialog
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.region_edits import apply_changes
from pspnet_studio.model.session import Session
from pspnet_studio.theme import SPACE_L

if TYPE_CHECKING:
    from pspnet_core.imaging.changes import RegionChange

_DELAY_MS = 120


class CleanUpFlow(QObject):
    """Shows on the image what a clean-up would change, as it is now and whatever is edited meanwhile, and does it.

    Args:
        session: Whose image.
        canvas: Shows the preview.
        window: Parent of the dialog.
        show: Shows a ``PspnetError``.
    """

    def __init__(self, session: Session, canvas: CanvasView, window: QWidget, show: Callable[[object], None]) -> None:
        super().__init__(window)
        self._session, self._canvas, self._window, self._show = session, canvas, window, show
        self.dialog: CleanUpDialog | None = None
        self._job: JobHandle | None = None
        self._found: tuple[Document, int, list[RegionChange]] | None = None
        self._watched: Document | None = None
        self._hand = self._held()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look)
        session.document_changed.connect(self._on_document_changed)
        session.project_changed.connect(self._on_project_changed)
        session.classes_changed.connect(self._look_later)
        session.tool_state.changed.connect(self._on_tool_state)

    def ask(self) -> None:
        """Open the dialog, or bring it to the front."""
        if self.dialog is None:
            self.dialog = CleanUpDialog(self._window)
            self.dialog.task_changed.connect(self._look_later)
            self.dialog.apply_requested.connect(self.apply)
            self.dialog.finished.connect(self._on_closed)
        if not self.dialog.isVisible():  # in the corner where it hides least of the image
            self.dialog.adjustSize()
            size = self.dialog.size().grownBy(QMargins(0, 0, SPACE_L, 3 * SPACE_L))
            corner = QPoint(self._window.width() - size.width(), self._window.height() - size.height())
            self.dialog.move(self._window.mapToGlobal(corner))
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()
        self._on_document_changed()

    def apply(self) -> None:
        """Do what is shown, as one step."""
        found, document = self._found, self._session.document
        if found is None or document is None or found[:2] != (document, document.revision):
            return
        self._canvas.end_stroke()
        if found[1] == document.revision and not document.is_editing:
            apply_changes(document, "clean up", found[2])

    # --- inside

    @property
    def _is_open(self) -> bool:
        return self.dialog is not None and self.dialog.isVisible()

    def _held(self) -> tuple[object, ...]:
        """What of the hand matters here: not the brush."""
        tools = self._session.tool_state
        return tools.class_id, tools.locked, tools.only_unlabelled

    def _on_tool_state(self) -> None:
        if self._hand != self._held():
            self._hand = self._held()
            self._look_later()

    def _on_document_changed(self) -> None:
        document = self._session.document
        if self._watched is not document:
            if self._watched is not None:
                self._watched.edited.disconnect(self._look_later)
            self._watched = document
            if document is not None:
                document.edited.connect(self._look_later)
        self._look_later()

    def _on_project_changed(self) -> None:
        if self.dialog is not None and self._session.project is None:
            self.dialog.close()

    def _on_closed(self) -> None:
        self._forget()

    def _look_later(self) -> None:
        if self._is_open:
            self._forget()
            assert self.dialog is not None
            self.dialog.show_busy()
            self._timer.start(_DELAY_MS)

    def _forget(self) -> None:
        """What was found, or is being looked for, is of no use any more."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
        self._job = self._found = None
        self._canvas.set_preview([])

    def _look(self) -> None:
        document, project, dialog = self._session.document, self._session.project, self.dialog
        if dialog is None or document is None or project is None:
            return
        if document.is_editing:  # a stroke is under way; its end comes back here, an abort may not
            self._timer.start(_DELAY_MS)
            return
        tools = self._session.tool_state
        dialog.set_current_class(project.classes, tools.class_id)
        one = () if tools.class_id is None else (tools.class_id,)
        class_ids = tuple(project.classes.indices) if dialog.is_for_all else one
        if not class_ids:
            dialog.show_nothing(tr("There is no class yet."))
            return
        operation: Any = dialog.operation
        replacement: Any = dialog.replacement
        amount, locked, only_unlabelled = dialog.amount, tools.locked, tools.only_unlabelled
        plane, revision = document.class_plane.snapshot(), document.revision

        def run() -> Iterator[list[RegionChange] | None]:
            from pspnet_core.imaging.cleanup import CleanUp, clean_up_blocks

            task = CleanUp(operation, amount, class_ids, replacement)
            changes = []
            for change in clean_up_blocks(plane.read, plane.shape, task, locked, only_unlabelled):
                if not change.rect.is_empty:
                    changes.append(change)
                yield None
            yield changes

        self._job = self._session.runner.submit(
            Lane.TOOL,
            run,
            name=tr("looking at regions"),
            priority=Priority.PREFETCH,
            on_done=lambda changes: self._on_found(document, revision, changes),
            on_error=self._on_error,
        )

    def _on_found(self, document: Document, revision: int, changes: list[RegionChange]) -> None:
        self._job = None
        if document is not self._session.document or revision != document.revision or self.dialog is None:
            return
        self._found = document, revision, changes
        self._canvas.set_preview([(change.rect, change.mask) for change in changes])
        self.dialog.show_result(sum(change.num_pixels for change in changes))

    def _on_error(self, error: PspnetError) -> None:
        self._job = None
        if self.dialog is not None:
            self.dialog.show_nothing(tr("It could not be worked out."))
        self._show(error)
