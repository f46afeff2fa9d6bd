"""What each command does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox

from pspnet_core import __version__
from pspnet_core.project.project import Status
from pspnet_studio import theme
from pspnet_studio.canvas.compare import Arrangement
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.live import Live
from pspnet_studio.model.predictions import Predictions
from pspnet_studio.model.queue import Queue
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.training import Training
from pspnet_studio.model.view_state import OverlayMode
from pspnet_studio.model.whole_image import Change, filling
from pspnet_studio.model.whole_steps import WholeSteps
from pspnet_studio.settings import Settings
from pspnet_studio.windows.accept_flow import AcceptFlow
from pspnet_studio.windows.annotation_import_flow import AnnotationImportFlow
from pspnet_studio.windows.clean_up_flow import CleanUpFlow
from pspnet_studio.windows.convert_flow import ConvertFlow
from pspnet_studio.windows.copy_mask_flow import CopyMaskFlow
from pspnet_studio.windows.export_flow import ExportFlow
from pspnet_studio.windows.import_flow import ImportFlow
from pspnet_studio.windows.model_export_flow import ModelExportFlow
from pspnet_studio.windows.network_flow import NetworkFlow
from pspnet_studio.windows.next_flow import NextFlow
from pspnet_studio.windows.predict_folder_flow import PredictFolderFlow

if TYPE_CHECKING:
    from pspnet_studio.windows.main_window import MainWindow

_TOOLS = tuple(tool_specs())
_TOLD_MS = 4_000
_THEMES = ("system", "light", "dark")


class Commands(QObject):
    """Connects the action table to the model and keeps the actions enabled or not.

    Args:
        window: Its actions, canvas and flows.
        session: Project and image.
        training: Fine-tuning.
        predictions: The overlay's source.
        live: What lets the overlay follow the hand.
        queue: What image comes next.
        tool_state: What the hand holds.
        settings: What is remembered.
    """

    def __init__(
        self,
        window: MainWindow,
        session: Session,
        training: Training,
        predictions: Predictions,
        live: Live,
        queue: Queue,
        tool_state: ToolState,
        settings: Settings,
    ) -> None:
        super().__init__(window)
        self._view_state = window.view_state
        self._window, self._actions, self._canvas = window, window.actions_by_id, window.canvas
        self._session, self._training, self._predictions = session, training, predictions
        self._live, self._tool_state, self._settings = live, tool_state, settings
        show = window.message_bar.show_message
        self._export_flow = ExportFlow(session, window, show)
        self._network_flow = NetworkFlow(session, training, window, show)
        self._import_flow = ImportFlow(session, training, window, show)
        self._model_export_flow = ModelExportFlow(session, training, window, show)
        self._predict_folder_flow = PredictFolderFlow(session, training, window, show, training.device)
        self._clean_up_flow = CleanUpFlow(session, window.canvas, window, show)
        self._steps = steps = WholeSteps(session, self._tell, window)
        self._convert_flow = convert = ConvertFlow(session, self._steps, window.canvas, window, show)
        self._accept_flow = AcceptFlow(session, self._steps, window.canvas, window, show)
        self._annotation_import_flow = AnnotationImportFlow(session, self._canvas, steps, convert, window, show)
        self._copy_mask_flow = CopyMaskFlow(session, window.canvas, steps, show, self._tell)
        self.next_flow = NextFlow(session, queue, window.canvas, self._actions["next_suggested"], self._tell)
        self._queue = queue
        queue.changed.connect(self.update_enabled)
        self._convert_flow.changed.connect(self.update_enabled)
        self._model_export_tip = self._actions["export_model"].toolTip()
        self._document: Document | None = None
        for action_id, function in self._functions().items():
            self._actions[action_id].triggered.connect(lambda _=False, function=function: function())
        session.document_changed.connect(self._on_document_changed)
        for signal in (
            session.project_changed,
            session.classes_changed,
            session.loading_changed,
            session.state_changed,
        ):
            signal.connect(self.update_enabled)
        for signal in (training.started, training.ended, training.current_changed, predictions.state_changed):
            signal.connect(self.update_enabled)
        live.state_changed.connect(self.update_enabled)
        live.failed.connect(show)
        tool_state.changed.connect(self.update_enabled)
        tool_state.overlay_changed.connect(self.update_enabled)
        tool_state.changed.connect(self._on_class_changed)
        self._view_state.changed.connect(self.update_enabled)
        self._view_state.minimap_changed.connect(self.update_enabled)
        self.update_enabled()

    def open_sample(self) -> None:
        """Open the sample project; it is made on first use, in the background."""
        from pspnet_core.sample import sample_folder, write_sample

        self._session.runner.call(
            Lane.IO,
            lambda: write_sample(sample_folder()),
            name=tr("preparing the sample"),
            priority=Priority.OPEN,
            on_done=lambda folder: self._window.intake.open([Path(folder)]),
            on_error=self._session.notice.emit,
        )

    def start_training(self) -> None:
        """As if somebody chose that command."""
        self._window.learning_flows.training.start()

    def go_to_step(self, num_done: int) -> None:
        """Undo or redo until so many steps of the open image are in force."""
        self._with_document(lambda document: self._steps.go_to(document, num_done))

    def update_enabled(self, *_: object) -> None:
        """Bring every action in line with what is possible now."""
        document, project = self._session.document, self._session.project
        can_paint = document is not None and self._tool_state.class_id is not None
        has_prediction = document is not None and document.prediction is not None
        enabled = {
            "add_folder": project is not None,
            "save": project is not None,
            "export": project is not None,
            "import_annotations": project is not None,
            "rescan": project is not None,
            "close_project": project is not None,
            "undo": document is not None and document.history.can_undo,
            "redo": document is not None and document.history.can_redo,
            "fill_unlabelled": can_paint,
            "lock_class": self._tool_state.class_id is not None,
            "copy_previous": document is not None,
            "clean_up": document is not None,
            "convert_class": document is not None,
            "take_back_conversion": self._convert_flow.can_take_back,
            "accept_unlabelled": has_prediction,
            "accept_all": has_prediction,
            "accept_class": has_prediction and self._tool_state.class_id is not None,
            "accept_confident": has_prediction,
            "predict": document is not None and self._training.current_version is not None,
            "predict_folder": project is not None and self._training.current_version is not None,
            "network": project is not None,
            "import_weights": project is not None,
            "export_model": self._model_export_flow.can_start()[0],
        }
        needs_document = ("fit", "actual_size", "zoom_in", "zoom_out", "previous", "next", "show_overlay", *_TOOLS)
        needs_document += ("next_spot", "previous_spot")
        enabled["next_suggested"] = project is not None
        for action_id in (*needs_document, *(f"status_{s.value}" for s in Status)):
            enabled[action_id] = document is not None or (project is not None and action_id in ("previous", "next"))
        for action_id, is_enabled in enabled.items():
            self._actions[action_id].setEnabled(is_enabled)
        self._actions["export_model"].setToolTip(self._model_export_flow.can_start()[1] or self._model_export_tip)
        for tool in _TOOLS:
            self._actions[tool].setChecked(self._tool_state.tool == tool)
        for name in _THEMES:
            self._actions[f"theme_{name}"].setChecked(self._settings.theme == name)
        look = self._view_state.look
        for mode in OverlayMode:
            self._actions[f"show_{mode}"].setChecked(look.mode is mode)
        arrangement = self._window.compare.arrangement
        self._actions["split_photo"].setChecked(arrangement is Arrangement.PHOTO)
        self._actions["split_compare"].setChecked(arrangement is Arrangement.COMPARE)
        self._actions["contours"].setChecked(look.contours)
        self._actions["minimap"].setChecked(self._view_state.has_minimap)
        self._actions["highlight"].setChecked(look.highlight is not None)
        self._actions["only_unlabelled"].setChecked(self._tool_state.only_unlabelled)
        self._actions["lock_class"].setChecked(self._tool_state.class_id in self._tool_state.locked)
        self._actions["live_refine"].setChecked(self._live.is_on)
        self._actions["suggest_images"].setChecked(self._queue.is_on)
        self._actions["show_overlay"].setChecked(self._tool_state.overlay_visible)

    def _functions(self) -> dict[str, Callable[[], Any]]:
        window, canvas, tools = self._window, self._canvas, self._tool_state
        functions: dict[str, Callable[[], Any]] = {
            "open_folder": window.intake.choose_folder,
            "open_images": window.intake.choose_images,
            "add_folder": window.intake.choose_addition,
            "open_sample": self.open_sample,
            "save": self._session.save_now,
            "export": self._export_flow.ask,
            "import_annotations": self._annotation_import_flow.ask,
            "rescan": self._rescan,
            "close_project": lambda: window.guard.run(tr("closing the project"), self._session.close_project),
            "quit": window.close,
            "undo": lambda: self._with_document(self._steps.undo),
            "redo": lambda: self._with_document(self._steps.redo),
            "fill_unlabelled": self._fill_unlabelled,
            "copy_previous": self._copy_mask_flow.copy,
            "clean_up": self._clean_up_flow.ask,
            "convert_class": self._convert_flow.ask,
            "take_back_conversion": self._convert_flow.take_back,
            "accept_unlabelled": lambda: self._accept(only_unlabelled=True),
            "accept_all": lambda: self._accept(only_unlabelled=False),
            "accept_class": lambda: self._accept(only_unlabelled=False, class_id=tools.class_id),
            "accept_confident": self._accept_flow.ask,
            "fit": canvas.fit,
            "actual_size": canvas.actual_size,
            "zoom_in": canvas.zoom_in,
            "zoom_out": canvas.zoom_out,
            "show_overlay": lambda: tools.set_overlay_visible(not tools.overlay_visible),
            "split_photo": lambda: self._split(Arrangement.PHOTO),
            "split_compare": lambda: self._split(Arrangement.COMPARE),
            "contours": lambda: self._view_state.set_contours(not self._view_state.look.contours),
            "highlight": self._highlight,
            "minimap": lambda: self._view_state.set_minimap(not self._view_state.has_minimap),
            "smaller": lambda: tools.grow_brush(-1),
            "larger": lambda: tools.grow_brush(1),
            "only_unlabelled": lambda: tools.set_only_unlabelled(not tools.only_unlabelled),
            "lock_class": self._lock_class,
            "previous": lambda: self._session.step(-1),
            "next": lambda: self._session.step(1),
            "next_suggested": self.next_flow.next_image,
            "next_spot": self.next_flow.next_spot,
            "previous_spot": self.next_flow.previous_spot,
            "suggest_images": self._switch_suggestions,
            "live_refine": self._switch_live,
            "predict": self._predictions.refresh,
            "predict_folder": self._predict_folder_flow.ask,
            "network": self._network_flow.ask,
            "import_weights": self._import_flow.ask,
            "export_model": self._model_export_flow.ask,
            "about": self._about,
        }
        functions |= {tool: partial(tools.set_tool, tool) for tool in _TOOLS}
        functions |= {f"show_{mode}": partial(self._view_state.set_mode, mode) for mode in OverlayMode}
        functions |= {f"theme_{name}": partial(self._set_theme, name) for name in _THEMES}
        functions |= {f"status_{status.value}": partial(self._set_status, status) for status in Status}
        functions |= {f"class_{n}": partial(self._choose_class, n - 1) for n in range(1, 11)}
        return functions

    def _on_document_changed(self) -> None:
        # It comes also for the same image, after another one could not be read.
        if self._document is not None:
            self._document.history_changed.disconnect(self.update_enabled)
        self._document = self._session.document
        if self._document is not None:
            self._document.history_changed.connect(self.update_enabled)
        self.update_enabled()

    def _with_document(self, function: Callable[[Document], None]) -> None:
        self._canvas.end_stroke()
        if self._session.document is not None:
            function(self._session.document)

    def _accept(self, only_unlabelled: bool, class_id: int | None = None) -> None:
        self._canvas.end_stroke()
        if (document := self._session.document) is not None:
            change = document.accepting(only_unlabelled, class_id)
            self._make(document, change, tr("There was nothing to take over."))

    def _fill_unlabelled(self) -> None:
        self._canvas.end_stroke()
        document, class_id = self._session.document, self._tool_state.class_id
        if document is None or class_id is None:
            return
        change = filling(document.item_key, class_id, document.prediction_version)
        self._make(document, change, tr("Every pixel has a class already."))

    def _make(self, document: Document, change: Change | None, in_vain: str) -> None:
        """Make a change of the whole image, if there is one; says ``in_vain`` when nothing changes."""
        if change is not None:
            self._steps.make(document, change, lambda patch: self._tell(in_vain) if patch is None else None)

    def _split(self, arrangement: Arrangement) -> None:
        compare = self._window.compare
        compare.set_arrangement(Arrangement.SINGLE if compare.arrangement is arrangement else arrangement)
        self.update_enabled()

    def _highlight(self) -> None:
        is_on = self._view_state.look.highlight is not None
        self._view_state.set_highlight(None if is_on else self._tool_state.class_id)
        self.update_enabled()

    def _on_class_changed(self) -> None:
        if self._view_state.look.highlight is not None:
            self._view_state.set_highlight(self._tool_state.class_id)

    def _lock_class(self) -> None:
        class_id = self._tool_state.class_id
        if class_id is not None and self._session.project is not None:
            self._session.set_locked(class_id, class_id not in self._tool_state.locked)

    def _switch_live(self) -> None:
        self._live.set_on(not self._live.is_on)
        self._settings.has_live_refine = self._live.is_on
        self.update_enabled()

    def _switch_suggestions(self) -> None:
        self._queue.set_on(not self._queue.is_on)
        self._settings.has_suggestions = self._queue.is_on
        self.update_enabled()

    def _tell(self, text: str) -> None:
        self._window.status_line.showMessage(text, _TOLD_MS)

    def _rescan(self) -> None:
        self._window.images_panel.retry_thumbnails()
        self._session.rescan()

    def _choose_class(self, row: int) -> None:
        project = self._session.project
        if project is not None and row < len(project.classes):
            self._tool_state.set_class_id(project.classes.indices[row])

    def _set_status(self, status: Status) -> None:
        key = self._session.current_key
        if key is not None:
            self._session.set_status(key, status)
            if status is Status.DONE:
                self.next_flow.offer()

    def _set_theme(self, name: str) -> None:
        self._settings.theme = name
        theme.apply(QGuiApplication.instance(), name)
        self.update_enabled()

    def _about(self) -> None:
        QMessageBox.about(
            self._window,
            tr("About PSPNet Studio"),
            tr(
                "<h3>PSPNet Studio {version}</h3><p>Teach a segmentation network by correcting it. "
                "Everything stays on this computer.</p><p>Apache License 2.0. Contains Qt (LGPL), PyTorch and "
                "ImageNet weights of EfficientNet-Lite0; see THIRD_PARTY.</p>"
            ).format(version=__version__),
        )
