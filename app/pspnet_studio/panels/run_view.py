"""A fine-tune that is going on: how far it is, what it does to the scores, and what can be done about it."""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.training.events import Adjusted, Evaluated, Phase, Planned, Resumed, Step
from pspnet_studio.assets import icon
from pspnet_studio.messages import tr
from pspnet_studio.panels.curves import CurvePlot
from pspnet_studio.panels.disclosure import Disclosure, ElidedLabel
from pspnet_studio.panels.training_words import event_text, phase_text, time_left_text
from pspnet_studio.theme import SPACE_S, SPACE_XS

_PROGRESS_STEPS = 1000
_LOG_LINES = 500
_LOG_HEIGHT = 110


class RunView(QWidget):
    """A fine-tune that is going on, or its curves and log afterwards.

    What can be pressed stands above everything that changes its size.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._phase = ElidedLabel("title")
        self._time_left = QLabel()
        self._time_left.setProperty("look", "muted")
        self._note = ElidedLabel("warning")
        self._is_ending = self._is_paused = False
        self._elapsed_s = 0.0
        self.progress = QProgressBar()
        self.progress.setRange(0, _PROGRESS_STEPS)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Progress of the fine-tune"))
        self.loss = CurvePlot(tr("Training loss (lower is better)"), is_smoothed=True)
        self.mean_iou = CurvePlot(tr("Held-out mIoU (higher is better)"), y_max=1.0, has_markers=True)
        self.mean_iou.setToolTip(
            tr("Agreement with labelled areas that are kept out of training: 0 is none, 1 is perfect")
        )
        self.pause_button = _button("pause", tr("Pause"))
        self.stop_button = _button("stop", tr("Finish"))
        self.stop_button.setToolTip(tr("Stop now and keep what was learned so far"))
        self.stop_button.setAccessibleName(tr("Stop and keep"))
        self.cancel_button = _button("close", tr("Cancel"))
        self.cancel_button.setToolTip(tr("End now and forget this fine-tune; nothing changes"))
        self.log = LogView()
        self._log_section = Disclosure(tr("Log"), self.log)
        self._lay_out()
        self.set_paused(False)

    @property
    def has_curve(self) -> bool:
        """Whether a value arrived since :meth:`begin`."""
        return bool(self.loss.points)

    @property
    def text(self) -> str:
        """What it says about how far it is."""
        return f"{self._phase.text()} {self._time_left.text()}".strip()

    @property
    def note(self) -> str:
        """What went another way than planned; empty when nothing did."""
        return self._note.text()

    def begin(self) -> None:
        """A fine-tune starts."""
        self.loss.clear()
        self.mean_iou.clear()
        self.mean_iou.hide()
        self.loss.show()
        self.log.clear()
        self.progress.setRange(0, 0)
        self._is_ending, self._elapsed_s = False, 0.0
        self._phase.setText(tr("Getting ready…"))
        self._time_left.clear()
        self._note.clear()
        self._head.show()
        self.stop_button.setEnabled(False)  # there is nothing to keep before the first step
        self.pause_button.setEnabled(False)
        self.cancel_button.setEnabled(True)
        self.set_paused(False)

    def show_event(self, event: Any) -> None:
        """Take over what training told."""
        self.pause_button.setEnabled(not self._is_ending)
        if isinstance(event, Phase):
            self._say(phase_text(event.name))
            self._set_progress(event.fraction)
        elif isinstance(event, Planned):
            self.loss.set_x_max(event.steps)
            self.mean_iou.set_x_max(event.steps)
        elif isinstance(event, Step):
            self._show_step(event)
        elif isinstance(event, Evaluated) and not math.isnan(event.mean_iou):
            self.mean_iou.show()
            self.mean_iou.add(event.step, event.mean_iou)
        elif isinstance(event, Adjusted | Resumed):
            self._note.setText(event_text(event))
        if line := event_text(event):
            self.log.add(line, self._elapsed_s)

    def set_paused(self, is_paused: bool) -> None:
        """Say that it rests, or goes on."""
        self.pause_button.setText(tr("Resume") if is_paused else tr("Pause"))
        self.pause_button.setIcon(icon("play" if is_paused else "pause"))
        self.pause_button.setToolTip(
            tr("Go on with the fine-tune") if is_paused else tr("Let it rest; what it learned so far stays")
        )
        was_paused, self._is_paused = self._is_paused, is_paused
        if is_paused:
            self._phase.setText(tr("Paused"))
            self.log.add(tr("Paused."), self._elapsed_s)
        elif was_paused:
            self._say(phase_text("train"))
            self.log.add(tr("Going on."), self._elapsed_s)

    def show_ending(self, text: str) -> None:
        """A wish to end was passed on."""
        self._is_ending = True
        self._phase.setText(text)
        self._time_left.clear()
        self.progress.setRange(0, 0)
        for button in (self.pause_button, self.stop_button, self.cancel_button):
            button.setEnabled(False)

    def end(self, words: str) -> None:
        """Leave only the curves, where there are any, and the log."""
        self._head.hide()
        self.loss.setVisible(self.has_curve)
        self.log.add(words, self._elapsed_s)

    # --- inside

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.addWidget(self._phase, 1)
        line.addWidget(self._time_left)
        buttons = QHBoxLayout()
        buttons.setSpacing(SPACE_XS)
        for button in (self.pause_button, self.stop_button, self.cancel_button):
            buttons.addWidget(button, 1)
        self._head = QWidget()
        head = QVBoxLayout(self._head)
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(SPACE_S)
        head.addLayout(line)
        head.addWidget(self.progress)
        head.addLayout(buttons)
        head.addWidget(self._note)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, SPACE_XS, 0, 0)
        column.setSpacing(SPACE_S)
        for widget in (self._head, self.loss, self.mean_iou, self._log_section):
            column.addWidget(widget)

    def _show_step(self, event: Step) -> None:
        self._elapsed_s = event.elapsed_s
        self.loss.set_x_max(event.num_steps)
        self.mean_iou.set_x_max(event.num_steps)
        self.loss.add(event.step, event.loss)
        self._say(phase_text("train"))
        if not self._is_ending:
            self._time_left.setText(time_left_text(event.eta_s))
        self._set_progress(event.elapsed_s / max(1e-6, event.elapsed_s + event.eta_s))
        self.stop_button.setEnabled(not self._is_ending)

    def _say(self, phase: str) -> None:
        if not self._is_ending and not self._is_paused:  # an event may come after the wish
            self._phase.setText(phase)

    def _set_progress(self, fraction: float) -> None:
        if not self._is_ending:
            self.progress.setRange(0, _PROGRESS_STEPS)
            self.progress.setValue(round(_PROGRESS_STEPS * min(1.0, max(0.0, fraction))))


class LogView(QWidget):
    """What happened in a fine-tune, line by line, to be read and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setMaximumBlockCount(_LOG_LINES)
        self._text.setFixedHeight(_LOG_HEIGHT)
        self._text.setAccessibleName(tr("Log of the fine-tune"))
        self._text.setTabChangesFocus(True)
        self.copy_button = QPushButton(tr("Copy"))
        self.copy_button.setToolTip(tr("Copy the whole log"))
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE_XS)
        column.addWidget(self._text)
        column.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignRight)

    @property
    def text(self) -> str:
        """All of it."""
        return self._text.toPlainText()

    def clear(self) -> None:
        """Start anew."""
        self._text.clear()

    def add(self, line: str, elapsed_s: float) -> None:
        """Add a line with the time since the start; one that says the same again is left out."""
        last = self._text.document().lastBlock().text()
        if last.partition("  ")[2] != line:
            minutes, seconds = divmod(int(elapsed_s), 60)
            self._text.appendPlainText(f"{minutes}:{seconds:02d}  {line}")


def _button(icon_name: str, text: str) -> QPushButton:
    """One of three that share a row: it takes its part of the width, whatever it says."""
    button = QPushButton(text)
    button.setIcon(icon(icon_name))
    button.setProperty("look", "compact")
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button
