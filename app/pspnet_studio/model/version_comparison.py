"""What several versions say about the open image, each as a document of its own, to be looked at side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED
from pspnet_studio.jobs.prediction import PredictionEngine, Request
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One version on the open image.

    Attributes:
        number: Of the version.
        document: The image with its prediction and without labels; for views only.
    """

    number: int
    document: Document


class VersionComparison(QObject):
    """Predicts the open image, and each one that is opened next, with the versions that were chosen.

    Args:
        session: Its document.
        training: Its versions.
        engine: Lives in the torch lane; its own, so that the version in use stays loaded.

    Signals:
        changed: :attr:`shown` is another.
        failed: A PspnetError.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(
        self, session: Session, training: Training, engine: PredictionEngine, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._training, self._engine = session, training, engine
        self._numbers: tuple[int, ...] = ()
        self._jobs: list[JobHandle] = []
        self._source: Document | None = None
        self.shown: tuple[Shown, ...] = ()
        session.document_changed.connect(self._on_document_changed)
        session.project_changed.connect(self.stop)
        training.versions_changed.connect(self._on_versions_changed)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The versions that are compared; none when nothing is."""
        return self._numbers

    def start(self, numbers: Sequence[int]) -> None:
        """Compare these versions from now on."""
        self._numbers = tuple(numbers)
        self._look()

    def stop(self) -> None:
        """Compare nothing."""
        self._numbers = ()
        self._look()

    # --- inside

    def _on_document_changed(self) -> None:
        if self._numbers:
            self._look()

    def _on_versions_changed(self) -> None:
        here = {version.number for version in self._training.versions()}
        if not here.issuperset(self._numbers):
            self.stop()

    def _look(self) -> None:
        """Make documents for the open image, and have them filled."""
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()
        before, self.shown = self.shown, ()
        if self._source is not None:
            self._source.pixels.loaded.disconnect(self._on_loaded)
        self._source = document = self._session.document if self._numbers else None
        if document is not None:
            document.pixels.loaded.connect(self._on_loaded)
            self.shown = tuple(Shown(number, self._copy_of(document)) for number in self._numbers)
        if before or self.shown:
            self.changed.emit()
        for entry in before:
            entry.document.deleteLater()
        if document is not None and document.pixels.is_loaded:
            self._predict()

    def _on_loaded(self) -> None:
        document = self._source
        assert document is not None
        source = document.pixels.source
        assert source is not None
        for entry in self.shown:
            entry.document.pixels.set_source(source)
        self._predict()

    def _copy_of(self, document: Document) -> Document:
        """The same image without labels; it reads its pixels for itself."""
        rect, pixels = document.rect, document.pixels
        own = ImagePixels(rect.w, rect.h, pixels.preview, pixels.source, self._session.runner)
        return Document(
            document.item_key, own, PlaneStore(rect.w, rect.h, UNLABELLED), PlaneStore(rect.w, rect.h), None, self
        )

    def _predict(self) -> None:
        self._jobs = [self._submit(entry) for entry in self.shown]

    def _submit(self, entry: Shown) -> JobHandle:
        document = entry.document
        request = Request(self._training.checkpoint_path(entry.number), *document.shape).now(
            None, document.pixels.source, None, None
        )

        def on_done(last: Any) -> None:
            document.set_prediction(last.prediction, entry.number)

        def on_error(error: PspnetError) -> None:
            self.failed.emit(error)

        return self._session.runner.submit(
            Lane.TORCH,
            lambda: self._engine.predict(request),
            name=tr("predicting with version {number}").format(number=entry.number),
            priority=Priority.PREFETCH,
            on_done=on_done,
            on_error=on_error,
        )
