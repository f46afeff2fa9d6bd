"""Fine-tuning by itself after every few corrected images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.project.project import Project, Status
from pspnet_core.training.continuous import corrected_since, is_due, labels_of
from pspnet_studio.jobs.finetuning import QUICK_SECONDS
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training

SETTING = "continuous_training"  # of the project
DEFAULT_EVERY = 1  # the sooner a version is there, the less there is to paint: a fine-tune takes as long as an image
_REST_MS = 300
_HAND_MS = 500


class Continuous(QObject):
    """Starts a quick fine-tune after every n images that were corrected; off until somebody wants it.

    An image counts once its labels differ from those that the last fine-tune saw, it was saved, and it was left or
    marked as done. Nothing starts while a hand is at work.

    Args:
        session: Its project and document.
        training: Is started.

    Signals:
        changed: On or off, n, or the number of corrected images.
        started: It began by itself, after so many images.
    """

    changed = Signal()
    started = Signal(int)

    def __init__(self, session: Session, training: Training, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._training = session, training
        self._is_busy: Callable[[], bool] = lambda: False
        self._seconds: Callable[[], float] = lambda: QUICK_SECONDS
        self._counting: JobHandle | None = None
        self._corrected: frozenset[str] = frozenset()
        self._seen: dict[str, Any] = {}  # labels when the last fine-tune began, as a version would record them
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._count)
        self._hand = QTimer(self, singleShot=True, interval=_HAND_MS)
        self._hand.timeout.connect(self._start_if_due)
        session.project_changed.connect(self._on_project_changed)
        session.state_changed.connect(self._rest.start)
        session.document_changed.connect(self._rest.start)
        training.started.connect(self._on_training_started)
        training.ended.connect(self._rest.start)

    def ask(self, is_busy: Callable[[], bool], seconds: Callable[[], float]) -> None:
        """Have functions that tell whether a hand is at work, and what a quick fine-tune may take."""
        self._is_busy, self._seconds = is_busy, seconds

    @property
    def is_on(self) -> bool:
        """Whether fine-tunes start by themselves in this project."""
        return bool(self._setting().get("is_on", False))

    @property
    def every(self) -> int:
        """After so many corrected images."""
        every = self._setting().get("every", DEFAULT_EVERY)
        return every if isinstance(every, int) and every >= 1 else DEFAULT_EVERY

    @property
    def num_corrected(self) -> int:
        """Images that were corrected since the last fine-tune."""
        return len(self._corrected)

    def set_on(self, is_on: bool) -> None:
        """Switch it on or off, and remember that with the project."""
        self._set(is_on=is_on)

    def set_every(self, every: int) -> None:
        """Start after another number of images, and remember that with the project."""
        self._set(every=max(1, every))

    # --- inside

    def _setting(self) -> dict[str, Any]:
        project = self._session.project
        setting = project.settings.get(SETTING) if project is not None else None
        return setting if isinstance(setting, dict) else {}

    def _set(self, **values: object) -> None:
        project = self._session.project
        assert project is not None, "no project is open"
        project.settings[SETTING] = {"is_on": self.is_on, "every": self.every, **values}
        self._session.autosave.project_changed()
        self.changed.emit()
        self._rest.start()

    def _on_project_changed(self) -> None:
        self._corrected, self._seen = frozenset(), {}
        self._hand.stop()
        self.changed.emit()
        self._rest.start()

    def _on_training_started(self) -> None:
        """What is saved from now on counts for the next one; also when this one is cancelled."""
        project = self._session.project
        assert project is not None
        self._hand.stop()
        self._corrected = frozenset()
        self._run(lambda: labels_of(_states(project)), self._on_seen)
        self.changed.emit()

    def _on_seen(self, labels: dict[str, Any]) -> None:
        self._seen = labels
        self._rest.start()

    def _count(self) -> None:
        """Count in the tool lane: a project may have many images."""
        project = self._session.project
        if project is None or not self.is_on or self._counting is not None:
            return
        records = [dict(version.record) for version in self._training.versions()]
        if self._seen:
            records.append({"labels": self._seen})
        self._counting = self._run(lambda: corrected_since(project.items, _states(project), records), self._on_counted)

    def _on_counted(self, keys: list[str]) -> None:
        self._counting = None
        project, open_key = self._session.project, self._session.current_key
        if project is None:
            return
        here = {item.key for item in project.items}
        left = {k for k in keys if k in here and (k != open_key or project.state(k).status is Status.DONE)}
        if left != self._corrected:
            self._corrected = frozenset(left)
            self.changed.emit()
        self._start_if_due()

    def _start_if_due(self) -> None:
        training, count = self._training, len(self._corrected)
        if not self.is_on or not is_due(count, self.every) or training.is_running or not training.can_start()[0]:
            return
        document = self._session.document
        if self._is_busy() or self._session.is_loading or (document is not None and document.is_editing):
            self._hand.start()  # as soon as it rests
            return
        training.start(self._seconds(), "quick")
        self.started.emit(count)

    def _run(self, function: Callable[[], Any], on_done: Callable[[Any], None]) -> JobHandle:
        project = self._session.project

        def deliver(result: Any) -> None:
            if project is self._session.project:
                on_done(result)
            else:
                self._counting = None

        return self._session.runner.call(
            Lane.TOOL, function, name=tr("counting corrected images"), priority=Priority.TIDY, on_done=deliver
        )


def _states(project: Project) -> dict[str, Any]:
    return {item.key: project.state(item.key) for item in project.items}
