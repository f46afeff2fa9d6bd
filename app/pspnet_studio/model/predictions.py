"""The prediction that lies under the open image's own pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from platformdirs import user_cache_path
from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.opening import file_version
from pspnet_core.inference.logit_store import LogitStore
from pspnet_core.training.holdout import labelled_blocks
from pspnet_core.types import Prediction, Rect
from pspnet_studio.jobs.prediction import COARSE_PX, Coarse, PartWritten, PredictionEngine, Request, keep_logits
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training

if TYPE_CHECKING:
    from pspnet_core.imaging.source import FileVersion
    from pspnet_core.inference.logits import LogitGrid
    from pspnet_core.inference.predictor import Predicted

_CACHE_BYTES = 192 * 1024 * 1024


class _Place(NamedTuple):
    """What a prediction is of, as it was when its pixels were read."""

    key: str
    version: int
    image: FileVersion | None
    checkpoint: FileVersion | None


_WORTH_PX = COARSE_PX
"""Longest side from which a first answer from a reduced picture is much earlier than the answer itself."""


class Predictions(QObject):
    """Predicts the open image with the current version, then its neighbours; a stale request is dropped.

    A reduced picture gives a first answer as soon as it is there; parts of the fine one take its place, what is seen
    first. Logits are kept in memory and on the disk (in the user's cache: they can be made again).

    Args:
        session: Its project and document.
        training: Its current version predicts.
        engine: Lives in the torch lane.
        cache: Folder for logits; the user's cache when not given.

    Signals:
        state_changed: See :attr:`state`.
        base_ready: The version's own prediction of the open document is there, or is another one.
        failed: A PspnetError.
    """

    state_changed = Signal()
    base_ready = Signal()
    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        training: Training,
        engine: PredictionEngine,
        parent: QObject | None = None,
        cache: Path | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._training = training
        self._engine = engine
        self._folder = cache
        self._handle: JobHandle | None = None
        self._ahead: JobHandle | None = None
        self._tried: list[_Place] = []  # neighbours of the open image; the last one belongs to the job, if there is one
        self._waited_for: ImagePixels | None = None
        self._cache: OrderedDict[_Place, Predicted] = OrderedDict()
        self._first: tuple[Document, int, Prediction] | None = None  # the answer that parts are written to
        self._visible: Callable[[], Rect | None] = lambda: None
        self.state = "none"
        """``none`` (no image), ``no_version``, ``running``, ``ready`` or ``failed``."""
        session.document_changed.connect(self._on_document_changed)
        session.project_changed.connect(self._forget)
        session.loading_changed.connect(self._on_loading_changed)
        session.neighbours.finished.connect(self._predict_ahead)
        training.current_changed.connect(self.refresh)

    def look_through(self, visible: Callable[[], Rect | None]) -> None:
        """Have a function that tells which part of the image is seen: it is predicted first."""
        self._visible = visible

    def refresh(self) -> None:
        """Predict the open image with the current version, or show the prediction that is known."""
        self._cancel()
        document, version = self._session.document, self._training.current_version
        if document is None:
            self._set_state("none")
            if version is not None and self._session.project is not None:
                self._prepare(version)
            return
        if version is None:
            document.set_prediction(None)
            self._set_state("no_version")
            return
        known = self._known(document.item_key)
        if known is not None:
            self._show(known.prediction, version)
            self._set_ready()
            return
        self._start(document, version)
        self._set_state("running" if self._handle is not None or self._session.is_loading else "failed")

    def logits_of(self, item_key: str) -> LogitGrid | None:
        """What the current version's own prediction of an image was made from; None where it is not kept."""
        known = self._known(item_key)
        return known.logits if known is not None else None

    def base_of(self, item_key: str) -> Prediction | None:
        """The current version's own prediction of an image; None where it is not there."""
        known = self._known(item_key)
        return known.prediction if known is not None else None

    def version_of(self, item_key: str) -> int | None:
        """Number of the version whose own prediction of an image is there; None where there is none."""
        return self._training.current_version if self.base_of(item_key) is not None else None

    @property
    def num_images_learned(self) -> int | None:
        """From how many images the current version learned; None where its record does not tell."""
        return _num_images_learned(self._training)

    # --- the open image

    def _on_document_changed(self) -> None:
        document = self._session.document
        if self._first is not None and self._first[0] is not document:
            self._first = None
        if self._waited_for is not None:
            self._waited_for.loaded.disconnect(self.refresh)
            self._waited_for = None
        if document is not None and not document.pixels.is_loaded:
            self._waited_for = document.pixels
            document.pixels.loaded.connect(self.refresh)
        self._tried.clear()
        self.refresh()

    def _on_loading_changed(self, is_loading: bool) -> None:
        """What cannot be read gets no more than the first answer."""
        document = self._session.document
        if document is None or document.pixels.is_loaded or self._handle is not None:
            return
        if self.state in ("running", "failed"):
            self._set_state("running" if is_loading else "failed")

    def _prepare(self, version: int) -> None:
        """Load the version while the image is still being read."""
        path = self._training.checkpoint_path(version)
        self._session.runner.submit(
            Lane.TORCH,
            lambda: self._engine.prepare(path),
            name=tr("loading the version"),
            priority=Priority.VISIBLE,
            on_error=lambda _: None,  # is told when an image is predicted
        )

    def _start(self, document: Document, version: int) -> None:
        """Predict what is there of the image: the reduced picture, or the image itself."""
        pixels = document.pixels
        preview = pixels.preview if pixels.preview is not None else pixels.array
        if preview is not None and max(document.shape) < _WORTH_PX:
            preview = None
        into = None
        if self._first is not None and self._first[:2] == (document, version):
            into = self._first[2]
        if pixels.source is None and (preview is None or into is not None):
            return  # comes back when the image itself is there
        place = self._place(document.item_key, version)
        request = self._request(place, document.shape).now(preview, pixels.source, self._visible(), into)

        def on_event(event: Any) -> None:
            if isinstance(event, Coarse):
                self._first = document, version, event.prediction
                self._show(event.prediction, version)
            elif isinstance(event, PartWritten) and document.prediction is event.whole:  # or it follows the hand
                document.set_prediction(event.whole, version, changed=event.rect)

        def on_done(last: Any) -> None:
            self._handle = None
            if request.source is None:  # the reduced picture alone: the image itself may have come meanwhile
                if pixels.source is not None:
                    self.refresh()
                elif not self._session.is_loading:
                    self._set_state("failed")
                return
            self._first = None
            self._remember(place, last)
            self._keep(request, last)
            self._show(last.prediction, version)
            self._set_ready()

        def on_error(error: PspnetError) -> None:
            self._handle = None
            self._set_state("failed")
            self.failed.emit(error)

        self._handle = self._session.runner.submit(
            Lane.TORCH,
            lambda: self._engine.predict(request),
            name=tr("predicting"),
            priority=Priority.VISIBLE,
            on_event=on_event,
            on_done=on_done,
            on_error=on_error,
        )

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

    def _set_ready(self) -> None:
        self._set_state("ready")
        self.base_ready.emit()
        if not self._session.neighbours.is_busy:
            self._predict_ahead()

    # --- its neighbours

    def _predict_ahead(self) -> None:
        """Predict the next image that is not known, from its picture if that was read ahead; each one once."""
        version = self._training.current_version
        if self.state != "ready" or version is None or self._ahead is not None:
            return
        pictures = self._session.neighbours.pictures
        for item in self._session.neighbours.items:
            place = self._place(item.key, version)
            if place in self._cache or place in self._tried:
                continue
            source = pictures.get(item)
            if source is None or source.file_version != place.image:
                continue
            self._tried.append(place)
            request = self._request(place, (source.height, source.width)).now(None, source, None, None)

            def on_done(last: Any, request: Request = request, place: _Place = place) -> None:
                self._ahead = None
                if self._training.current_version == version:
                    self._remember(place, last)
                    self._keep(request, last)
                    self._predict_ahead()

            def on_error(_: PspnetError) -> None:  # is told when somebody wants to see that image
                self._ahead = None

            self._ahead = self._session.runner.submit(
                Lane.TORCH,
                lambda request=request: self._engine.predict(request),  # type: ignore[misc]
                name=tr("predicting ahead"),
                priority=Priority.PREFETCH,
                on_done=on_done,
                on_error=on_error,
            )
            return

    # --- what is kept

    def _place(self, key: str, version: int) -> _Place:
        """Where the prediction of an image as it is belongs: of the open one, as it was when it was read."""
        document, project = self._session.document, self._session.project
        assert project is not None
        if document is not None and document.item_key == key and document.pixels.source is not None:
            image = document.pixels.source.file_version
        else:
            image = file_version(project.item(key).image_path)
        return _Place(key, version, image, file_version(self._training.checkpoint_path(version)))

    def _request(self, place: _Place, shape: tuple[int, int]) -> Request:
        project = self._session.project
        assert project is not None
        item = project.item(place.key)
        folder = self._folder or user_cache_path("pspnet-studio", appauthor=False) / "logits"
        return Request(
            self._training.checkpoint_path(place.version),
            *shape,
            image_path=item.image_path,
            page=item.page,
            store=LogitStore(folder / project.uuid) if place.image is not None else None,
            image_version=place.image,
            checkpoint_version=place.checkpoint,
        )

    def _known(self, key: str) -> Predicted | None:
        document, version = self._session.document, self._training.current_version
        if version is None or self._session.project is None or all(place.key != key for place in self._cache):
            return None
        place = self._place(key, version)
        if (known := self._cache.get(place)) is None:
            return None
        if document is not None and document.item_key == key and known.prediction.class_map.shape != document.shape:
            return None
        self._cache.move_to_end(place)
        return known

    def _remember(self, place: _Place, predicted: Predicted) -> None:
        _remember(self._cache, place, predicted, self._session.current_key)

    def _keep(self, request: Request, predicted: Predicted) -> None:
        logits = predicted.logits
        if logits is None or request.store is None:
            return
        self._session.runner.call(
            Lane.IO,
            lambda: keep_logits(request, logits),
            name=tr("keeping a prediction"),
            priority=Priority.TIDY,
            on_error=lambda _: None,  # a cache: a full disk is told by what matters
        )

    def _forget(self) -> None:
        self._cancel()
        self._cache.clear()

    def _cancel(self) -> None:
        for job in (self._handle, self._ahead):
            if job is not None:
                job.cancel()
        if self._ahead is not None:
            del self._tried[-1:]  # has to be asked for again
        self._handle = self._ahead = None

    def _set_state(self, state: str) -> None:
        self.state = state
        self.state_changed.emit()


def _num_bytes(predicted: Predicted) -> int:
    logits = predicted.logits.num_bytes if predicted.logits is not None else 0
    return predicted.prediction.class_map.nbytes + predicted.prediction.confidence.nbytes + logits


def _remember(cache: OrderedDict[_Place, Predicted], place: _Place, predicted: Predicted, open_key: str | None) -> None:
    """Put in one more; others go where there is too much."""
    for other in list(cache):
        if other[:2] == place[:2]:
            del cache[other]  # of a file that was written again since
    cache[place] = predicted
    for other in list(cache):
        if sum(_num_bytes(known) for known in cache.values()) <= _CACHE_BYTES:
            return
        if other.key != open_key and (other != place or len(cache) > 1):
            del cache[other]


def _num_images_learned(training: Training) -> int | None:
    record = next((v.record for v in training.versions() if v.number == training.current_version), {})
    num_images = record.get("num_images")
    return num_images if isinstance(num_images, int) else None
