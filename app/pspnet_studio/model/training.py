"""One-click fine-tuning and the versions that come out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Item, Project, Split, Status
from pspnet_core.training.deletion import delete_version
from pspnet_core.training.events import FinishEarly
from pspnet_core.training.start import SETTING, Start
from pspnet_core.training.versions import Version, VersionStore
from pspnet_studio.jobs.finetuning import (
    QUICK_SECONDS,
    Interrupted,
    Mode,
    Wish,
    discard_interrupted,
    find_interrupted,
    fine_tune,
)
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.networks import name_of
from pspnet_studio.model.session import Session


class Training(QObject):
    """Starts, watches and ends a fine-tune of the open project; knows its versions.

    Signals:
        started: A fine-tune began.
        paused_changed: It rests now, or goes on.
        waiting_changed: Another one waits for its end, or not any more.
        interrupted_changed: There is one that was interrupted, or not any more.
        progressed: A TrainEvent.
        ended: Decided, a PspnetError, or None when it was cancelled.
        versions_changed: A version was added.
        current_changed: Another version (or none) predicts from now on.
        start_changed: Fine-tunes start with another network from now on.
    """

    started = Signal()
    paused_changed = Signal()
    waiting_changed = Signal()
    interrupted_changed = Signal()
    progressed = Signal(object)
    ended = Signal(object)
    versions_changed = Signal()
    current_changed = Signal()
    start_changed = Signal()

    def __init__(self, session: Session, device: str = "auto", seed: int = 0, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.device = device
        self._seed = seed
        self._handle: JobHandle | None = None
        self._store: VersionStore | None = None
        self._versions: list[Version] = []
        self._current: int | None = None
        self._is_starting = False
        self._is_paused = False
        self._labelled_key = ""
        self.wish = Wish()
        """What runs, or ran last."""
        self.waiting: Wish | None = None
        """What runs after that."""
        self.interrupted: Interrupted | None = None
        """What could be gone on with."""
        self.history: list[Any] = []
        session.project_changed.connect(self._on_project_changed)

    @property
    def is_running(self) -> bool:
        """Whether a fine-tune runs or waits to begin."""
        return self._is_starting or self._handle is not None

    @property
    def is_paused(self) -> bool:
        """Whether the one that runs rests."""
        return self._is_paused

    def can_start(self) -> tuple[bool, str]:
        """Whether a fine-tune can begin, and if not, why not."""
        project = self._session.project
        if project is None:
            return False, tr("Open a folder of images first.")
        if self.is_running:
            return False, tr("A fine-tune is running.")
        if len(project.classes) < 2:
            return False, tr("Add at least two classes.")
        document = self._session.document
        painted = document.item_key if document is not None and document.revision > 0 else ""
        self._labelled_key = _labelled_key(project, painted, first=self._labelled_key)  # asked after every edit
        if not self._labelled_key:
            return False, tr("Paint something in at least one image that is not in the test split.")
        return self._can_use_start()

    def start(self, seconds: float = QUICK_SECONDS, mode: Mode = "quick", resumes: bool = False) -> None:
        """Save, then fine-tune in the background for about ``seconds``; see :class:`Wish`."""
        assert self.can_start()[0], "fine-tune cannot start"
        self.wish = wish = Wish(seconds, mode, resumes)
        self._is_starting = True
        self._set_interrupted(None)  # it takes its place, or goes on with it
        self.history = []
        self.started.emit()
        self._session.save_now(then=lambda: self._begin(wish), on_failed=lambda error: self._on_not_saved(wish, error))

    def enqueue(self, seconds: float, mode: Mode) -> None:
        """Fine-tune once more as soon as the one that runs has ended; at most one waits."""
        assert self.is_running, "nothing to wait for"
        self._set_waiting(Wish(seconds, mode))

    def drop_waiting(self) -> None:
        """Let nothing follow on the one that runs."""
        self._set_waiting(None)

    def set_paused(self, is_paused: bool) -> None:
        """Let the fine-tune that runs rest, or go on; what it learned stays in memory."""
        if self._handle is None or is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        if is_paused:
            self._handle.pause()
        else:
            self._handle.resume()
        self.paused_changed.emit()

    def cancel(self) -> None:
        """End the fine-tune and forget what it learned."""
        if self._handle is not None:
            self._handle.cancel()
        elif self._is_starting:
            self._on_ended(None)

    def finish_early(self) -> None:
        """End the fine-tune now and keep what it learned so far."""
        if self._handle is not None:
            self._handle.finish_early(FinishEarly())
        else:
            self.cancel()  # nothing was learned yet

    def resume_interrupted(self) -> None:
        """Go on with the fine-tune that was interrupted."""
        assert self.interrupted is not None, "nothing was interrupted"
        wish = self.interrupted.wish
        self.start(wish.seconds, wish.mode, resumes=True)

    def discard_interrupted(self) -> None:
        """Forget the fine-tune that was interrupted."""
        project = self._session.project
        assert project is not None, "no project is open"
        self._set_interrupted(None)
        self._in_io_lane(lambda: discard_interrupted(project), tr("forgetting a fine-tune"))

    def delete(self, number: int) -> None:
        """Delete a version that nothing needs, for good."""
        project = self._session.project
        assert project is not None, "no project is open"
        self._in_io_lane(lambda: delete_version(project, number), tr("deleting a version"), lambda _: self._reload())

    @property
    def start_choice(self) -> Start:
        """What fine-tunes of the open project start with."""
        project = self._session.project
        return Start() if project is None else Start.of(project.settings)

    def set_start(self, start: Start) -> None:
        """Let fine-tunes of the open project start with something else."""
        project = self._session.project
        assert project is not None, "no project is open"
        project.settings[SETTING] = start.to_json()
        self._session.autosave.project_changed()
        self.start_changed.emit()

    def take_imported(self, number: int) -> None:
        """A version was imported: let it predict, and let fine-tunes start from it."""
        self._reload()
        self.set_current(number)
        self.set_start(Start(version=number))

    def versions(self) -> list[Version]:
        """All versions of the project, oldest first."""
        return self._versions

    @property
    def current_version(self) -> int | None:
        """Number of the version that predicts; None for none."""
        return self._current

    def set_current(self, number: int | None) -> None:
        """Let another version predict, or none."""
        assert self._store is not None, "no project is open"
        if number == self.current_version:
            return
        try:
            self._store.set_current(number)
        except PspnetError as error:
            self._session.notice.emit(error)
            return
        self._current = number
        self.current_changed.emit()

    def checkpoint_path(self, number: int) -> Path:
        """File of a version."""
        return next(v.path for v in self._versions if v.number == number)

    # --- inside

    def _can_use_start(self) -> tuple[bool, str]:
        start = self.start_choice
        if start.version is not None:
            is_here = any(v.number == start.version and v.path.is_file() for v in self._versions)
        else:
            is_here = start == Start() or start.has_weights
        if is_here:
            return True, ""
        reason = tr("A fine-tune is to start with {name}, which is not on this computer: see Model > Network…")
        return False, reason.format(name=name_of(start))

    def _begin(self, wish: Wish) -> None:
        project = self._session.project
        if not self._is_starting or wish is not self.wish or project is None:
            return
        self._is_starting = False
        device, seed = self.device, self._seed

        def on_cancelled() -> None:
            if self._session.project is project:
                self.discard_interrupted()
            self._on_ended(None)

        self._handle = self._session.runner.submit(
            Lane.TORCH,
            lambda: fine_tune(project, wish, seed, device),
            name=tr("fine-tuning"),
            priority=Priority.TRAINING,
            on_event=self._on_event,
            on_done=self._on_ended,
            on_error=self._on_ended,
            on_cancelled=on_cancelled,
        )

    def _on_not_saved(self, wish: Wish, error: PspnetError) -> None:
        if self._is_starting and wish is self.wish:
            self._on_ended(error)

    def _on_event(self, event: Any) -> None:
        self.history.append(event)
        self.progressed.emit(event)

    def _on_ended(self, outcome: Any) -> None:
        self._handle = None
        self._is_starting = False
        if self._is_paused:
            self._is_paused = False
            self.paused_changed.emit()
        self._reload()
        if isinstance(outcome, PspnetError):
            self._look_for_interrupted()
        project = self._session.project
        self.ended.emit(outcome)
        wish = self.waiting
        if wish is None or self.is_running or project is not self._session.project:
            return
        self._set_waiting(None)
        if not isinstance(outcome, PspnetError) and self.can_start()[0]:  # what failed would fail again
            self.start(wish.seconds, wish.mode)

    def _on_project_changed(self) -> None:
        project = self._session.project
        self._store = VersionStore(project.folder / "versions") if project is not None else None
        self.history = []
        self._set_waiting(None)
        self._set_interrupted(None)
        self._reload()
        self._look_for_interrupted()

    def _look_for_interrupted(self) -> None:
        project = self._session.project
        if project is None:
            return

        def on_done(found: Interrupted | None) -> None:
            if project is self._session.project and not self.is_running:
                self._set_interrupted(found)

        self._in_io_lane(lambda: find_interrupted(project), tr("looking for an interrupted fine-tune"), on_done)

    def _in_io_lane(
        self, function: Callable[[], Any], name: str, on_done: Callable[[Any], None] = lambda _: None
    ) -> None:
        self._session.runner.call(
            Lane.IO, function, name=name, priority=Priority.SAVE, on_done=on_done, on_error=self._session.notice.emit
        )

    def _set_waiting(self, wish: Wish | None) -> None:
        if wish != self.waiting:
            self.waiting = wish
            self.waiting_changed.emit()

    def _set_interrupted(self, interrupted: Interrupted | None) -> None:
        if interrupted != self.interrupted:
            self.interrupted = interrupted
            self.interrupted_changed.emit()

    def _reload(self) -> None:
        try:
            self._versions = self._store.list() if self._store is not None else []
            self._current = self._store.current if self._store is not None else None
        except PspnetError as error:
            self._versions, self._current = [], None
            self._session.notice.emit(error)
        self.versions_changed.emit()
        self.current_changed.emit()


def _labelled_key(project: Project, painted: str, first: str) -> str:
    """An image with labels that may be learnt from, ``first`` where it is one; "" where there is none."""

    def counts(item: Item) -> bool:
        if item.split is not Split.NONE and item.split is not Split.TRAIN:
            return False
        state = project.state(item.key)
        is_labelled = state.labelled_px > 0 or item.found_mask is not None or item.key == painted
        return is_labelled and state.status is not Status.SKIPPED

    if project.has_item(first) and counts(project.item(first)):
        return first
    return next((item.key for item in project.items if counts(item)), "")
