"""Fine-tuning at one click: the button, the live curves, what came of it, and the versions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.errors import PspnetError
from pspnet_core.training.events import Evaluated, Phase, Step
from pspnet_studio.assets import icon
from pspnet_studio.messages import tr
from pspnet_studio.panels.curves import CurvePlot
from pspnet_studio.panels.training_words import Outcome, duration_text, outcome_words, phase_text, time_left_text
from pspnet_studio.panels.versions import VersionList
from pspnet_studio.theme import ICON_PX, SPACE_M, SPACE_S, SPACE_XS

if TYPE_CHECKING:
    from pspnet_studio.model.document import Document
    from pspnet_studio.model.predictions import Predictions
    from pspnet_studio.model.session import Session
    from pspnet_studio.model.training import Training

DEFAULT_SECONDS = 180
_CHOICES_S = (60, 180, 300, 900)
_REFRESH_DELAY_MS = 150
_PROGRESS_STEPS = 1000


class TrainingPanel(QWidget):
    """Starts, shows and ends a fine-tune, and lets a version be chosen.

    Args:
        training: Told to start, to end, and which version to use.
        predictions: What the overlay shows, in one line.
        session: Its changes may change whether a fine-tune can start.

    Signals:
        seconds_changed: Another time budget was chosen.
    """

    seconds_changed = Signal(int)

    def __init__(
        self, training: Training, predictions: Predictions, session: Session, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._training = training
        self._predictions = predictions
        self._session = session
        self._document: Document | None = None
        self.start_button = QPushButton(tr("Fine-tune"))
        self.budget_box = QComboBox()
        self._reason = _label("muted")
        self.run = RunView()
        self.result = ResultView()
        self.versions = VersionList()
        self._prediction_line = _label("muted")
        self._refresh_timer = QTimer(self, singleShot=True, interval=_REFRESH_DELAY_MS)
        self._lay_out()
        self._connect()
        self._update_versions()
        self._on_prediction_changed()
        self.refresh()

    @property
    def seconds(self) -> int:
        """The chosen time budget."""
        return int(self.budget_box.currentData())

    def set_seconds(self, seconds: int) -> None:
        """Choose a time budget; one that is not offered is added."""
        place = self.budget_box.findData(seconds)
        if place < 0:
            place = sum(self.budget_box.itemData(i) < seconds for i in range(self.budget_box.count()))
            self.budget_box.insertItem(place, duration_text(seconds), seconds)
        self.budget_box.setCurrentIndex(place)

    @property
    def reason(self) -> str:
        """Why the button is disabled; empty when it is not."""
        return self._reason.text()

    @property
    def prediction_text(self) -> str:
        """What it says about the overlay."""
        return self._prediction_line.text()

    def refresh(self) -> None:
        """Look again whether a fine-tune can start."""
        can_start, reason = self._training.can_start()
        is_running = self._training.is_running
        self.start_button.setEnabled(can_start)
        self.start_button.setText(tr("Fine-tuning…") if is_running else tr("Fine-tune"))
        self.budget_box.setEnabled(not is_running)
        self._reason.setText("" if can_start or is_running else reason)
        self._reason.setVisible(bool(self._reason.text()))
        hint = tr("Train on everything that is labelled, in the background (Ctrl+T)")
        self.start_button.setToolTip(hint if can_start else reason)

    # --- inside

    def _lay_out(self) -> None:
        self.start_button.setProperty("look", "primary")
        self.start_button.setIcon(icon("fine-tune", QPalette.ColorRole.HighlightedText))
        self.start_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for seconds in _CHOICES_S:
            self.budget_box.addItem(duration_text(seconds), seconds)
        self.set_seconds(DEFAULT_SECONDS)
        self.budget_box.setAccessibleName(tr("Time for the fine-tune"))
        self.budget_box.setToolTip(tr("How long the fine-tune may take; more time, more accurate"))
        start_row = QHBoxLayout()
        start_row.setSpacing(SPACE_S)
        start_row.addWidget(self.start_button, 1)
        start_row.addWidget(self.budget_box)
        self.run.hide()
        self.result.hide()
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(SPACE_M, SPACE_M, SPACE_M, SPACE_M)
        column.setSpacing(SPACE_S)
        column.addLayout(start_row)
        column.addWidget(self._reason)
        column.addWidget(self.result)
        column.addWidget(self.run)
        column.addSpacing(SPACE_S)
        column.addWidget(self.versions)
        column.addWidget(self._prediction_line)
        column.addStretch(1)
        area = _Column()
        area.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)

    def _connect(self) -> None:
        training, session = self._training, self._session
        self._refresh_timer.timeout.connect(self.refresh)
        self.start_button.clicked.connect(lambda: training.start(self.seconds))
        self.budget_box.currentIndexChanged.connect(lambda _i: self.seconds_changed.emit(self.seconds))
        self.run.stop_button.clicked.connect(self._on_stop_wanted)
        self.run.cancel_button.clicked.connect(self._on_cancel_wanted)
        self.versions.chosen.connect(training.set_current)
        training.started.connect(self._on_started)
        training.progressed.connect(self._on_event)
        training.ended.connect(self._on_ended)
        training.versions_changed.connect(self._update_versions)
        training.current_changed.connect(self._update_current)
        training.start_changed.connect(self.refresh)
        self._predictions.state_changed.connect(self._on_prediction_changed)
        session.project_changed.connect(self._on_project_changed)
        session.document_changed.connect(self._on_document_changed)
        for signal in (session.items_changed, session.state_changed, session.classes_changed):
            signal.connect(self._refresh_soon)

    def _refresh_soon(self) -> None:
        if not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def _on_project_changed(self) -> None:
        self.result.hide()
        self.refresh()

    def _on_document_changed(self) -> None:
        # It comes also for the same image, after another one could not be read.
        if self._document is not None:
            self._document.edited.disconnect(self._refresh_soon)
        self._document = self._session.document
        if self._document is not None:
            self._document.edited.connect(self._refresh_soon)
        self._refresh_soon()

    def _on_started(self) -> None:
        self.result.hide()
        self.run.begin()
        self.run.show()
        self.refresh()

    def _on_event(self, event: Any) -> None:
        self.run.show_event(event)

    def _on_stop_wanted(self) -> None:
        self.run.show_ending(tr("Stopping, then comparing…"))
        self._training.finish_early()

    def _on_cancel_wanted(self) -> None:
        self.run.show_ending(tr("Cancelling…"))
        self._training.cancel()

    def _on_ended(self, outcome: Any) -> None:
        if isinstance(outcome, PspnetError) or not self.run.has_curve:
            self.run.hide()
        else:
            self.run.end()
        self.result.show_outcome(outcome_words(outcome, self._training.current_version))
        self.result.setToolTip(getattr(outcome, "reason", ""))
        self.refresh()

    def _update_versions(self) -> None:
        self.versions.show_versions(self._training.versions())
        self._update_current()

    def _update_current(self) -> None:
        self.versions.set_current(self._training.current_version)
        self._on_prediction_changed()

    def _on_prediction_changed(self) -> None:
        text = {
            "running": tr("Predicting this image…"),
            "ready": tr("The overlay shows what version {number} predicts."),
            "failed": tr("This image could not be predicted."),
        }.get(self._predictions.state, "")
        self._prediction_line.setText(text.format(number=self._training.current_version))
        self._prediction_line.setVisible(bool(text))


class _Column(QScrollArea):
    """Scrolls up and down only, and is never narrower than what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width + self.verticalScrollBar().sizeHint().width() + 2, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self.updateGeometry()
        return super().eventFilter(watched, event)


class RunView(QWidget):
    """A fine-tune that is going on, or its curves afterwards."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._phase = _label("title")
        self._time_left = _label("muted", wrap=False)
        self.progress = QProgressBar()
        self.progress.setRange(0, _PROGRESS_STEPS)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Progress of the fine-tune"))
        self.loss = CurvePlot(tr("Training loss (lower is better)"), is_smoothed=True)
        self.mean_iou = CurvePlot(tr("Held-out mIoU (higher is better)"), y_max=1.0, has_markers=True)
        self.mean_iou.setToolTip(
            tr("Agreement with labelled areas that are kept out of training: 0 is none, 1 is perfect")
        )
        self.stop_button = QPushButton(tr("Stop and keep"))
        self.stop_button.setIcon(icon("stop"))
        self.stop_button.setToolTip(tr("End now and keep what was learned so far"))
        self.cancel_button = QPushButton(tr("Cancel"))
        self.cancel_button.setToolTip(tr("End now and forget this fine-tune; nothing changes"))
        self._buttons = QWidget()
        buttons = QHBoxLayout(self._buttons)
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(SPACE_S)
        buttons.addWidget(self.stop_button, 1)
        buttons.addWidget(self.cancel_button, 1)
        self._head = QWidget()
        head = QHBoxLayout(self._head)
        head.setContentsMargins(0, 0, 0, 0)
        head.addWidget(self._phase, 1)
        head.addWidget(self._time_left)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, SPACE_XS, 0, 0)
        column.setSpacing(SPACE_S)
        for widget in (self._head, self.progress, self.loss, self.mean_iou, self._buttons):
            column.addWidget(widget)

    @property
    def has_curve(self) -> bool:
        """Whether a value arrived since :meth:`begin`."""
        return bool(self.loss.points)

    @property
    def text(self) -> str:
        """What it says about how far it is."""
        return f"{self._phase.text()} {self._time_left.text()}".strip()

    def begin(self) -> None:
        """A fine-tune starts."""
        self.loss.clear()
        self.mean_iou.clear()
        self.mean_iou.hide()
        self.progress.setRange(0, 0)
        self._phase.setText(tr("Getting ready…"))
        self._time_left.clear()
        for widget in (self._head, self.progress, self._buttons):
            widget.show()
        self.stop_button.setEnabled(False)  # there is nothing to keep before the first step
        self.cancel_button.setEnabled(True)

    def show_event(self, event: Any) -> None:
        """Take over what training told."""
        if isinstance(event, Phase):
            self._phase.setText(phase_text(event.name))
            self._set_progress(event.fraction)
        elif isinstance(event, Step):
            self.loss.set_x_max(event.num_steps)
            self.mean_iou.set_x_max(event.num_steps)
            self.loss.add(event.step, event.loss)
            self._phase.setText(phase_text("train"))
            self._time_left.setText(time_left_text(event.eta_s))
            self._set_progress(event.elapsed_s / max(1e-6, event.elapsed_s + event.eta_s))
            self.stop_button.setEnabled(self.cancel_button.isEnabled())
        elif isinstance(event, Evaluated) and not math.isnan(event.mean_iou):
            self.mean_iou.show()
            self.mean_iou.add(event.step, event.mean_iou)

    def show_ending(self, text: str) -> None:
        """A wish to end was passed on."""
        self._phase.setText(text)
        self._time_left.clear()
        self.progress.setRange(0, 0)
        self.stop_button.setEnabled(False)
        self.cancel_button.setEnabled(False)

    def end(self) -> None:
        """Leave only the curves."""
        for widget in (self._head, self.progress, self._buttons):
            widget.hide()

    def _set_progress(self, fraction: float) -> None:
        self.progress.setRange(0, _PROGRESS_STEPS)
        self.progress.setValue(round(_PROGRESS_STEPS * min(1.0, max(0.0, fraction))))


class ResultView(QFrame):
    """What came of a fine-tune: an icon, a sentence, and what it means."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "card")
        self._picture = QLabel()
        self._title = _label("title")
        self._detail = _label("muted")
        words = QVBoxLayout()
        words.setSpacing(SPACE_XS)
        words.addWidget(self._title)
        words.addWidget(self._detail)
        row = QHBoxLayout(self)
        row.setContentsMargins(SPACE_M, SPACE_M, SPACE_M, SPACE_M)
        row.setSpacing(SPACE_S)
        row.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)

    @property
    def text(self) -> str:
        """What it says."""
        return f"{self._title.text()} {self._detail.text()}".strip()

    def show_outcome(self, outcome: Outcome) -> None:
        """Say what came of it."""
        self._title.setText(outcome.title)
        self._detail.setText(outcome.detail)
        self._detail.setVisible(bool(outcome.detail))
        self._picture.setPixmap(icon(outcome.icon).pixmap(ICON_PX, ICON_PX))
        self.show()


def _label(look: str, wrap: bool = True) -> QLabel:
    label = QLabel()
    label.setProperty("look", look)
    label.setWordWrap(wrap)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
