"""Rows of the training panel: what waits, what was interrupted, and fine-tuning by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from pspnet_studio.messages import tr
from pspnet_studio.panels.disclosure import ElidedLabel, make_label
from pspnet_studio.panels.training_words import interrupted_text
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS, indent_value

if TYPE_CHECKING:
    from pspnet_studio.model.continuous import Continuous

_MOST_IMAGES = 999
_BOX_FRAME_PX = 46  # arrows and margins


class WaitingRow(QWidget):
    """What follows on the fine-tune that runs, and a button to let it be."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ElidedLabel("")
        self.drop_button = QPushButton(tr("Remove"))
        self.drop_button.setProperty("look", "compact")
        self.drop_button.setToolTip(tr("Do not fine-tune once more after the one that runs"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE_S)
        row.addWidget(self._text, 1)
        row.addWidget(self.drop_button)

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def show_wish(self, text: str) -> None:
        """Say what waits."""
        self._text.setText(text)


class InterruptedCard(QFrame):
    """Offers to go on with a fine-tune that came to no end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "notice")
        self._text = make_label("")
        self.resume_button = QPushButton(tr("Resume"))
        self.resume_button.setToolTip(tr("Go on where it was interrupted"))
        self.discard_button = QPushButton(tr("Discard"))
        self.discard_button.setToolTip(tr("Forget what it had learned"))
        buttons = QHBoxLayout()
        buttons.setSpacing(SPACE_S)
        buttons.addWidget(self.resume_button, 1)
        buttons.addWidget(self.discard_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE_M, SPACE_S, SPACE_M, SPACE_S)
        column.setSpacing(SPACE_S)
        column.addWidget(self._text)
        column.addLayout(buttons)
        self.hide()

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def show_interrupted(self, found: Any) -> None:
        """Offer an Interrupted, or nothing."""
        if found is not None:
            self._text.setText(interrupted_text(found))
        self.setVisible(found is not None)


class ContinuousRow(QWidget):
    """Switches fine-tuning by itself on and off, and tells after how many images.

    Args:
        continuous: Does it.
    """

    def __init__(self, continuous: Continuous, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._continuous = continuous
        self.check_box = QCheckBox(tr("By itself every"))
        self.every_box = QSpinBox()
        self.every_box.setRange(1, _MOST_IMAGES)
        self.every_box.setKeyboardTracking(False)
        self.every_box.setFixedWidth(self.fontMetrics().horizontalAdvance(str(_MOST_IMAGES)) + _BOX_FRAME_PX)
        self.every_box.setAccessibleName(tr("Corrected images from one fine-tune to the next"))
        indent_value(self.every_box)
        self._unit = make_label("", wrap=False)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE_XS)
        for widget in (self.check_box, self.every_box, self._unit):
            row.addWidget(widget)
        row.addStretch(1)
        self.check_box.clicked.connect(continuous.set_on)
        self.every_box.valueChanged.connect(continuous.set_every)
        continuous.changed.connect(lambda: self.refresh(self.isEnabled()))
        self.refresh(False)

    def refresh(self, has_project: bool) -> None:
        """Show how it stands."""
        continuous = self._continuous
        self.setEnabled(has_project)
        self.check_box.setChecked(continuous.is_on)
        with QSignalBlocker(self.every_box):
            self.every_box.setValue(continuous.every)
        self._unit.setText(tr("image") if continuous.every == 1 else tr("images"))
        tip = tr("Fine-tune quickly by itself after so many images were corrected and left or marked as done")
        if continuous.is_on:
            text = tr("{count} of {every} so far")
            tip = f"{tip}: {text.format(count=continuous.num_corrected, every=continuous.every)}"
        self.setToolTip(tip)
