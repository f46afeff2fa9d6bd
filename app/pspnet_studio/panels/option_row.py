"""The own settings of one tool as a row of controls, made from their description."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QSpinBox, QWidget

from pspnet_studio.model.tool_specs import Option, ToolSpec
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.theme import SPACE_S, indent_value

Control = QCheckBox | QComboBox | QSpinBox | QDoubleSpinBox


class OptionRow(QWidget):
    """One control per option of a tool; they follow the tool state and change it.

    Args:
        tool_state: Shared with the canvas.
        spec: The tool.

    Attributes:
        controls: By the names of the options.
    """

    def __init__(self, tool_state: ToolState, spec: ToolSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tool_state, self._spec = tool_state, spec
        self.controls: dict[str, Control] = {}
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACE_S, 0, 0, 0)
        layout.setSpacing(SPACE_S)
        for option in spec.options:
            control = self._make(option)
            control.setToolTip(option.tip)
            control.setAccessibleName(option.text.replace("&", ""))
            self.controls[option.name] = control
            if not isinstance(control, QCheckBox):
                label = QLabel(option.text)
                label.setBuddy(control)
                layout.addWidget(label)
            layout.addWidget(control)
        tool_state.changed.connect(self._on_changed)
        self._on_changed()

    def _make(self, option: Option) -> Control:
        if option.choices:
            combo = QComboBox()
            for value, text in option.choices:
                combo.addItem(text, value)
            combo.activated.connect(lambda _: self._set(option, combo.currentData()))
            return combo
        if isinstance(option.default, bool):
            check = QCheckBox(option.text)
            check.toggled.connect(lambda value: self._set(option, value))
            return check
        box = QDoubleSpinBox() if isinstance(option.default, float) else QSpinBox()
        indent_value(box)
        box.setRange(option.minimum, option.maximum)
        box.setSuffix(option.suffix)
        box.setKeyboardTracking(False)
        box.valueChanged.connect(lambda value: self._set(option, value))
        return box

    def _set(self, option: Option, value: object) -> None:
        self._tool_state.set_option(self._spec.id, option.name, value)

    def _on_changed(self) -> None:
        for option in self._spec.options:
            control, value = self.controls[option.name], self._tool_state.option(self._spec.id, option.name)
            with QSignalBlocker(control):
                if isinstance(control, QComboBox):
                    control.setCurrentIndex(control.findData(value))
                elif isinstance(control, QCheckBox):
                    control.setChecked(bool(value))
                else:
                    control.setValue(value)
