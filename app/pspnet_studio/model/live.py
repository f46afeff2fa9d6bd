"""The overlay that follows the hand: every edit fits a small head anew, and the whole image shows what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.training.holdout import labelled_blocks
from pspnet_core.types import Rect
from pspnet_studio.jobs.live import FeatureEngine, LiveFit, Marks, Shown, keep_rows, read_kept
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.predictions import Predictions
from pspnet_studio.model.session import Session

if TYPE_CHECKING:
    from pspnet_core.inference.features import ImageFeatures
    from pspnet_core.inference.kept_rows import KeptRows

MAX_PIXELS = 64_000_000
"""Of images that the overlay follows the hand on: every answer makes several planes of their size."""

_MAX_RECTS = 64
_QUIET_S, _PAINTING_S = 0.3, 0.1
"""How long training rests after each move of the hand (a fit follows), and from an answer on, until it is painted."""
_FOLDER = "live"


class Live(QObject):
    """Looks at the open document and puts what the head says under its own pixels.

    The version's own prediction is the prior; where there is no version, strokes of two classes are enough. An answer
    to an edit that is not the last one any more is dropped.

    Args:
        session: Its project and document.
        predictions: The version's own prediction.
        engine: Makes features.
        is_on: Whether it works.

    Signals:
        state_changed: See :attr:`state`.
        failed: A PspnetError.
    """

    state_changed = Signal()
    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        predictions: Predictions,
        engine: FeatureEngine,
        is_on: bool = True,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._predictions, self._engine = session, predictions, engine
        self._is_on = is_on
        self._document: Document | None = None
        self._preparing: JobHandle | None = None
        self._fitting: JobHandle | None = None
        self._fit: LiveFit | None = None
        self._changed: list[Rect] = []  # since the last fit was asked for
        self._unseen: list[Rect] = []  # asked for, but no fit that has looked there has answered yet
        self._given: Shown | None = None
        self._has_marks = False
        self.shows_confidence = False
        """Whether more than the classes is seen of an answer; the window says so."""
        self.state = "off"
        """``off``, ``none`` (no image), ``too_large`` (an image), ``preparing``, ``waiting`` (for strokes), ``fitting``
        (an edit), ``ready`` or ``failed``.
        """
        session.document_leaving.connect(self._on_leaving)
        session.document_changed.connect(self._on_document_changed)
        predictions.base_ready.connect(self._on_base_ready)
        predictions.state_changed.connect(self._on_predictions_changed)
        self._set_state("none" if is_on else "off")

    @property
    def is_on(self) -> bool:
        """Whether it works."""
        return self._is_on

    def set_on(self, is_on: bool) -> None:
        """Let the overlay follow the hand, or show the version's own prediction again."""
        if is_on == self._is_on:
            return
        self._is_on = is_on
        if is_on:
            self._on_document_changed()
            return
        document, had_marks = self._document, self._has_marks
        self._stop()
        if document is not None and had_marks:
            self._show_base(document)
        self._set_state("off")

    # --- one image

    def _on_document_changed(self) -> None:
        document = self._session.document
        if document is self._document and self._fit is not None:
            return
        self._stop()
        if not self._is_on or document is None:
            self._set_state("none" if self._is_on else "off")
            return
        if document.rect.w * document.rect.h > MAX_PIXELS:
            self._set_state("too_large")
            return
        self._document = document
        self._changed = [document.rect]
        document.region_changed.connect(self._on_region_changed)
        document.edited.connect(self._on_edited)
        self._set_state("preparing")
        if document.pixels.source is None:
            document.pixels.loaded.connect(self._prepare)
        else:
            self._prepare()

    def _stop(self) -> None:
        for job in (self._preparing, self._fitting):
            if job is not None:
                job.cancel()
        document, self._document = self._document, None
        if document is not None:
            document.region_changed.disconnect(self._on_region_changed)
            document.edited.disconnect(self._on_edited)
        self._preparing = self._fitting = self._fit = None
        self._has_marks = False
        self._changed, self._unseen, self._given = [], [], None

    def _prepare(self) -> None:
        document, engine = self._document, self._engine
        if document is None or document.pixels.source is None or self._preparing is not None or self._fit is not None:
            return
        source = document.pixels.source

        def on_done(found: Any) -> None:
            self._preparing = None
            if self._document is document:
                self._read_kept(document, found)

        self._preparing = self._session.runner.submit(
            Lane.TORCH,
            lambda: engine.steps(source),
            name=tr("preparing live refine"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=self._on_error,
        )

    def _read_kept(self, document: Document, features: ImageFeatures) -> None:
        project = self._session.project
        assert project is not None
        folder, class_ids, key = project.folder / _FOLDER, project.classes.indices, document.item_key

        def on_done(kept: KeptRows | None) -> None:
            if self._document is document and self._fit is None:
                self._begin(document, features, kept)

        self._session.runner.call(
            Lane.IO,
            lambda: read_kept(folder, key, class_ids),
            name=tr("preparing live refine"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=self._on_error,
        )

    def _begin(self, document: Document, features: ImageFeatures, kept: KeptRows | None) -> None:
        prior, num_images = self._predictions.logits_of(document.item_key), self._predictions.num_images_learned

        def on_done(fit: LiveFit) -> None:
            self._preparing = None
            if self._document is document:
                self._fit = fit
                self._set_state("waiting")
                if self._predictions.logits_of(document.item_key) is prior:
                    self._refit()
                else:
                    self._on_base_ready()

        self._preparing = self._session.runner.call(
            Lane.LIVE,
            lambda: LiveFit(features, prior, kept, num_images),
            name=tr("preparing live refine"),
            priority=Priority.VISIBLE,
            on_done=on_done,
            on_error=self._on_error,
        )

    # --- edits

    def _on_region_changed(self, rect: Rect) -> None:
        document = self._document
        assert document is not None
        if document.is_prediction_changing:
            return
        if self._fit is not None:
            self._session.runner.keep_quiet(_QUIET_S)
        if len(self._changed) < _MAX_RECTS:
            self._changed.append(rect)
        else:
            self._changed[-1] = self._changed[-1].union(rect)

    def _on_edited(self) -> None:
        self._refit()

    def _refit(self) -> None:
        """Fit to what is marked now; an answer that is still under way comes too late."""
        document, fit = self._document, self._fit
        if document is None or fit is None:
            return
        if self._fitting is not None:
            self._fitting.cancel()
        self._session.runner.keep_quiet(_QUIET_S)
        self._unseen += self._changed
        if not document.is_editing:  # what a stroke that is under way changes is to be looked at again
            self._changed = []
        looked_at = tuple(self._unseen)
        is_ours = self._given is not None and document.prediction is self._given.prediction
        marks = Marks(*document.committed_snapshot(), looked_at, self._given if is_ours else None)

        def on_event(shown: Shown | None) -> None:
            if shown is None:
                return
            if self._unseen[: len(looked_at)] == list(looked_at):
                del self._unseen[: len(looked_at)]
            self._on_shown(document, shown)

        self._fitting = self._session.runner.submit(
            Lane.LIVE,
            lambda: fit.refit(marks),
            name=tr("refining"),
            priority=Priority.REFINE,
            on_event=on_event,
            on_done=lambda _: self._on_fitted(document),
            on_error=self._on_error,
        )
        self._set_state("fitting")

    def _on_shown(self, document: Document, shown: Shown) -> None:
        if self._document is not document:
            return
        self._session.runner.keep_quiet(_PAINTING_S)
        had_marks, self._has_marks = self._has_marks, shown.prediction is not None
        if shown.prediction is None:
            if had_marks:
                self._show_base(document)
            return
        self._note_shown(document)
        # What lies there may have come from elsewhere meanwhile, and confidence changes everywhere.
        is_ours = self._given is not None and document.prediction is self._given.prediction
        is_known = is_ours and self._given is not None and self._given.painted is not None
        changed = shown.changed if is_known and not self.shows_confidence else None
        self._given = shown if changed is shown.changed else replace(shown, painted=None)
        document.set_prediction(shown.prediction, self._predictions.version_of(document.item_key), changed)

    def _on_fitted(self, document: Document) -> None:
        self._fitting = None
        if self._document is document:
            self._set_state("ready" if self._has_marks else "waiting")

    def _show_base(self, document: Document) -> None:
        base = self._predictions.base_of(document.item_key)
        if document.prediction is not base:
            document.set_prediction(base, self._predictions.version_of(document.item_key))

    def _note_shown(self, document: Document) -> None:
        """From now on what is painted here is no evidence about a version: it was painted on top of an answer."""
        project = self._session.project
        assert project is not None
        if not project.state(document.item_key).prediction_shown:
            blocks = labelled_blocks(document.class_plane)
            project.set_state(document.item_key, prediction_shown=True, unaided_blocks=blocks)
            self._session.autosave.project_changed()

    # --- around it

    def _on_base_ready(self) -> None:
        """The version's own prediction has come, or another version's: it is the prior from now on."""
        document, fit = self._document, self._fit
        if document is None or fit is None:
            return
        prior, num_images = self._predictions.logits_of(document.item_key), self._predictions.num_images_learned
        self._session.runner.call(
            Lane.LIVE,
            lambda: fit.set_prior(prior, num_images),
            name=tr("refining"),
            priority=Priority.REFINE,
            on_error=self._on_error,
        )
        self._refit()

    def _on_predictions_changed(self) -> None:
        if self._predictions.state == "no_version" and self._has_marks:
            self._on_base_ready()

    def _on_leaving(self) -> None:
        """Keep the rows of the image that is left."""
        document, fit, project = self._document, self._fit, self._session.project
        if document is None or fit is None or project is None:
            return
        if not (document.history.can_undo or document.history.can_redo):
            return
        folder, key = project.folder / _FOLDER, document.item_key
        # A fit that waits in the lane comes after this, and is given up when another image is there.
        marks = Marks(*document.committed_snapshot(), (*self._unseen, *self._changed), None)
        self._session.runner.call(
            Lane.LIVE,
            lambda: keep_rows(folder, key, fit.rows(marks)),
            name=tr("keeping strokes for later images"),
            priority=Priority.SAVE,
            on_error=self._on_error,
        )

    def _on_error(self, error: PspnetError) -> None:
        self._preparing = self._fitting = None
        self._set_state("failed")
        self.failed.emit(error)

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit()
