"""From which confidence on the prediction is to be accepted, and how many pixels that would be."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.classes import ClassSet
from pspnet_studio.dialogs.class_boxes import fill_classes, label, primary_button
from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_L, SPACE_S, indent_value

_WIDTH_PX = 380
_PERCENT = 90


class AcceptDialog(QDialog):
    """Stays open beside the image until it is closed; the number follows the slider.

    Signals:
        apply_requested: What is counted is to be accepted.
    """

    apply_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Accept where confident"))
        self.setMinimumWidth(_WIDTH_PX)
        self._counts: Any = None
        self._num_pixels = 1
        self.class_box, self.slider, self.percent_box = QComboBox(), QSlider(Qt.Orientation.Horizontal), QSpinBox()
        for control in (self.slider, self.percent_box):
            control.setRange(0, 100)
            control.setValue(_PERCENT)
        self.percent_box.setSuffix(tr(" %"))
        indent_value(self.percent_box)
        self.result_label = QLabel()
        self.result_label.setProperty("look", "title")
        self._buttons = QDialogButtonBox()
        self.apply_button = primary_button(self._buttons, tr("&Accept"))
        close = self._buttons.addButton(QDialogButtonBox.StandardButton.Close)
        self._lay_out()
        self.slider.valueChanged.connect(self.percent_box.setValue)
        self.percent_box.valueChanged.connect(self.slider.setValue)
        self.percent_box.valueChanged.connect(self._tell)
        self.class_box.currentIndexChanged.connect(self._tell)
        self.apply_button.clicked.connect(self.apply_requested)
        close.clicked.connect(self.close)
        self.show_busy()

    @property
    def class_id(self) -> int | None:
        """The class that is meant; None for all."""
        chosen = self.class_box.currentData()
        return None if chosen is None or chosen < 0 else int(chosen)

    @property
    def min_confidence(self) -> int:
        """0 to 255."""
        return -(-self.percent_box.value() * 255 // 100)

    def set_classes(self, classes: ClassSet) -> None:
        """Offer these classes, and all of them together."""
        chosen = self.class_box.currentData()
        with QSignalBlocker(self.class_box):
            fill_classes(self.class_box, classes)
            self.class_box.insertItem(0, tr("All classes"), -1)
            self.class_box.setCurrentIndex(max(0, self.class_box.findData(-1 if chosen is None else chosen)))
        self._tell()

    def show_busy(self) -> None:
        """It is being counted."""
        self._counts = None
        self._tell()

    def show_counts(self, counts: Any, num_pixels: int) -> None:
        """Pixels by class id and confidence that would change, (256, 256), and how many the image has."""
        self._counts, self._num_pixels = counts, num_pixels
        self._tell()

    # --- inside

    def _tell(self) -> None:
        if self._counts is None:
            self.result_label.setText(tr("Counting…"))
            self.apply_button.setEnabled(False)
            return
        rows = self._counts if self.class_id is None else self._counts[self.class_id : self.class_id + 1]
        found = int(rows[:, self.min_confidence :].sum())
        share = found / self._num_pixels
        text = tr("{count} pixels would be accepted, {share} of the image.")
        self.result_label.setText(text.format(count=f"{found:,}", share=f"{share:.1%}"))
        self.apply_button.setEnabled(found > 0)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(SPACE_S)
        grid.setColumnStretch(1, 1)
        grid.addWidget(label(tr("&Classes"), self.class_box), 0, 0)
        grid.addWidget(self.class_box, 0, 1, 1, 2)
        grid.addWidget(label(tr("Confidence &from"), self.percent_box), 1, 0)
        grid.addWidget(self.slider, 1, 1)
        grid.addWidget(self.percent_box, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(grid)
        layout.addWidget(self.result_label)
        layout.addWidget(self._buttons)
