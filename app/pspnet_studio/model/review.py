"""A version against everything that is labelled, made in the background; and the way from a number to the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Status
from pspnet_core.training.events import FinishEarly
from pspnet_core.training.review_events import Place, Review, Reviewing
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.predictions import Predictions
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training

if TYPE_CHECKING:
    from pspnet_studio.model.document import Document


class Reviews(QObject):
    """Makes the review of a version, keeps the last one, and knows when it is out of date.

    Args:
        session: Its project.
        training: Its versions.
        predictions: What the version in use says about the open image.

    Signals:
        changed: It began, ended, or became outdated.
        progressed: Reviewing.
        failed: A PspnetError.
        reached: The image of this Place is open: show it.
        marked: The pixels of the place that was reached: an area.
        told: There is something to tell instead: a sentence.
    """

    changed = Signal()
    progressed = Signal(object)
    failed = Signal(object)
    reached = Signal(object)
    marked = Signal(object)
    told = Signal(str)

    def __init__(
        self, session: Session, training: Training, predictions: Predictions, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._training, self._predictions = session, training, predictions
        self._handle: JobHandle | None = None
        self._is_starting = False
        self._document: Document | None = None
        self._labels_changed = False  # since the result was begun
        self._changed_meanwhile = False  # since the one that runs was begun
        self._rewritten: str | None = None
        self._statuses: dict[str, Status] = {}  # when the result was begun
        self._wanted: Place | None = None
        self._unmarked: Place | None = None  # was reached before the image was predicted
        self.result: Review | None = None
        self.running_version: int | None = None
        session.project_changed.connect(self._on_project_changed)
        session.document_changed.connect(self._on_document_changed)
        session.state_changed.connect(self._on_state_changed)
        session.autosave.item_saved.connect(self._on_item_saved)
        session.items_changed.connect(self._on_labels_changed)
        session.classes_changed.connect(self._on_labels_changed)
        predictions.base_ready.connect(self._on_base_ready)
        training.current_changed.connect(self.changed)
        training.versions_changed.connect(self.changed)

    @property
    def is_running(self) -> bool:
        """Whether one is being made."""
        return self._is_starting or self._handle is not None

    @property
    def version(self) -> int | None:
        """The version that would be looked at: the one in use, or else the last one."""
        versions = self._training.versions()
        current = self._training.current_version
        return current if current is not None else versions[-1].number if versions else None

    @property
    def outdated(self) -> str:
        """Why the result no longer tells how things are; empty when it does."""
        if self.result is None or self.is_running:
            return ""
        if self._labels_changed:
            return tr("Labels have changed since this review.")
        if self.result.version != self.version:
            return tr("Version {number} is in use now.").format(number=self.version)
        return ""

    def start(self) -> None:
        """Save, then compare :attr:`version` with all labels, behind everything else that wants to compute."""
        project, number = self._session.project, self.version
        if project is None or number is None or self.is_running:
            return
        self._is_starting, self.running_version = True, number
        self.changed.emit()
        self._session.save_now(then=lambda: self._begin(number), on_failed=self._on_error)

    def cancel(self) -> None:
        """End it; the result before it stays."""
        if self._handle is not None:
            self._handle.cancel()
        elif self._is_starting:
            self._on_cancelled()

    def finish_early(self) -> None:
        """End it now and show what is known so far."""
        if self._handle is not None:
            self._handle.finish_early(FinishEarly())

    def go_to(self, place: Place) -> None:
        """Open the image of a place and tell when it is there."""
        project, document = self._session.project, self._session.document
        if project is None or not project.has_item(place.key):
            self.told.emit(tr("{name} is not in the project any more.").format(name=place.key))
            return
        if document is not None and document.item_key == place.key:
            self._wanted = None
            self._session.go_to(place.key)  # another one may be on its way
            self._reach(place)
            return
        self._wanted = place
        self._session.go_to(place.key)

    # --- inside

    def _begin(self, number: int) -> None:
        project, device = self._session.project, self._training.device
        if not self._is_starting or project is None:
            return
        self._is_starting = False
        self._changed_meanwhile = False

        def run() -> Iterator[Any]:
            from pspnet_core.training.review import review

            self._statuses = {item.key: project.state(item.key).status for item in project.items}
            yield from review(project, number, device)

        self._handle = self._session.runner.submit(
            Lane.TORCH,
            run,
            name=tr("reviewing version {number}").format(number=number),
            priority=Priority.TIDY,
            on_event=self._on_event,
            on_done=self._on_done,
            on_error=self._on_error,
            on_cancelled=self._on_cancelled,
        )

    def _on_event(self, event: Any) -> None:
        if isinstance(event, Reviewing):
            self.progressed.emit(event)

    def _on_done(self, result: Review) -> None:
        self._end()
        self.result, self._labels_changed = result, self._changed_meanwhile
        self.changed.emit()

    def _on_error(self, error: PspnetError) -> None:
        self._end()
        self.changed.emit()
        self.failed.emit(error)

    def _on_cancelled(self) -> None:
        self._end()
        self.changed.emit()

    def _end(self) -> None:
        self._handle, self._is_starting, self.running_version = None, False, None

    def _on_state_changed(self, key: str) -> None:
        """Saved, told how far it is, or written anew on the disk: only the last one says anything about labels."""
        self._rewritten = key
        QTimer.singleShot(0, self, self._look_at_rewritten)

    def _on_item_saved(self, key: str) -> None:
        if self._rewritten == key:  # what was edited was heard of before
            self._rewritten = None

    def _look_at_rewritten(self) -> None:
        key, self._rewritten = self._rewritten, None
        project = self._session.project
        if key is None or project is None:
            return
        status = project.state(key).status
        if self._statuses.get(key, status) is status:
            self._on_labels_changed()
        self._statuses[key] = status

    def _on_labels_changed(self, *_: object) -> None:
        self._changed_meanwhile = True
        if not self._labels_changed:
            self._labels_changed = True
            self.changed.emit()

    def _on_project_changed(self) -> None:
        self.cancel()
        self.result, self._wanted, self._labels_changed = None, None, False
        self.changed.emit()

    def _on_document_changed(self) -> None:
        if self._document is not None:
            self._document.edited.disconnect(self._on_labels_changed)
        self._document = self._session.document
        if self._document is not None:
            self._document.edited.connect(self._on_labels_changed)
        wanted = self._wanted
        if wanted is not None and wanted.key != self._session.current_key:
            self._wanted = None  # somebody went elsewhere
        elif wanted is not None and self._document is not None and self._document.item_key == wanted.key:
            self._wanted = None
            # The views have to take the document first.
            QTimer.singleShot(0, self, lambda: self._reach(wanted))

    def _reach(self, place: Place) -> None:
        self._unmarked = place
        self.reached.emit(place)
        self._on_base_ready()

    def _on_base_ready(self) -> None:
        """Find the pixels of the place, if the version that was reviewed is the one that predicts."""
        place, document, result = self._unmarked, self._session.document, self.result
        if place is None or document is None or result is None or document.item_key != place.key:
            return
        base = self._predictions.base_of(place.key)
        if base is None or self._predictions.version_of(place.key) != result.version:
            return
        self._unmarked = None
        labels, predicted = document.committed_snapshot()[0], base.class_map

        def find() -> Any:
            from pspnet_core.training.confusions import area_of

            return area_of(place, labels.read(place.rect), predicted[place.rect.slices])

        def on_done(area: Any) -> None:
            if area is not None and document is self._session.document:
                self.marked.emit(area)

        self._session.runner.call(
            Lane.TOOL, find, name=tr("finding the pixels"), priority=Priority.VISIBLE, on_done=on_done
        )
