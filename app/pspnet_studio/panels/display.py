"""How the image and what lies over it are shown: a panel of its own, hidden until it is wanted."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

from pspnet_studio.messages import tr
from pspnet_studio.model.view_state import Adjustments, ViewState, mode_texts
from pspnet_studio.model.window_level import WindowLevel
from pspnet_studio.panels.window_level import WindowLevelBox
from pspnet_studio.theme import SPACE_M, SPACE_S

_GAMMA_STEPS = 100
_GAMMA_RANGE = 5.0


class DisplayPanel(QWidget):
    """Controls that follow the view state and change it.

    Args:
        view_state: Shared with menus and canvas.
        window_level: Which values of a 16-bit image are shown.
    """

    def __init__(self, view_state: ViewState, window_level: WindowLevel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view_state = view_state
        self.window_level_box = WindowLevelBox(window_level)
        self.mode_box = QComboBox()
        for mode, text in mode_texts().items():
            self.mode_box.addItem(text, mode)
        self.mode_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.mode_box.setMinimumContentsLength(12)
        self.contours_box = QCheckBox(tr("Outlines only"))
        self.brightness_slider, self.contrast_slider = _slider(100), _slider(100)
        self.gamma_slider = _slider(_GAMMA_STEPS)
        self.reset_button = QPushButton(tr("Reset"))
        self.reset_button.setToolTip(tr("Show the image as it is"))
        self._values = {slider: QLabel() for slider in self._sliders}
        self._lay_out()
        self.mode_box.activated.connect(lambda _: view_state.set_mode(self.mode_box.currentData()))
        self.contours_box.toggled.connect(view_state.set_contours)
        for slider in self._sliders:
            slider.valueChanged.connect(self._on_slider)
        self.reset_button.clicked.connect(lambda: view_state.set_adjustments(Adjustments()))
        view_state.changed.connect(self._on_changed)
        self._on_changed()

    @property
    def _sliders(self) -> tuple[QSlider, ...]:
        return self.brightness_slider, self.contrast_slider, self.gamma_slider

    def _lay_out(self) -> None:
        layout = QFormLayout(self)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        layout.setContentsMargins(SPACE_M, SPACE_S, SPACE_M, SPACE_M)
        layout.setSpacing(SPACE_S)
        layout.addRow(tr("&Show"), self.mode_box)
        layout.addRow("", self.contours_box)
        texts = (tr("&Brightness"), tr("&Contrast"), tr("&Gamma"))
        for text, slider in zip(texts, self._sliders, strict=True):
            row = QHBoxLayout()
            row.addWidget(slider, 1)
            label = self._values[slider]
            label.setProperty("look", "muted")
            label.setMinimumWidth(label.fontMetrics().horizontalAdvance("-100"))
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            row.addWidget(label)
            name = QLabel(text)
            name.setBuddy(slider)
            slider.setAccessibleName(text.replace("&", ""))
            layout.addRow(name, row)
        layout.addRow("", self.reset_button)
        layout.addRow(self.window_level_box)

    def _on_slider(self) -> None:
        gamma = _GAMMA_RANGE ** (self.gamma_slider.value() / _GAMMA_STEPS)
        adjustments = Adjustments(self.brightness_slider.value(), self.contrast_slider.value(), round(gamma, 3))
        self._view_state.set_adjustments(adjustments)

    def _on_changed(self) -> None:
        look = self._view_state.look
        shown = look.adjustments
        gamma = round(math.log(shown.gamma, _GAMMA_RANGE) * _GAMMA_STEPS)
        for slider, value in zip(self._sliders, (shown.brightness, shown.contrast, gamma), strict=True):
            with QSignalBlocker(slider):
                slider.setValue(value)
        for slider, text in zip(
            self._sliders, (str(shown.brightness), str(shown.contrast), f"{shown.gamma:.2f}"), strict=True
        ):
            self._values[slider].setText(text)
        with QSignalBlocker(self.mode_box), QSignalBlocker(self.contours_box):
            self.mode_box.setCurrentIndex(self.mode_box.findData(look.mode))
            self.contours_box.setChecked(look.contours)
        self.reset_button.setEnabled(not shown.is_identity)


def _slider(limit: int) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(-limit, limit)
    slider.setPageStep(limit // 10)
    return slider
