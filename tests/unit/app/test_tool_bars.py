"""The bars of the window: where the tool options stand, and how narrow the window may be."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.panels.tool_options import ToolOptions
from pspnet_studio.windows.actions import action_table
from pspnet_studio.windows.tool_bars import ToolBars


def make(qtbot: QtBot) -> tuple[QMainWindow, ToolBars, ToolState]:
    window, tools = QMainWindow(), ToolState()
    qtbot.addWidget(window)
    actions = {spec.id: QAction(spec.text, window) for spec in action_table()}
    return window, ToolBars(window, actions, ToolOptions(tools)), tools


def test_the_options_go_below_the_commands_where_the_window_is_narrow(qtbot: QtBot) -> None:
    window, bars, _ = make(qtbot)
    room = bars.commands.sizeHint().width() + bars.options.sizeHint().width()
    window.resize(room + 100, 600)
    window.show()
    qtbot.waitExposed(window)
    assert not window.toolBarBreak(bars.options)
    window.resize(room - 50, 600)
    assert window.toolBarBreak(bars.options)
    qtbot.waitUntil(lambda: bars.options.y() > bars.commands.y())
    window.resize(room + 100, 600)
    assert not window.toolBarBreak(bars.options)


def test_a_tool_with_other_options_is_given_its_room(qtbot: QtBot) -> None:
    window, bars, tools = make(qtbot)
    tools.set_tool("pick")
    window.show()
    qtbot.waitExposed(window)
    narrow = bars.commands.sizeHint().width() + bars.options.sizeHint().width() + 20
    window.resize(narrow, 600)
    assert not window.toolBarBreak(bars.options)
    tools.set_tool("brush")
    qtbot.waitUntil(lambda: window.toolBarBreak(bars.options))
