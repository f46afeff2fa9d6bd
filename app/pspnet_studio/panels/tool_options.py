"""The options of the tool in use, and the overlay's opacity, for the tool bar."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QSpinBox, QWidget

from pspnet_studio.messages import tr
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.model.tool_state import MAX_DIAMETER, MIN_DIAMETER, ToolState
from pspnet_studio.panels.option_row import OptionRow
from pspnet_studio.theme import SPACE_L, SPACE_S, indent_value

_SLIDER_STEPS = 300
_DECADES = math.log(MAX_DIAMETER / MIN_DIAMETER)


def slider_of_diameter(diameter: int) -> int:
    """Place on the slider, 0 to 300; equal ways are equal factors."""
    return round(_SLIDER_STEPS * math.log(diameter / MIN_DIAMETER) / _DECADES)


def diameter_of_slider(place: int) -> int:
    """Diameter in image pixels at a place on the slider."""
    return round(MIN_DIAMETER * math.exp(_DECADES * place / _SLIDER_STEPS))


class ToolOptions(QWidget):
    """A row of controls that follow the tool state and change it: brush size, options of the tool, overlay.

    Args:
        tool_state: Shared with the canvas.
    """

    def __init__(self, tool_state: ToolState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tool_state = tool_state
        self.diameter_slider = QSlider(Qt.Orientation.Horizontal)
        self.diameter_box = QSpinBox()
        self.opacity_slider = QSlider(Qt.Orientation.Horizontal)
        self._opacity_text = QLabel()
        self._size_row = QWidget()
        self._option_rows = {spec.id: OptionRow(tool_state, spec) for spec in tool_specs().values() if spec.options}
        self._lay_out()
        self.diameter_slider.valueChanged.connect(lambda v: tool_state.set_diameter(diameter_of_slider(v)))
        self.diameter_box.valueChanged.connect(tool_state.set_diameter)
        self.opacity_slider.valueChanged.connect(lambda v: tool_state.set_opacity(v / 100))
        tool_state.changed.connect(self._on_tool_changed)
        tool_state.overlay_changed.connect(self._on_overlay_changed)
        self._on_tool_changed()
        self._on_overlay_changed()

    def _lay_out(self) -> None:
        size_tip = tr("Brush diameter in image pixels ([ and ], or Ctrl+wheel)")
        self.diameter_slider.setRange(0, _SLIDER_STEPS)
        self.diameter_slider.setPageStep(30)
        self.diameter_slider.setFixedWidth(120)
        self.diameter_slider.setToolTip(size_tip)
        self.diameter_slider.setAccessibleName(tr("Brush diameter"))
        self.diameter_box.setRange(MIN_DIAMETER, MAX_DIAMETER)
        self.diameter_box.setSuffix(tr(" px"))
        self.diameter_box.setKeyboardTracking(False)
        indent_value(self.diameter_box)
        self.diameter_box.setToolTip(size_tip)
        self.diameter_box.setAccessibleName(tr("Brush diameter in image pixels"))
        self.opacity_slider.setRange(0, 100)
        self.opacity_slider.setFixedWidth(100)
        self.opacity_slider.setToolTip(tr("Opacity of the class colours (hold V to hide them)"))
        self.opacity_slider.setAccessibleName(tr("Overlay opacity"))
        self._opacity_text.setProperty("look", "muted")
        self._opacity_text.setMinimumWidth(self._opacity_text.fontMetrics().horizontalAdvance("100 %"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        layout = _row(self)
        layout.setContentsMargins(SPACE_S, 0, SPACE_S, 0)
        size = _row(self._size_row)
        size.addWidget(_label(tr("Si&ze"), self.diameter_box))
        size.addWidget(self.diameter_slider)
        size.addWidget(self.diameter_box)
        layout.addWidget(self._size_row)
        for row in self._option_rows.values():
            layout.addWidget(row)
        layout.addSpacing(SPACE_L)
        layout.addWidget(_label(tr("&Overlay"), self.opacity_slider))
        layout.addWidget(self.opacity_slider)
        layout.addWidget(self._opacity_text)

    def _on_tool_changed(self) -> None:
        spec = self._tool_state.spec
        rows = {self._size_row: spec.has_size} | {row: tool == spec.id for tool, row in self._option_rows.items()}
        for row, is_wanted in sorted(rows.items(), key=lambda pair: pair[1]):
            row.setVisible(is_wanted)  # first the others go: for all together the tool bar has no room, and hides it
        diameter = self._tool_state.diameter
        with QSignalBlocker(self.diameter_slider), QSignalBlocker(self.diameter_box):
            if diameter_of_slider(self.diameter_slider.value()) != diameter:
                self.diameter_slider.setValue(slider_of_diameter(diameter))
            self.diameter_box.setValue(diameter)

    def _on_overlay_changed(self) -> None:
        percent = round(100 * self._tool_state.opacity)
        with QSignalBlocker(self.opacity_slider):
            self.opacity_slider.setValue(percent)
        self._opacity_text.setText(tr("{percent} %").format(percent=percent))


def _row(parent: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(SPACE_S)
    return layout


def _label(text: str, buddy: QWidget) -> QLabel:
    label = QLabel(text)
    label.setBuddy(buddy)
    return label
