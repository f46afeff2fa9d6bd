"""Saves by itself: each step into the journal at once, the planes when the hand rests, and again until it worked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.journal import DEFAULT_BUDGET_BYTES, Journal, Position, save_planes
from pspnet_core.project.journal_budget import trim
from pspnet_core.project.project import Item, Project, Status
from pspnet_studio.jobs.runner import JobHandle, JobRunner, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document

_IDLE_MS = 5_000
"""The planes are written when nothing was edited for so long,"""

_LATEST_MS = 60_000
"""and at the latest so long after the first edit that is not in them."""

_PROJECT_MS = 1_000
_RETRY_MS = 10_000

_TRIM_SHARE = 16
"""The journals of the project are looked through each time this part of their budget was added."""


@dataclass(frozen=True, slots=True, eq=False)
class Unsaved:
    """Both planes of an item as they were when they were taken; not on disk yet, and not changed any more."""

    project: Project
    item: Item
    class_plane: PlaneStore
    provenance_plane: PlaneStore
    journal: Journal | None
    position: Position | None

    def write(self) -> None:
        """Save them. Raises: StorageError."""
        if self.journal is None or self.position is None:
            planes = self.class_plane.to_array(), self.provenance_plane.to_array()
            self.project.save_annotation(self.item, *planes)
        else:
            save_planes(self.project, self.item, self.class_plane, self.provenance_plane, self.journal, self.position)


class AutoSave(QObject):
    """Writes each edit of the open document into its journal, its planes after a rest, and project changes soon.

    What could not be written is kept, also when another image or project is opened, and tried again every ten seconds.

    Args:
        runner: Its journal lane appends, its io lane saves.

    Attributes:
        budget_bytes: For the journals of a project together.

    Signals:
        state_changed: :attr:`state` may be another.
        failed: A PspnetError; nothing is lost as long as the program runs.
        item_saved: Key of an item whose planes were written.
    """

    state_changed = Signal(str)
    failed = Signal(object)
    item_saved = Signal(str)

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self.budget_bytes = DEFAULT_BUDGET_BYTES
        self._project: Project | None = None
        self._document: Document | None = None
        self._taken_revision = 0
        self._unsaved: dict[tuple[str, str], Unsaved] = {}
        self._dirty_projects: dict[str, Project] = {}
        self._waiting: list[tuple[Callable[[], None] | None, Callable[[PspnetError], None] | None]] = []
        self._job: JobHandle | None = None
        self._journal_job: JobHandle | None = None
        self._untrimmed_bytes = 0
        self._is_write_failed = self._is_journal_failed = False  # planes or projects; journal of the open document
        self._first_edit_s: float | None = None  # of those that are in no plane on disk
        self._timer = self._make_timer(self.flush)
        self._project_timer = self._make_timer(self._write)

    @property
    def state(self) -> str:
        """``saved``, ``journaled`` (nothing can be lost, the planes follow), ``unsaved``, ``saving`` or ``failed``."""
        if self._is_failed:
            return "failed"
        if self._job is not None:
            return "saving"
        if self._dirty_projects or self._unsaved:
            return "unsaved"
        if not self._has_edits:
            return "saved"
        journal = self._journal
        return "unsaved" if journal is None or journal.is_behind else "journaled"

    def watch(self, project: Project | None, document: Document | None, has_restored: bool = False) -> None:
        """Save what is unsaved, then look after another document.

        Args:
            project: That is open now.
            document: Likewise.
            has_restored: Its planes are newer than their files already.
        """
        self.flush()
        if self._document is not None:
            self._document.edited.disconnect(self._on_edited)
            if self._journal is not None:
                self._runner.call(
                    Lane.JOURNAL, self._journal.release, name=tr("closing a journal"), priority=Priority.TIDY
                )
        if project is not self._project and project is not None:
            self._trim_later(project)
        if document is not self._document:
            self._is_journal_failed = False  # what it holds is in the planes that wait, too
        self._project, self._document = project, document
        self._taken_revision = document.revision if document is not None else 0
        if document is not None:
            document.edited.connect(self._on_edited)
            if has_restored:
                self._taken_revision = -1
                self._plan()

    def project_changed(self) -> None:
        """The project's own data (classes, status) changed: write them soon."""
        if self._project is not None:
            self._dirty_projects[self._project.uuid] = self._project
            self._project_timer.start(_PROJECT_MS)
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
        self._project_timer.stop()
        self._take_edits()
        if then is not None or on_failed is not None:
            self._waiting.append((then, on_failed))
        self._write()

    def unsaved_planes(self, project: Project, key: str) -> Unsaved | None:
        """What is newer than the disk for an item, if anything is; its planes must not be changed."""
        return self._unsaved.get((project.uuid, key))

    def unsaved_keys(self) -> set[str]:
        """Keys of the items, of whatever project, of which something is not on disk yet."""
        return {key for _, key in self._unsaved}

    def drop(self, project: Project, key: str) -> None:
        """Give up what is not on disk yet of an item: what is there is to stay."""
        self._unsaved.pop((project.uuid, key), None)
        if (document := self._document) is not None and document.item_key == key:
            self._taken_revision = document.revision

    def wait(self, timeout_s: float) -> None:
        """Block until the write that is going on has ended, at most ``timeout_s`` (the desktop session ends)."""
        if self._job is not None:
            self._job.wait(timeout_s)

    # --- inside

    def _make_timer(self, on_timeout: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(on_timeout)
        return timer

    @property
    def _is_failed(self) -> bool:
        return self._is_write_failed or self._is_journal_failed

    @property
    def _has_edits(self) -> bool:
        return self._document is not None and self._document.revision != self._taken_revision

    @property
    def _journal(self) -> Journal | None:
        return None if self._document is None else self._document.history.journal

    def _take_edits(self) -> None:
        """Take the planes of the open document if they changed since the last time; costs nothing at any size."""
        project, document = self._project, self._document
        if project is None or document is None or not self._has_edits:
            return
        item, journal = project.item(document.item_key), self._journal
        position = None if journal is None else journal.position
        planes = document.committed_snapshot()
        self._unsaved[project.uuid, item.key] = Unsaved(project, item, *planes, journal, position)
        self._taken_revision = document.revision
        self._first_edit_s = None
        if project.state(item.key).status is Status.NEW and not planes[0].is_blank:
            project.set_state(item.key, status=Status.IN_PROGRESS)

    def _write(self) -> None:
        if self._job is not None:
            return  # its end comes back here
        items, projects = list(self._unsaved.values()), dict(self._dirty_projects)
        if not items and not projects:
            if self._is_failed:  # what had failed was written by another save meanwhile
                self._is_write_failed = self._is_journal_failed = False
                self._append()
                self.state_changed.emit(self.state)
            waiting, self._waiting = self._waiting, []
            for then, _ in waiting:
                if then is not None:
                    then()
            return
        self._dirty_projects.clear()
        for unsaved in items:
            projects[unsaved.project.uuid] = unsaved.project
        open_journal, written = self._journal, list[Unsaved]()

        def write() -> Iterator[None]:
            failures: list[PspnetError | OSError | MemoryError] = []
            for unsaved in items:  # one that cannot be written keeps none of the others waiting
                try:
                    unsaved.write()
                    written.append(unsaved)
                except (PspnetError, OSError, MemoryError) as error:
                    failures.append(error)
                if unsaved.journal is not None and unsaved.journal is not open_journal:
                    unsaved.journal.release()
            for uuid, project in list(projects.items()):
                try:
                    project.save()
                    del projects[uuid]
                except (PspnetError, OSError, MemoryError) as error:
                    failures.append(error)
            if failures:
                raise failures[0]
            yield

        self._job = self._runner.submit(
            Lane.IO,
            write,
            name=tr("saving"),
            priority=Priority.SAVE,
            on_done=lambda _: self._on_written(written),
            on_error=lambda error: self._on_not_written(written, projects, error),
        )
        self.state_changed.emit(self.state)

    def _on_written(self, written: list[Unsaved]) -> None:
        self._job, self._is_write_failed = None, False
        self._forget(written)
        if self._unsaved or self._dirty_projects or self._waiting:
            self._write()
        elif self._has_edits and not self._timer.isActive():  # made while it was failed
            self._plan()
        self.state_changed.emit(self.state)

    def _on_not_written(self, written: list[Unsaved], projects: dict[str, Project], error: PspnetError) -> None:
        self._job, self._is_write_failed = None, True
        self._forget(written)
        self._dirty_projects = projects | self._dirty_projects
        waiting, self._waiting = self._waiting, []
        self._fail(error)
        for _, on_failed in waiting:
            if on_failed is not None:
                on_failed(error)

    def _forget(self, written: list[Unsaved]) -> None:
        """These are on disk."""
        for unsaved in written:
            place = (unsaved.project.uuid, unsaved.item.key)
            if self._unsaved.get(place) is unsaved:
                del self._unsaved[place]
            if unsaved.project is self._project:
                self.item_saved.emit(unsaved.item.key)
        journal = self._journal  # a save writes it, too: where that worked, its own failure is over
        has_worked = journal is None or not journal.is_behind or any(one.journal is journal for one in written)
        if self._is_journal_failed and has_worked:
            self._is_journal_failed = False
            self._append()

    def _fail(self, error: PspnetError) -> None:
        self._timer.start(_RETRY_MS)
        self.state_changed.emit(self.state)
        self.failed.emit(error)

    def _append(self) -> None:
        """Have what the journal waits for written; one job at a time, and none while the disk takes none of it."""
        project, journal, document = self._project, self._journal, self._document
        if project is None or journal is None or document is None or not journal.is_behind:
            return
        if self._is_journal_failed or (self._journal_job is not None and self._journal_job.is_running):
            return

        def write() -> Any:
            project.save_if_new()
            return journal.write()

        def on_done(packed: Any) -> None:
            self._journal_job = None
            document.history.set_packed(packed)
            self._untrimmed_bytes += sum(len(data) for _, data in packed)
            if self._untrimmed_bytes > self.budget_bytes // _TRIM_SHARE:
                self._trim_later(project)
            self._append()  # what came meanwhile
            self.state_changed.emit(self.state)

        def on_error(error: PspnetError) -> None:
            self._journal_job = None
            self._is_journal_failed = journal is self._journal
            self._fail(error)
            self._append()  # of the document that is open now

        self._journal_job = self._runner.call(
            Lane.JOURNAL,
            write,
            name=tr("writing the journal"),
            priority=Priority.SAVE,
            on_done=on_done,
            on_error=on_error,
        )

    def _trim_later(self, project: Project) -> None:
        self._untrimmed_bytes = 0
        folder, budget_bytes = project.folder, self.budget_bytes
        self._runner.submit(
            Lane.IO, lambda: trim(folder, budget_bytes), name=tr("tidying up journals"), priority=Priority.TIDY
        )

    def _plan(self) -> None:
        """Have the planes saved after a rest, but not too late."""
        if self._first_edit_s is None:
            self._first_edit_s = time.monotonic()
        left_ms = _LATEST_MS - round((time.monotonic() - self._first_edit_s) * 1000)
        if not self._is_failed:
            self._timer.start(max(0, min(_IDLE_MS, left_ms)))

    def _on_edited(self) -> None:
        self._plan()
        self._append()
        if self._journal is None or self._is_failed:
            self.state_changed.emit(self.state)
