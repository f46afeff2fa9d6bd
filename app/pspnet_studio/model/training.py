"""One-click fine-tuning and the versions that come out of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Split, Status
from pspnet_core.training.events import FinishEarly
from pspnet_core.training.start import SETTING, Start
from pspnet_core.training.versions import Version, VersionStore
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.networks import name_of
from pspnet_studio.model.session import Session


class Training(QObject):
    """Starts, watches and ends a fine-tune of the open project; knows its versions.

    Signals:
        started: A fine-tune began.
        progressed: A TrainEvent.
        ended: Decided, a PspnetError, or None when it was cancelled.
        versions_changed: A version was added.
        current_changed: Another version (or none) predicts from now on.
        start_changed: Fine-tunes start with another network from now on.
    """

    started = Signal()
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
        self.history: list[Any] = []
        session.project_changed.connect(self._on_project_changed)

    @property
    def is_running(self) -> bool:
        """Whether a fine-tune runs or waits to begin."""
        return self._is_starting or self._handle is not None

    def can_start(self) -> tuple[bool, str]:
        """Whether a fine-tune can begin, and if not, why not."""
        project = self._session.project
        if project is None:
            return False, tr("Open a folder of images first.")
        if self.is_running:
            return False, tr("A fine-tune is running.")
        if len(project.classes) < 2:
            return False, tr("Add at least two classes.")
        if not any(
            item.split in (Split.NONE, Split.TRAIN)
            and project.state(item.key).status is not Status.SKIPPED
            and (
                project.state(item.key).labelled_px
                or item.found_mask is not None
                or self._is_open_and_labelled(item.key)
            )
            for item in project.items
        ):
            return False, tr("Paint something in at least one image that is not in the test split.")
        return self._can_use_start()

    def start(self, seconds: float) -> None:
        """Save, then fine-tune in the background for about ``seconds``."""
        assert self.can_start()[0], "fine-tune cannot start"
        self._is_starting = True
        self.history = []
        self.started.emit()
        self._session.save_now(then=lambda: self._begin(seconds), on_failed=self._on_not_saved)

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

    def _is_open_and_labelled(self, key: str) -> bool:
        document = self._session.document
        return document is not None and document.item_key == key and document.revision > 0

    def _begin(self, seconds: float) -> None:
        project = self._session.project
        if not self._is_starting or project is None:
            return
        self._is_starting = False
        device, seed = self.device, self._seed

        def run() -> Iterator[Any]:
            from pspnet_core.training.finetune import finetune

            yield from finetune(project, seconds=seconds, seed=seed, device=device)

        self._handle = self._session.runner.submit(
            Lane.TORCH,
            run,
            name=tr("fine-tuning"),
            priority=Priority.TRAINING,
            on_event=self._on_event,
            on_done=self._on_ended,
            on_error=self._on_ended,
            on_cancelled=lambda: self._on_ended(None),
        )

    def _on_not_saved(self, error: PspnetError) -> None:
        if self._is_starting:
            self._on_ended(error)

    def _on_event(self, event: Any) -> None:
        self.history.append(event)
        self.progressed.emit(event)

    def _on_ended(self, outcome: Any) -> None:
        self._handle = None
        self._is_starting = False
        self._reload()
        self.ended.emit(outcome)

    def _on_project_changed(self) -> None:
        project = self._session.project
        self._store = VersionStore(project.folder / "versions") if project is not None else None
        self.history = []
        self._reload()

    def _reload(self) -> None:
        try:
            self._versions = self._store.list() if self._store is not None else []
            self._current = self._store.current if self._store is not None else None
        except PspnetError as error:
            self._versions, self._current = [], None
            self._session.notice.emit(error)
        self.versions_changed.emit()
        self.current_changed.emit()
