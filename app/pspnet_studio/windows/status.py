"""The bottom line: where the cursor is, what is saved, what runs, which model predicts, on what device."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLabel, QStatusBar, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.types import UNLABELLED, Provenance
from pspnet_studio.jobs.runner import SHORT_S
from pspnet_studio.messages import tr
from pspnet_studio.model.live import MAX_PIXELS, Live
from pspnet_studio.model.pixel import Pixel
from pspnet_studio.model.predictions import Predictions
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.theme import SPACE_S, SPACE_XS


def pixel_text(pixel: Pixel, classes: ClassSet) -> str:
    """Class under the cursor, where it comes from, and how sure the prediction is: for the status line."""
    if pixel.class_id == UNLABELLED:
        return tr("erased") if pixel.provenance is Provenance.ERASED else ""
    name = classes[pixel.class_id].name if pixel.class_id in classes else str(pixel.class_id)
    sources = {
        Provenance.UNTOUCHED: tr("predicted"),
        Provenance.ACCEPTED: tr("accepted"),
        Provenance.PAINTED: tr("painted"),
        Provenance.IMPORTED: tr("imported"),
    }
    text = f"{name} · {sources.get(pixel.provenance, '')}"
    return (
        text
        if pixel.confidence is None
        else tr("{text} {percent} %").format(text=text, percent=round(pixel.confidence * 100))
    )


class StatusLine(QStatusBar):
    """Permanent fields, right to left: device, version, save state, jobs, zoom, cursor."""

    def __init__(
        self, session: Session, training: Training, predictions: Predictions, live: Live, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._session, self._training, self._predictions, self._live = session, training, predictions, live
        self._later = QTimer(self, singleShot=True, interval=round(SHORT_S * 1000) + 50)
        self._later.timeout.connect(self._on_jobs)
        self.setSizeGripEnabled(False)
        self.setMinimumWidth(1)  # where there is no room for all fields the window may still be narrow
        self.setContentsMargins(SPACE_XS, 0, SPACE_XS, 0)
        self.cursor_label = self._field(tr("Position under the cursor, in image pixels"), 120)
        self.zoom_label = self._field(tr("Zoom"), 52)
        self.jobs_label = self._field(tr("What runs in the background"), 0)
        self.save_label = self._field(tr("Everything is saved by itself"), 0)
        self.live_label = self._field(tr("Whether the overlay follows your strokes"), 0)
        self.version_label = self._field(tr("Version of the model that predicts"), 0)
        self.device_label = self._field(tr("Where the network computes"), 0)
        self.device_label.setText(tr("Device: …"))
        session.autosave.state_changed.connect(self._on_save_state)
        session.runner.jobs_changed.connect(self._on_jobs)
        training.current_changed.connect(self._on_version)
        predictions.state_changed.connect(self._on_version)
        live.state_changed.connect(self._on_live)
        session.project_changed.connect(self._on_project)
        self._on_project()

    def set_device(self, name: str) -> None:
        """Show where the network computes."""
        self.device_label.setText(tr("Device: {name}").format(name=name))

    def set_cursor(self, x: int | None, y: int | None, text: str = "") -> None:
        """Show the image position under the cursor and what is there, or nothing."""
        self.cursor_label.setText("" if x is None else f"{x}, {y}   {text}".rstrip())

    def set_zoom(self, zoom: float | None) -> None:
        """Show the zoom, 1.0 = one image pixel per screen pixel; None while there is no image."""
        self.zoom_label.setText("" if zoom is None else f"{zoom * 100:.0f} %" if zoom >= 0.1 else f"{zoom * 100:.1f} %")

    def _field(self, tip: str, width: int) -> QLabel:
        label = QLabel(self)
        label.setToolTip(tip)
        label.setMinimumWidth(width)
        label.setContentsMargins(SPACE_S, 0, SPACE_S, 0)
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.addPermanentWidget(label)
        return label

    def _on_save_state(self, state: str) -> None:
        texts = {
            "saved": tr("✓ Saved"),
            "journaled": tr("✓ Saved"),  # in the journal: for a person that is the same
            "unsaved": tr("• Not saved yet"),
            "saving": tr("Saving…"),
            "failed": tr("⚠ Not saved: trying again"),
        }
        self.save_label.setText(texts[state] if self._session.project is not None else "")

    def _on_jobs(self) -> None:
        runner = self._session.runner
        visible = runner.visible_jobs
        names = ", ".join(dict.fromkeys(visible))
        self.jobs_label.setText(names[:1].upper() + names[1:])
        self.jobs_label.setVisible(bool(names))
        if len(visible) < len(runner.jobs):
            self._later.start()  # a save that still runs then is shown

    def _on_project(self) -> None:
        self._on_save_state(self._session.autosave.state)
        self._on_version()
        self._on_live()

    def _on_live(self) -> None:
        texts = {
            "too_large": tr("Live: off above {count} megapixels").format(count=MAX_PIXELS // 1_000_000),
            "preparing": tr("Live: preparing…"),
            "waiting": tr("Live: paint two classes"),
            "fitting": tr("Live"),
            "ready": tr("Live"),
            "failed": tr("Live: failed"),
        }
        has_version = self._training.current_version is not None
        text = tr("Live") if has_version and self._live.state == "waiting" else texts.get(self._live.state, "")
        self.live_label.setText(text if self._session.project is not None else "")

    def _on_version(self) -> None:
        if self._session.project is None:
            self.version_label.setText("")
            return
        number = self._training.current_version
        if number is None:
            self.version_label.setText(tr("No model yet"))
            return
        suffix = {"running": tr(" · predicting…"), "failed": tr(" · prediction failed")}.get(
            self._predictions.state, ""
        )
        self.version_label.setText(tr("Model: version {number}").format(number=number) + suffix)
