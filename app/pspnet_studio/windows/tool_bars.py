"""The bars: commands and tool options above the image, tools in a column beside it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QToolBar

from pspnet_studio.messages import tr
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.panels.tool_options import ToolOptions

_COMMANDS = (
    ("open_folder",),
    ("undo", "redo"),
    ("accept_unlabelled", "accept_all"),
    ("previous", "next", "status_done"),
    ("fit", "show_overlay"),
)
_BELOW_TOOLS = ("fill_unlabelled", "only_unlabelled")


class ToolBars(QObject):
    """Three bars of a window. The options stand beside the commands, or below them where there is no room.

    Args:
        window: Gets the bars.
        actions: By id.
        options: Of the tools; taken in.
    """

    def __init__(self, window: QMainWindow, actions: dict[str, QAction], options: ToolOptions) -> None:
        super().__init__(window)
        self._window = window
        self.commands = self._bar("toolBar", tr("Tools"), Qt.ToolBarArea.TopToolBarArea)
        for group in _COMMANDS:
            for action_id in group:
                self.commands.addAction(actions[action_id])
            self.commands.addSeparator()
        self.options = self._bar("optionsBar", tr("Tool options"), Qt.ToolBarArea.TopToolBarArea)
        self.options.addWidget(options)
        self.tools = self._bar("toolPalette", tr("Painting tools"), Qt.ToolBarArea.LeftToolBarArea)
        for tool in tool_specs().values():
            if tool.starts_group:
                self.tools.addSeparator()
            self.tools.addAction(actions[tool.id])
        self.tools.addSeparator()
        for action_id in _BELOW_TOOLS:
            self.tools.addAction(actions[action_id])
        window.installEventFilter(self)
        options.installEventFilter(self)

    def set_visible(self, is_visible: bool) -> None:
        """Show or hide all of them."""
        for bar in (self.commands, self.options, self.tools):
            bar.setVisible(is_visible)

    def fit(self) -> None:
        """Put the options into the first line if they have room there, into a line of their own otherwise."""
        wanted = self.commands.sizeHint() + QSize(self.options.sizeHint().width(), 0)
        is_narrow = wanted.width() > self._window.width()
        if is_narrow == self._window.toolBarBreak(self.options):
            return
        if is_narrow:
            self._window.insertToolBarBreak(self.options)
        else:
            self._window.removeToolBarBreak(self.options)

    def _bar(self, name: str, title: str, area: Qt.ToolBarArea) -> QToolBar:
        bar = QToolBar(title, self._window)
        bar.setObjectName(name)
        bar.setMovable(False)
        self._window.addToolBar(area, bar)
        return bar

    # --- Qt

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        is_resized = watched is self._window and event.type() in (QEvent.Type.Resize, QEvent.Type.Show)
        if is_resized or (watched is not self._window and event.type() == QEvent.Type.LayoutRequest):
            self.fit()
        return False
