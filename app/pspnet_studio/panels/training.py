"""Fine-tuning at one click: the button, the live curves, what came of it, and the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.errors import PspnetError
from pspnet_studio.assets import icon
from pspnet_studio.jobs.finetuning import FULL_SECONDS, QUICK_SECONDS
from pspnet_studio.messages import tr
from pspnet_studio.panels.disclosure import ElidedLabel, make_label
from pspnet_studio.panels.result_view import ResultView
from pspnet_studio.panels.run_view import RunView
from pspnet_studio.panels.training_rows import ContinuousRow, InterruptedCard, WaitingRow
from pspnet_studio.panels.training_words import (
    class_changes,
    explanation,
    outcome_words,
    waiting_text,
    wish_text,
)
from pspnet_studio.panels.versions import VersionList
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS

if TYPE_CHECKING:
    from pspnet_studio.model.continuous import Continuous
    from pspnet_studio.model.document import Document
    from pspnet_studio.model.predictions import Predictions
    from pspnet_studio.model.session import Session
    from pspnet_studio.model.training import Training

_CHOICES = (("quick", 60), ("quick", 180), ("full", 300), ("full", 1200), ("full", 3600))
_REFRESH_DELAY_MS = 150
_VERSIONS_SHARE, _LEAST_SHARE = 0.42, 0.26  # of the height of the panel, at most; and while it runs


class TrainingPanel(QWidget):
    """Starts, shows and ends a fine-tune, and lets a version be chosen.

    Args:
        training: Told to start, to end, and which version to use.
        predictions: What the overlay shows, in one line.
        session: Its changes may change whether a fine-tune can start.
        continuous: Starts fine-tunes by itself.

    Signals:
        length_changed: Another mode or time was chosen: mode, seconds.
        review_wanted: A person wants to see where the version in use is wrong.
    """

    length_changed = Signal(str, int)
    review_wanted = Signal()

    def __init__(
        self,
        training: Training,
        predictions: Predictions,
        session: Session,
        continuous: Continuous,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._training = training
        self._predictions = predictions
        self._session = session
        self._document: Document | None = None
        self._is_split_by_hand = False
        self._lengths: dict[str, int] = {"quick": QUICK_SECONDS, "full": FULL_SECONDS}
        self.start_button = QPushButton(tr("Fine-tune"))
        self.length_box = QComboBox()
        self.waiting = WaitingRow()
        self._length_row = QStackedWidget()
        self._explanation = make_label("muted")
        self._explanation.setMinimumHeight(2 * self.fontMetrics().lineSpacing())  # whatever it says
        self._explanation.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._reason = make_label("muted")
        self.interrupted = InterruptedCard()
        self.continuous = ContinuousRow(continuous)
        self.run = RunView()
        self.result = ResultView()
        self.versions = VersionList()
        self._prediction_line = ElidedLabel("muted")
        self._refresh_timer = QTimer(self, singleShot=True, interval=_REFRESH_DELAY_MS)
        self._lay_out()
        self._connect()
        self._update_versions()
        self._on_prediction_changed()
        self.refresh()

    @property
    def mode(self) -> str:
        """``quick`` or ``full``."""
        return str(self.length_box.currentData()[0])

    @property
    def seconds(self) -> int:
        """The chosen time budget."""
        return int(self.length_box.currentData()[1])

    def seconds_of(self, mode: str) -> int:
        """The time that was last chosen for a mode."""
        return self._lengths[mode]

    def set_length(self, mode: str, seconds: int) -> None:
        """Choose a mode and a time budget; one that is not offered is added."""
        places = [self.length_box.itemData(n) for n in range(self.length_box.count())]
        if (mode, seconds) not in places:
            order = [("quick", "full").index(m) * 1_000_000 + s for m, s in places]
            place = sum(value < ("quick", "full").index(mode) * 1_000_000 + seconds for value in order)
            self.length_box.insertItem(place, wish_text(mode, seconds), (mode, seconds))
            places.insert(place, (mode, seconds))
        self.length_box.setCurrentIndex(places.index((mode, seconds)))

    def set_seconds(self, seconds: int) -> None:
        """Choose a time budget for the mode that is chosen."""
        self.set_length(self.mode, seconds)

    @property
    def reason(self) -> str:
        """Why the button is disabled; empty when it is not."""
        return self._reason.text()

    @property
    def prediction_text(self) -> str:
        """What it says about the overlay."""
        return self._prediction_line.text()

    def press_start(self) -> None:
        """Fine-tune now, or once more after the one that runs."""
        if not self._training.is_running:
            self._training.start(self.seconds, self.mode)
        elif self._training.waiting is None:
            self._training.enqueue(self.seconds, self.mode)

    def refresh(self) -> None:
        """Look again whether a fine-tune can start."""
        can_start, reason = self._training.can_start()
        is_running, waiting = self._training.is_running, self._training.waiting
        self.start_button.setEnabled(can_start or (is_running and waiting is None))
        text = tr("Once more after this") if is_running else tr("Fine-tune")
        self.start_button.setText(tr("1 waiting") if waiting is not None else text)
        self._reason.setText("" if can_start or is_running else reason)
        self._reason.setVisible(bool(self._reason.text()))
        self._explanation.setText(explanation(self.mode, self.seconds, self._training.current_version is not None))
        hint = tr("Train on everything that is labelled, in the background (Ctrl+T)")
        self.start_button.setToolTip(hint if can_start or is_running else reason)
        self._explanation.setVisible(not is_running)  # the curves have more to tell
        self._length_row.setCurrentWidget(self.length_box if waiting is None else self.waiting)
        if waiting is not None:
            self.waiting.show_wish(waiting_text(waiting))
        self.interrupted.show_interrupted(None if is_running else self._training.interrupted)
        self.interrupted.resume_button.setEnabled(can_start)
        self.continuous.refresh(self._session.project is not None)

    # --- inside

    def _lay_out(self) -> None:
        self.start_button.setProperty("look", "primary")
        self.start_button.setIcon(icon("fine-tune", QPalette.ColorRole.HighlightedText))
        self.start_button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for mode, seconds in _CHOICES:
            self.length_box.addItem(wish_text(mode, seconds), (mode, seconds))
        self.length_box.setAccessibleName(tr("How to fine-tune, and for how long"))
        self.length_box.setToolTip(
            tr("Quick goes on from the version in use; Full starts from the base weights until it stops improving")
        )
        self._length_row.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._length_row.addWidget(self.length_box)
        self._length_row.addWidget(self.waiting)
        self.run.hide()
        self.result.hide()
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(SPACE_M, SPACE_M, SPACE_XS, SPACE_S)  # the bar is beside it
        column.setSpacing(SPACE_S)
        for widget in (self.interrupted, self.start_button, self._length_row, self._explanation, self._reason):
            column.addWidget(widget)
        for widget in (self.continuous, self.result, self.run):
            column.addWidget(widget)
        column.addStretch(1)
        self._area = _Column()
        self._area.setWidget(inside)
        self._below = QWidget()
        rest = QVBoxLayout(self._below)
        rest.setContentsMargins(SPACE_M, SPACE_S, SPACE_M, SPACE_S)
        rest.setSpacing(SPACE_XS)
        rest.addWidget(self.versions, 1)
        rest.addWidget(self._prediction_line)
        # The versions stay in sight however much there is to tell above them.
        self._splitter = splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._area)
        splitter.addWidget(self._below)
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 0)
        splitter.splitterMoved.connect(self._on_splitter_moved)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(splitter)

    def _connect(self) -> None:
        training, session = self._training, self._session
        self._refresh_timer.timeout.connect(self.refresh)
        self.start_button.clicked.connect(self.press_start)
        self.length_box.currentIndexChanged.connect(self._on_length)
        self.waiting.drop_button.clicked.connect(training.drop_waiting)
        self.interrupted.resume_button.clicked.connect(training.resume_interrupted)
        self.interrupted.discard_button.clicked.connect(training.discard_interrupted)
        self.run.pause_button.clicked.connect(lambda: training.set_paused(not training.is_paused))
        self.run.stop_button.clicked.connect(self._on_stop_wanted)
        self.run.cancel_button.clicked.connect(self._on_cancel_wanted)
        self.result.review_wanted.connect(self.review_wanted)
        self.versions.chosen.connect(training.set_current)
        training.started.connect(self._on_started)
        training.progressed.connect(self.run.show_event)
        training.paused_changed.connect(lambda: self.run.set_paused(training.is_paused))
        training.ended.connect(self._on_ended)
        training.versions_changed.connect(self._update_versions)
        training.current_changed.connect(self._update_current)
        for changed in (training.start_changed, training.waiting_changed, training.interrupted_changed):
            changed.connect(self.refresh)
        self._predictions.state_changed.connect(self._on_prediction_changed)
        session.project_changed.connect(self._on_project_changed)
        session.document_changed.connect(self._on_document_changed)
        for signal in (session.items_changed, session.state_changed, session.classes_changed):
            signal.connect(self._refresh_soon)

    def _refresh_soon(self) -> None:
        if not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def _on_length(self) -> None:
        self._lengths[self.mode] = self.seconds
        self.refresh()
        self.length_changed.emit(self.mode, self.seconds)

    def _on_project_changed(self) -> None:
        self.result.hide()
        self.run.hide()
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
        self._fit_versions()

    def _on_stop_wanted(self) -> None:
        self.run.show_ending(tr("Stopping, then comparing…"))
        self._training.finish_early()

    def _on_cancel_wanted(self) -> None:
        self.run.show_ending(tr("Cancelling…"))
        self._training.cancel()

    def _on_ended(self, outcome: Any) -> None:
        words = outcome_words(outcome, self._training.current_version)
        self.run.end(" ".join((words.title, words.detail)))
        project = self._session.project
        changes = class_changes(outcome, project.classes) if project is not None else []
        can_review = not isinstance(outcome, PspnetError) and self._training.current_version is not None
        self.result.show_outcome(words, changes, can_review and outcome is not None)
        self.result.setToolTip(getattr(outcome, "reason", ""))
        self.refresh()
        self._fit_versions()
        self._area.verticalScrollBar().setValue(0)  # the button that had the focus is gone, and took the view along

    def _update_versions(self) -> None:
        self.versions.show_versions(self._training.versions())
        self._update_current()
        self._fit_versions()

    def _fit_versions(self) -> None:
        """Let the list take no more than its rows need."""
        margins = self._below.layout().contentsMargins()
        line = self._prediction_line.sizeHint().height() + SPACE_XS
        height = self.versions.full_height + line + margins.top() + margins.bottom()
        self._below.setMaximumHeight(max(height, self._below.minimumSizeHint().height()))
        if not self._is_split_by_hand:
            room = sum(self._splitter.sizes())
            share = _LEAST_SHARE if self._training.is_running else _VERSIONS_SHARE
            below = min(height, round(share * room))
            self._splitter.setSizes([room - below, below])

    def _on_splitter_moved(self) -> None:
        self._is_split_by_hand = True

    def _update_current(self) -> None:
        self.versions.set_current(self._training.current_version)
        self._on_prediction_changed()
        self.refresh()

    def _on_prediction_changed(self) -> None:
        text = {
            "running": tr("Predicting this image…"),
            "ready": tr("The overlay shows what version {number} predicts."),
            "failed": tr("This image could not be predicted."),
        }.get(self._predictions.state, "")
        self._prediction_line.setText(text.format(number=self._training.current_version))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_versions()


class _Column(QScrollArea):
    """Scrolls up and down only, and is never narrower than what is in it; its bar always has its room."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # or what can be pressed would move
        self.verticalScrollBar().rangeChanged.connect(self._on_range_changed)
        self._on_range_changed(0, 0)

    def _on_range_changed(self, _least: int, most: int) -> None:
        sheet = "" if most else "QScrollBar::handle { background: transparent; }"
        if sheet != self.verticalScrollBar().styleSheet():
            self.verticalScrollBar().setStyleSheet(sheet)

    def minimumSizeHint(self) -> QSize:
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width + self.verticalScrollBar().sizeHint().width() + 2, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self.updateGeometry()
        return super().eventFilter(watched, event)
