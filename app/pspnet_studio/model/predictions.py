"""The prediction that lies under the open image's own pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.training.holdout import labelled_blocks
from pspnet_core.types import Prediction
from pspnet_studio.jobs.prediction import PredictionEngine
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training

if TYPE_CHECKING:
    from pspnet_core.inference.logits import LogitGrid
    from pspnet_core.inference.predictor import Predicted

_CACHE_BYTES = 128 * 1024 * 1024


class Predictions(QObject):
    """Predicts the open image with the current version; a stale request is dropped.

    Signals:
        state_changed: See :attr:`state`.
        base_ready: The version's own prediction of the open document is there, or is another one.
        failed: A PspnetError.
    """

    state_changed = Signal()
    base_ready = Signal()
    failed = Signal(object)

    def __init__(
        self, session: Session, training: Training, engine: PredictionEngine, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._training = training
        self._engine = engine
        self._handle: JobHandle | None = None
        self._cache: OrderedDict[tuple[str, int], Predicted] = OrderedDict()
        self.state = "none"
        """``none`` (no image), ``no_version``, ``running``, ``ready`` or ``failed``."""
        session.document_changed.connect(self._on_document_changed)
        session.project_changed.connect(self._cache.clear)
        training.current_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Predict the open image with the current version, or show the prediction that is known."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        document, version = self._session.document, self._training.current_version
        if document is None:
            self._set_state("none")
            return
        if version is None:
            document.set_prediction(None)
            self._set_state("no_version")
            return
        known = self._cache.get((document.item_key, version))
        if known is not None:
            self._show(known.prediction, version)
            return
        if document.pixels.source is None:  # comes back when the image itself is there
            self._set_state("running")
            return
        path, source, engine = self._training.checkpoint_path(version), document.pixels.source, self._engine
        key = document.item_key

        def predict() -> Iterator[Any]:
            yield from engine.predict(path, source)

        def on_done(last: Any) -> None:
            self._handle = None
            self._remember((key, version), last)
            if self._session.document is document and self._training.current_version == version:
                self._show(last.prediction, version)

        def on_error(error: PspnetError) -> None:
            self._handle = None
            self._set_state("failed")
            self.failed.emit(error)

        self._handle = self._session.runner.submit(
            Lane.TORCH, predict, name=tr("predicting"), priority=Priority.VISIBLE, on_done=on_done, on_error=on_error
        )
        self._set_state("running")

    def logits_of(self, item_key: str) -> LogitGrid | None:
        """What the current version's own prediction of an image was made from; None where it is not kept."""
        version = self._training.current_version
        known = self._cache.get((item_key, version)) if version is not None else None
        return known.logits if known is not None else None

    def base_of(self, item_key: str) -> Prediction | None:
        """The current version's own prediction of an image; None where it is not there."""
        version = self._training.current_version
        known = self._cache.get((item_key, version)) if version is not None else None
        return known.prediction if known is not None else None

    def version_of(self, item_key: str) -> int | None:
        """Number of the version whose own prediction of an image is there; None where there is none."""
        return self._training.current_version if self.base_of(item_key) is not None else None

    def accept(self, only_unlabelled: bool = False) -> bool:
        """Take over the prediction as one undoable step; False when nothing changed or none is shown."""
        document = self._session.document
        if document is None or document.is_editing:
            return False
        return document.accept_prediction(only_unlabelled)

    def _on_document_changed(self) -> None:
        document = self._session.document
        if document is not None and not document.pixels.is_loaded:
            document.pixels.loaded.connect(self.refresh)
        self.refresh()

    def _show(self, prediction: Prediction, version: int) -> None:
        document, project = self._session.document, self._session.project
        assert document is not None
        assert project is not None
        state = project.state(document.item_key)
        if not state.prediction_shown:
            blocks = labelled_blocks(document.class_plane)
            project.set_state(document.item_key, prediction_shown=True, unaided_blocks=blocks)
            self._session.autosave.project_changed()
        document.set_prediction(prediction, version)
        self._set_state("ready")
        self.base_ready.emit()

    def _remember(self, key: tuple[str, int], predicted: Predicted) -> None:
        self._cache[key] = predicted
        while sum(_num_bytes(known) for known in self._cache.values()) > _CACHE_BYTES:
            if len(self._cache) == 1:
                break
            self._cache.popitem(last=False)

    def _set_state(self, state: str) -> None:
        self.state = state
        self.state_changed.emit()


def _num_bytes(predicted: Predicted) -> int:
    logits = predicted.logits.num_bytes if predicted.logits is not None else 0
    return predicted.prediction.class_map.nbytes + predicted.prediction.confidence.nbytes + logits
