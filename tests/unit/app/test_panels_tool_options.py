"""Brush size and opacity in the tool bar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QToolBar
from pytestqt.qtbot import QtBot

from pspnet_studio.assets import icon
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.model.tool_state import MAX_DIAMETER, MIN_DIAMETER, ToolState
from pspnet_studio.panels.tool_options import ToolOptions, diameter_of_slider, slider_of_diameter


@given(st.integers(MIN_DIAMETER, MAX_DIAMETER))
def test_slider_is_monotonic_and_close(diameter: int) -> None:
    shown = diameter_of_slider(slider_of_diameter(diameter))
    assert abs(shown - diameter) <= max(1, 0.02 * diameter)


def test_slider_reaches_both_ends_and_feels_logarithmic() -> None:
    assert (diameter_of_slider(0), diameter_of_slider(300)) == (MIN_DIAMETER, MAX_DIAMETER)
    assert 30 <= diameter_of_slider(150) <= 33


def test_both_ways(qtbot: QtBot) -> None:
    state = ToolState()
    options = ToolOptions(state)
    qtbot.addWidget(options)
    options.diameter_box.setValue(100)
    assert state.diameter == 100
    assert options.diameter_slider.value() == slider_of_diameter(100)
    options.diameter_slider.setValue(0)
    assert (state.diameter, options.diameter_box.value()) == (1, 1)
    state.set_diameter(777)
    assert options.diameter_box.value() == 777
    assert state.diameter == 777, "showing a size must not round it"
    options.opacity_slider.setValue(30)
    assert state.opacity == 0.3
    state.set_opacity(0.8)
    assert options.opacity_slider.value() == 80
    assert "80 %" in [label.text() for label in options.findChildren(QLabel)]


def test_growing_the_brush_is_never_undone_by_the_slider(qtbot: QtBot) -> None:
    state = ToolState()
    qtbot.addWidget(ToolOptions(state))
    seen = []
    for _ in range(60):
        state.grow_brush(1)
        seen.append(state.diameter)
    assert seen == sorted(seen)
    assert seen[-1] == MAX_DIAMETER


def test_the_tool_bar_never_hides_the_options_of_a_tool_for_those_of_another(qtbot: QtBot) -> None:
    """It would take them for too wide as long as both are shown."""
    state = ToolState()
    options = ToolOptions(state)
    window = QMainWindow()
    qtbot.addWidget(window)
    bar = QToolBar()
    for _ in range(12):
        bar.addAction(icon("brush"), "")
    bar.addWidget(options)
    window.addToolBar(bar)
    widest = 0
    window.show()
    for tool in tool_specs():
        state.set_tool(tool)
        widest = max(widest, bar.sizeHint().width())
    window.resize(widest + 20, 200)
    QApplication.processEvents()
    for tool in (*reversed(tool_specs()), *tool_specs()):
        state.set_tool(tool)
        qtbot.wait(20)
        assert options.isVisible(), tool
