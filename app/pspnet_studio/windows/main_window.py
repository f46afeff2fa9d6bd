"""The window: canvas in the middle, docks at the right, one line at the bottom."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QSessionManager
from PySide6.QtWidgets import (
    QDockWidget,
    QLineEdit,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QStackedWidget,
    QWidget,
)

from pspnet_core.errors import PspnetError
from pspnet_studio.canvas.compare import CompareView
from pspnet_studio.canvas.minimap import Minimap
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.dialogs.leave import ask_quit_unsaved
from pspnet_studio.jobs.tool_work import in_tool_lane
from pspnet_studio.messages import tr
from pspnet_studio.model.learning import Learning
from pspnet_studio.model.live import Live
from pspnet_studio.model.open_counts import OpenCounts
from pspnet_studio.model.predictions import Predictions
from pspnet_studio.model.queue import Queue
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.training import Training
from pspnet_studio.model.view_state import OverlayMode, ViewState
from pspnet_studio.model.window_level import WindowLevel
from pspnet_studio.panels.classes import ClassesPanel
from pspnet_studio.panels.display import DisplayPanel
from pspnet_studio.panels.history import HistoryPanel
from pspnet_studio.panels.images import ImagesPanel
from pspnet_studio.panels.review import ReviewPanel
from pspnet_studio.panels.tool_options import ToolOptions
from pspnet_studio.panels.training import TrainingPanel
from pspnet_studio.settings import Settings
from pspnet_studio.windows.actions import GROUP_STARTS, MENUS, WINDOW, action_table, make_actions
from pspnet_studio.windows.commands import Commands
from pspnet_studio.windows.guard import TrainingGuard
from pspnet_studio.windows.intake_flow import IntakeFlow
from pspnet_studio.windows.learning_flows import LearningFlows
from pspnet_studio.windows.message_bar import MessageBar
from pspnet_studio.windows.project_flows import ProjectFlows
from pspnet_studio.windows.status import StatusLine, pixel_text
from pspnet_studio.windows.tool_bars import ToolBars
from pspnet_studio.windows.welcome import WelcomePage

_HINT_MS = 6_000
_LOGOUT_WAIT_S = 5.0
_DOCK_WIDTH, _CLASSES_HEIGHT, _MODEL_HEIGHT = 260, 250, 520
_IMAGES_HEIGHT, _HISTORY_HEIGHT = 540, 230
_REVIEW_HEIGHT = 280
_SIDES = {
    Qt.Corner.BottomLeftCorner: Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.Corner.BottomRightCorner: Qt.DockWidgetArea.RightDockWidgetArea,
}
"""The docks at the sides reach down to the status line."""


class MainWindow(QMainWindow):
    """Puts the parts together; what they do is in :class:`Commands` and in the model.

    Args:
        session: Project and image.
        training: Fine-tuning.
        predictions: The overlay's source.
        live: What lets the overlay follow the hand.
        queue: What image comes next.
        tool_state: What the hand holds.
        settings: What is remembered.
        learning: What stands around fine-tuning.
    """

    def __init__(
        self,
        session: Session,
        training: Training,
        predictions: Predictions,
        live: Live,
        queue: Queue,
        tool_state: ToolState,
        settings: Settings,
        learning: Learning,
    ) -> None:
        super().__init__()
        self._session, self._training, self._settings = session, training, settings
        self._live = live
        self._tool_state = tool_state
        tool_state.set_diameter(settings.brush_diameter)
        tool_state.set_opacity(settings.overlay_opacity)
        tool_state.restore_options(settings.tool_options)
        self._may_close = False
        self._saved_state: QByteArray | None = None
        self._waiting_text = ""
        self._has_told_of_16_bits = False
        self.setObjectName("mainWindow")
        self.setAcceptDrops(True)
        self.guard = TrainingGuard(training, self)
        self.intake = IntakeFlow(session, self.guard, settings, self)
        self.actions_by_id = make_actions(self)
        self.view_state = ViewState(self)
        self.canvas = CanvasView(tool_state, self, in_tool_lane(session.runner))
        self.view_state.set_minimap(settings.has_minimap)
        self.minimap = Minimap(self.canvas, tool_state, self.view_state)
        self.compare = CompareView(self.canvas, tool_state, self.view_state)
        self.welcome = WelcomePage(self)
        self.message_bar = MessageBar(self)
        self.status_line = StatusLine(session, training, predictions, live, self)
        self.setStatusBar(self.status_line)
        self._stack = QStackedWidget(self)
        self._build_center()
        self._build_docks(predictions, tool_state, learning)
        self._build_bars(tool_state)
        self.commands = Commands(self, session, training, predictions, live, queue, tool_state, settings)
        self.images_panel.follow(queue)
        self.learning_flows = LearningFlows(self, session, training, learning, settings)
        self.project_flows = ProjectFlows(self, session)
        self._connect()
        self._restore()
        self._on_project_changed()

    # --- building

    def _build_center(self) -> None:
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.compare)
        self.setCentralWidget(self._stack)
        self.message_bar.float_over(self._stack)

    def _build_docks(self, predictions: Predictions, tool_state: ToolState, learning: Learning) -> None:
        self.images_panel = ImagesPanel(self._session)
        self._open_counts = OpenCounts(self._session, self)
        self._open_counts.changed.connect(self.images_panel.model.refresh)
        self.classes_panel = ClassesPanel(self._session, tool_state)
        self.training_panel = TrainingPanel(self._training, predictions, self._session, learning.continuous)
        self.docks = [
            self._dock("imagesDock", tr("Images"), self.images_panel, Qt.DockWidgetArea.LeftDockWidgetArea),
            self._dock("classesDock", tr("Classes"), self.classes_panel, Qt.DockWidgetArea.RightDockWidgetArea),
            self._dock("trainingDock", tr("Model"), self.training_panel, Qt.DockWidgetArea.RightDockWidgetArea),
        ]
        self.window_level = WindowLevel(self._session, self)
        self.display_panel = DisplayPanel(self.view_state, self.window_level)
        self.display_dock = self._dock(
            "displayDock", tr("Display"), self.display_panel, Qt.DockWidgetArea.RightDockWidgetArea
        )
        self.review_panel = ReviewPanel(learning.reviews)
        self.review_dock = self._dock(
            "reviewDock", tr("Review"), self.review_panel, Qt.DockWidgetArea.BottomDockWidgetArea
        )
        self.display_dock.hide()
        self.resizeDocks([self.review_dock], [_REVIEW_HEIGHT], Qt.Orientation.Vertical)
        self.review_dock.hide()
        for corner, area in _SIDES.items():
            self.setCorner(corner, area)
        self.history_panel = HistoryPanel(self._session)
        history = self._dock("historyDock", tr("History"), self.history_panel, Qt.DockWidgetArea.LeftDockWidgetArea)
        self.resizeDocks(self.docks[1:], [_CLASSES_HEIGHT, _MODEL_HEIGHT], Qt.Orientation.Vertical)
        self.resizeDocks([self.docks[0], history], [_IMAGES_HEIGHT, _HISTORY_HEIGHT], Qt.Orientation.Vertical)
        self.resizeDocks(self.docks[:2], [_DOCK_WIDTH, _DOCK_WIDTH], Qt.Orientation.Horizontal)
        self.docks.append(history)
        for field in self.findChildren(QLineEdit):
            field.setAcceptDrops(False)  # a folder dropped on a text field is meant for the window

    def _dock(self, name: str, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(name)
        dock.setWidget(widget)
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
        self.addDockWidget(area, dock)
        return dock

    def _build_bars(self, tool_state: ToolState) -> None:
        menus: dict[str, QMenu] = {title: self.menuBar().addMenu(tr(title)) for title in MENUS}
        for spec in action_table():
            action = self.actions_by_id[spec.id]
            if spec.context == WINDOW:
                self.addAction(action)
            if spec.menu:
                if spec.id in GROUP_STARTS:
                    menus[spec.menu].addSeparator()
                menus[spec.menu].addAction(action)
        menus["&Model"].setToolTipsVisible(True)  # they say why something cannot be done now
        view = menus["&View"]
        view.addSeparator()
        for dock in (*self.docks, self.display_dock, self.review_dock):
            view.addAction(dock.toggleViewAction())
        self.tool_options = ToolOptions(tool_state)
        self.tool_bars = ToolBars(self, self.actions_by_id, self.tool_options)

    def _connect(self) -> None:
        self._session.project_changed.connect(self._on_project_changed)
        self._session.document_leaving.connect(self.canvas.end_stroke)
        self._session.document_changed.connect(self._on_document_changed)
        self._session.classes_changed.connect(self._on_classes_changed)
        self._session.notice.connect(self.message_bar.show_message)
        self.guard.waiting.connect(self._on_waiting)
        self.welcome.open_requested.connect(self.intake.choose_folder)
        self.welcome.sample_requested.connect(self.commands.open_sample)
        self.welcome.recent_requested.connect(lambda folder: self.intake.open([Path(folder)]))
        self.canvas.cursor_moved.connect(self._on_cursor)
        self.view_state.changed.connect(self._on_look_changed)
        self.history_panel.step_chosen.connect(self.commands.go_to_step)
        self.history_panel.budget_changed.connect(self._on_undo_budget)
        self.history_panel.set_budget_mb(self._settings.undo_budget_mb)
        self.canvas.zoom_changed.connect(self._on_zoom)
        self.canvas.hint_changed.connect(self._on_hint)
        self.window_level.found.connect(self._on_deep_image)

    def _restore(self) -> None:
        geometry, state = self._settings.bytes_of("window_geometry"), self._settings.bytes_of("window_state")
        if geometry.isEmpty() or not self.restoreGeometry(geometry):
            available = self.screen().availableSize()
            self.resize(min(1360, int(available.width() * 0.95)), min(860, int(available.height() * 0.92)))
        if not state.isEmpty():
            self._saved_state = state  # docks that are hidden would lose their sizes
        self.images_panel.set_order(*self._settings.image_order)
        self.images_panel.order_chosen.connect(self._settings.set_image_order)

    def on_commit_data_request(self, manager: QSessionManager) -> None:
        """The desktop session ends: save, and ask about a running fine-tune if that is allowed."""
        self._session.save_now()
        self._session.autosave.wait(_LOGOUT_WAIT_S)  # the desktop may end us as soon as this returns
        if self._training.is_running and manager.allowsInteraction():
            manager.cancel()
            manager.release()
            self.guard.run(tr("logging out"), self.close)

    # --- reactions

    def _on_look_changed(self) -> None:
        self.canvas.set_look(self.view_state.look)
        self._live.shows_confidence = self.view_state.look.mode is OverlayMode.CONFIDENCE

    def _on_project_changed(self) -> None:
        project = self._session.project
        has_project = project is not None
        self.message_bar.clear()
        # Only the page that is shown says how narrow the window may be.
        policy = QSizePolicy.Policy.Ignored if has_project else QSizePolicy.Policy.Preferred
        self.welcome.setSizePolicy(policy, policy)
        self._stack.setCurrentWidget(self.compare if has_project else self.welcome)
        for dock in self.docks:
            dock.setVisible(has_project)
        if not has_project:
            self.display_dock.hide()
            self.review_dock.hide()
        self.tool_bars.set_visible(has_project)
        if has_project and self._saved_state is not None:
            self.restoreState(self._saved_state)
            self._saved_state = None
        if not has_project:
            self.welcome.set_recent([f for f in self._settings.recent_folders if Path(f).is_dir()])
            self.canvas.set_document(None)
            self.compare.set_document(None)
            self._on_zoom(self.canvas.zoom)
        self._update_title()

    def _on_document_changed(self) -> None:
        self.canvas.set_document(self._session.document)
        self.compare.set_document(self._session.document)
        self._on_zoom(self.canvas.zoom)
        self._update_title()
        if self._session.document is not None:
            self.canvas.setFocus()

    def _on_cursor(self, x: int | None, y: int | None) -> None:
        document, project = self._session.document, self._session.project
        text = ""
        if x is not None and y is not None and document is not None and project is not None:
            text = pixel_text(document.pixel(x, y), project.classes)
        self.status_line.set_cursor(x, y, text)

    def _on_zoom(self, zoom: float) -> None:
        self.status_line.set_zoom(zoom if self._session.document is not None else None)

    def _on_classes_changed(self) -> None:
        if self._session.project is not None:
            self.canvas.set_classes(self._session.project.classes)
            self.minimap.set_classes(self._session.project.classes)
            self.compare.set_classes(self._session.project.classes)

    def _on_undo_budget(self, megabytes: int) -> None:
        self._settings.undo_budget_mb = megabytes

    def _on_waiting(self, text: str) -> None:
        self._waiting_text = text
        if text:
            self.status_line.showMessage(text)
        else:
            self.status_line.clearMessage()

    def _on_hint(self, text: str) -> None:
        if not self._waiting_text:  # that the window will close stays in sight
            self.status_line.showMessage(text, _HINT_MS)

    def _on_deep_image(self) -> None:
        if not self._has_told_of_16_bits:
            self._has_told_of_16_bits = True
            self._on_hint(tr("This image has 16 bits per channel: View › Display chooses which values are shown."))

    def _update_title(self) -> None:
        project, key = self._session.project, self._session.current_key
        if project is None:
            self.setWindowTitle("PSPNet Studio")
        elif key is None:
            self.setWindowTitle(f"{project.root.name} — PSPNet Studio")
        else:
            self.setWindowTitle(f"{Path(key).name} — {project.root.name} — PSPNet Studio")

    def _finish_closing(self) -> None:
        self._session.save_now(then=self._close_for_good, on_failed=self._on_not_saved)

    def _on_not_saved(self, error: PspnetError) -> None:
        if not self._may_close and ask_quit_unsaved(self, str(error)):
            self._close_for_good()

    def _close_for_good(self) -> None:
        self._may_close = True
        self.close()

    # --- Qt

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._may_close:
            event.ignore()
            self.guard.run(tr("quitting"), lambda: QTimer.singleShot(0, self._finish_closing))
            return
        self._settings.set_bytes("window_geometry", QByteArray(self.saveGeometry()))
        if self._session.project is not None:
            self._settings.set_bytes("window_state", QByteArray(self.saveState()))
        self._settings.brush_diameter = self._tool_state.diameter
        self._settings.overlay_opacity = self._tool_state.opacity
        self._settings.tool_options = self._tool_state.options
        self._settings.has_minimap = self.view_state.has_minimap
        self._session.runner.shutdown()
        event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()
            self.welcome.set_drop_hot(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.welcome.set_drop_hot(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.welcome.set_drop_hot(False)
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths:
            return
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        # The question is asked after the drop is over: the other program waits for its end.
        QTimer.singleShot(0, lambda: self.intake.drop(paths))
