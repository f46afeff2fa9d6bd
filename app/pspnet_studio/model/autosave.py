"""Saves by itself: soon after each edit, in the io lane, and again until it worked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.project import Item, Project, Status
from pspnet_studio.jobs.runner import JobHandle, JobRunner, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document

_DELAY_MS = 1_000
_RETRY_MS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Unsaved:
    """Both planes of an item as they were when they were taken; not on disk yet, and not changed any more."""

    project: Project
    item: Item
    class_plane: PlaneStore
    provenance_plane: PlaneStore


class AutoSave(QObject):
    """Writes the planes of the open document one second after the last edit, and project changes as they come.

    What could not be written is kept, also when another image or project is opened, and tried again every ten seconds.

    Signals:
        state_changed: ``saved``, ``unsaved``, ``saving`` or ``failed``.
        failed: A PspnetError; nothing is lost as long as the program runs.
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
        self._taken_revision = 0
        self._unsaved: dict[tuple[str, str], Unsaved] = {}
        self._dirty_projects: dict[str, Project] = {}
        self._waiting: list[tuple[Callable[[], None] | None, Callable[[PspnetError], None] | None]] = []
        self._job: JobHandle | None = None
        self._is_failed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)

    @property
    def state(self) -> str:
        """``saved``, ``unsaved``, ``saving`` or ``failed``."""
        if self._is_failed:
            return "failed"
        if self._job is not None:
            return "saving"
        return "unsaved" if self._has_edits or self._unsaved or self._dirty_projects else "saved"

    def watch(self, project: Project | None, document: Document | None) -> None:
        """Save what is unsaved, then look after another document."""
        self.flush()
        if self._document is not None:
            self._document.edited.disconnect(self._on_edited)
        self._project, self._document = project, document
        self._taken_revision = document.revision if document is not None else 0
        if document is not None:
            document.edited.connect(self._on_edited)

    def project_changed(self) -> None:
        """The project's own data (classes, status) changed: write them soon."""
        if self._project is not None:
            self._dirty_projects[self._project.uuid] = self._project
            self._timer.start(_DELAY_MS)
            self.state_changed.emit(self.state)

    def flush(
        self, then: Callable[[], None] | None = None, on_failed: Callable[[PspnetError], None] | None = None
    ) -> None:
        """Write everything that is unsaved now.

        Args:
            then: Called on the GUI thread once everything is on disk; at once when it is.
            on_failed: Called instead when it could not be written.
        """
        self._timer.stop()
        self._take_edits()
        if then is not None or on_failed is not None:
            self._waiting.append((then, on_failed))
        self._write()

    def unsaved_planes(self, project: Project, key: str) -> Unsaved | None:
        """What is newer than the disk for an item, if anything is; its planes must not be changed."""
        return self._unsaved.get((project.uuid, key))

    def wait(self, timeout_s: float) -> None:
        """Block until the write that is going on has ended, at most ``timeout_s`` (the desktop session ends)."""
        if self._job is not None:
            self._job.wait(timeout_s)

    # --- inside

    @property
    def _has_edits(self) -> bool:
        return self._document is not None and self._document.revision != self._taken_revision

    def _take_edits(self) -> None:
        """Take the planes of the open document if they changed since the last time; costs nothing at any size."""
        project, document = self._project, self._document
        if project is None or document is None or not self._has_edits:
            return
        item = project.item(document.item_key)
        class_plane, provenance_plane = document.committed_snapshot()
        self._unsaved[project.uuid, item.key] = Unsaved(project, item, class_plane, provenance_plane)
        self._taken_revision = document.revision
        if project.state(item.key).status is Status.NEW and not class_plane.is_blank:
            project.set_state(item.key, status=Status.IN_PROGRESS)

    def _write(self) -> None:
        if self._job is not None:
            return  # its end comes back here
        items, projects = list(self._unsaved.values()), dict(self._dirty_projects)
        if not items and not projects:
            waiting, self._waiting = self._waiting, []
            for then, _ in waiting:
                if then is not None:
                    then()
            return
        self._dirty_projects.clear()
        for unsaved in items:
            projects[unsaved.project.uuid] = unsaved.project

        def write() -> Iterator[None]:
            for unsaved in items:
                planes = unsaved.class_plane.to_array(), unsaved.provenance_plane.to_array()
                unsaved.project.save_annotation(unsaved.item, *planes)
            for project in projects.values():
                project.save()
            yield

        def on_done(_: Any) -> None:
            self._job = None
            self._is_failed = False
            for unsaved in items:
                place = (unsaved.project.uuid, unsaved.item.key)
                if self._unsaved.get(place) is unsaved:
                    del self._unsaved[place]
                if unsaved.project is self._project:
                    self.item_saved.emit(unsaved.item.key)
            self._write()
            self.state_changed.emit(self.state)

        def on_error(error: PspnetError) -> None:
            self._job = None
            self._is_failed = True
            self._dirty_projects = projects | self._dirty_projects
            self._timer.start(_RETRY_MS)
            waiting, self._waiting = self._waiting, []
            self.state_changed.emit(self.state)
            self.failed.emit(error)
            for _, on_failed in waiting:
                if on_failed is not None:
                    on_failed(error)

        self._job = self._runner.submit(
            Lane.IO, write, name=tr("saving"), priority=Priority.SAVE, on_done=on_done, on_error=on_error
        )
        self.state_changed.emit(self.state)

    def _on_edited(self) -> None:
        self._timer.start(_DELAY_MS)
        self.state_changed.emit(self.state)
