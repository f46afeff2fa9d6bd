"""Saves the open image by itself: soon after each edit, in the io lane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Project, Status
from pspnet_core.types import UNLABELLED
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.model.document import Document

_DELAY_MS = 1_000
_RETRY_MS = 10_000


class AutoSave(QObject):
    """Writes the planes of the open document one second after the last edit, and project changes as they come.

    Signals:
        state_changed: ``saved``, ``unsaved``, ``saving`` or ``failed``.
        failed: A PspnetError; the work is still in memory and is tried again every ten seconds.
        item_saved: Key of an item whose planes were written.
    """

    state_changed = Signal(str)
    failed = Signal(object)
    item_saved = Signal(str)

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._project: Project | None = None
        self._document: Document | None = None
        self._saved_revision = 0
        self._num_writing = 0
        self._is_failed = False
        self._project_is_dirty = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)

    @property
    def state(self) -> str:
        """``saved``, ``unsaved``, ``saving`` or ``failed``."""
        if self._is_failed:
            return "failed"
        if self._num_writing:
            return "saving"
        return "unsaved" if self._is_dirty else "saved"

    def watch(self, project: Project | None, document: Document | None) -> None:
        """Save what is unsaved, then look after another document."""
        self.flush()
        if self._document is not None:
            self._document.edited.disconnect(self._on_edited)
        self._project, self._document = project, document
        self._saved_revision = document.revision if document is not None else 0
        if document is not None:
            document.edited.connect(self._on_edited)

    def project_changed(self) -> None:
        """The project's own data (classes, status) changed: write them soon."""
        self._project_is_dirty = True
        self._timer.start(_DELAY_MS)
        self.state_changed.emit(self.state)

    def flush(self, then: Callable[[], None] | None = None) -> None:
        """Write everything that is unsaved now; ``then`` is called on the GUI thread after it was written."""
        self._timer.stop()
        project, document = self._project, self._document
        if project is None or not self._is_dirty:
            if then is not None:
                self._after_pending(then)
            return
        revision = document.revision if document is not None else 0
        job = self._write_job(project, document if revision != self._saved_revision else None)
        old_revision, self._saved_revision = self._saved_revision, revision
        self._project_is_dirty = False
        self._num_writing += 1

        def on_done(_: Any) -> None:
            self._num_writing -= 1
            self._is_failed = False
            if document is not None and revision != old_revision:
                self.item_saved.emit(document.item_key)
            self.state_changed.emit(self.state)
            if then is not None:
                then()

        def on_error(error: PspnetError) -> None:
            self._num_writing -= 1
            self._is_failed = True
            self._project_is_dirty = True
            if self._document is document:
                self._saved_revision = old_revision
            self._timer.start(_RETRY_MS)
            self.state_changed.emit(self.state)
            self.failed.emit(error)

        self._runner.submit(Lane.IO, job, name="save", priority=Priority.SAVE, on_done=on_done, on_error=on_error)
        self.state_changed.emit(self.state)

    @property
    def _is_dirty(self) -> bool:
        document = self._document
        return self._project_is_dirty or (document is not None and document.revision != self._saved_revision)

    def _after_pending(self, then: Callable[[], None]) -> None:
        if self._num_writing == 0:
            then()
            return
        self._runner.call(Lane.IO, lambda: None, name="save", priority=Priority.SAVE, on_done=lambda _: then())

    def _write_job(self, project: Project, document: Document | None) -> Callable[[], Iterator[None]]:
        if document is None:

            def write_project() -> Iterator[None]:
                project.save()
                yield

            return write_project
        item = project.item(document.item_key)
        class_map, provenance = document.class_plane.to_array(), document.provenance_plane.to_array()

        def write_item() -> Iterator[None]:
            project.save_annotation(item, class_map, provenance)
            labelled_px = int(np.count_nonzero(class_map != UNLABELLED))
            status = project.state(item.key).status
            if status is Status.NEW and labelled_px:
                status = Status.IN_PROGRESS
            project.set_state(item.key, status=status, labelled_px=labelled_px, total_px=class_map.size)
            project.save()
            yield

        return write_item

    def _on_edited(self) -> None:
        self._timer.start(_DELAY_MS)
        self.state_changed.emit(self.state)
