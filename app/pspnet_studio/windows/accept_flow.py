"""Accepting the prediction where it is sure enough: from the question, over the count, to one step of the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from pspnet_core.types import Rect
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.dialogs.accept import AcceptDialog
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.whole_image import acceptable
from pspnet_studio.model.whole_steps import WholeSteps

_DELAY_MS = 150


class AcceptFlow(QObject):
    """Counts what would be accepted, again after every change, and accepts it.

    Args:
        session: Whose image.
        steps: Accept.
        canvas: A stroke on it is ended first.
        window: Parent of the dialog.
        show: Shows a ``PspnetError``.
    """

    def __init__(
        self,
        session: Session,
        steps: WholeSteps,
        canvas: CanvasView,
        window: QWidget,
        show: Callable[[object], None],
    ) -> None:
        super().__init__(window)
        self._session, self._steps, self._canvas = session, steps, canvas
        self._window, self._show = window, show
        self.dialog: AcceptDialog | None = None
        self._watched: Document | None = None
        self._job: JobHandle | None = None
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._count)
        session.document_changed.connect(self._on_document_changed)
        session.classes_changed.connect(self._on_classes_changed)

    def ask(self) -> None:
        """Open the dialog, or bring it to the front."""
        if self.dialog is None:
            self.dialog = AcceptDialog(self._window)
            self.dialog.apply_requested.connect(self.apply)
        self._on_classes_changed()
        self.dialog.show()
        self.dialog.raise_()
        self._on_document_changed()

    def apply(self) -> None:
        """Accept what is counted, as one step."""
        assert self.dialog is not None
        self._canvas.end_stroke()
        document = self._session.document
        wanted = self.dialog.class_id, self.dialog.min_confidence
        change = None if document is None else document.accepting(class_id=wanted[0], min_confidence=wanted[1])
        if document is not None and change is not None:
            self._steps.make(document, change, lambda _: None)  # the count follows what is shown

    # --- inside

    @property
    def _is_open(self) -> bool:
        return self.dialog is not None and self.dialog.isVisible()

    def _on_classes_changed(self) -> None:
        if self.dialog is not None and self._session.project is not None:
            self.dialog.set_classes(self._session.project.classes)

    def _on_document_changed(self) -> None:
        if self._watched is not None:
            self._watched.region_changed.disconnect(self._on_region_changed)
        self._watched = self._session.document if self._is_open else None
        if self._watched is not None:
            self._watched.region_changed.connect(self._on_region_changed)
        self._count()

    def _on_region_changed(self, _: Rect) -> None:
        if self._is_open and self.dialog is not None:
            self.dialog.show_busy()
            self._timer.start()

    def _count(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None
        document = self._session.document
        if not self._is_open or self.dialog is None:
            return
        if document is None or document.prediction is None:
            self.dialog.show_busy()
            return
        dialog, shown, planes = self.dialog, document.prediction, document.committed_snapshot()

        def on_done(counts: Any) -> None:
            if document.prediction is shown and self._session.document is document:
                dialog.show_counts(counts, document.rect.w * document.rect.h)

        self._job = self._session.runner.call(
            Lane.TOOL,
            lambda: acceptable(shown, *planes),
            name=tr("counting pixels"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=self._show,
        )
