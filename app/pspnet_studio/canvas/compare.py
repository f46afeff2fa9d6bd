"""The canvas beside other views of the same image: they show the same place, and move together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QLabel, QSplitter, QWidget

from pspnet_core.classes import ClassSet
from pspnet_studio.canvas.image_view import ImageView
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import OverlayMode, ViewState, mode_texts
from pspnet_studio.theme import SPACE_S


class Arrangement(StrEnum):
    """What stands beside the canvas."""

    SINGLE = "single"
    PHOTO = "photo"
    """The photograph without anything over it."""
    COMPARE = "compare"
    """My labels, the prediction, and the difference of both."""
    VERSIONS = "versions"
    """My labels, and what several versions predict."""


_MODES: dict[Arrangement, tuple[OverlayMode | None, ...]] = {
    Arrangement.SINGLE: (),
    Arrangement.PHOTO: (None,),
    Arrangement.COMPARE: (OverlayMode.PREDICTION, OverlayMode.DIFFERENCE),
    Arrangement.VERSIONS: (),  # as many as are given
}
_LABELS_BESIDE = (Arrangement.COMPARE, Arrangement.VERSIONS)


class CompareView(QSplitter):
    """The canvas, and beside it, when wanted, views to compare with.

    Args:
        canvas: Taken in.
        tool_state: Opacity of overlays.
        view_state: Outlines, highlight and brightness, which the other views share.

    Signals:
        arrangement_changed: Something else stands beside the canvas.
    """

    arrangement_changed = Signal()

    def __init__(
        self, canvas: CanvasView, tool_state: ToolState, view_state: ViewState, parent: QWidget | None = None
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setChildrenCollapsible(False)
        self._canvas, self._tool_state, self._view_state = canvas, tool_state, view_state
        self._classes = ClassSet()
        self._arrangement = Arrangement.SINGLE
        self._others: list[tuple[ImageView, OverlayMode | None]] = []
        self._sizes: dict[ImageView, tuple[int, int]] = {}
        self._title = _title(canvas)
        self._title.hide()
        self._moves = False
        self.addWidget(canvas)
        canvas.viewport_changed.connect(lambda: self._follow(canvas))
        tool_state.overlay_changed.connect(self._on_look)
        view_state.changed.connect(self._on_look)

    @property
    def arrangement(self) -> Arrangement:
        """What stands beside the canvas now."""
        return self._arrangement

    @property
    def others(self) -> list[ImageView]:
        """The views beside the canvas."""
        return [view for view, _ in self._others]

    def set_arrangement(self, arrangement: Arrangement) -> None:
        """Put other views beside the canvas, or none."""
        if arrangement is self._arrangement:
            return
        self._arrange(arrangement, [self._make(mode) for mode in _MODES[arrangement]])

    def show_versions(self, versions: Sequence[tuple[str, Document]]) -> None:
        """Put what versions predict for the image beside the canvas, each under a name; none for nothing.

        Args:
            versions: Name and document, of the size of the image; shown until this is called again.
        """
        if not versions and self._arrangement is not Arrangement.VERSIONS:
            return
        arrangement = Arrangement.VERSIONS if versions else Arrangement.SINGLE
        views = [self._make(OverlayMode.PREDICTION, name, document) for name, document in versions]
        self._arrange(arrangement, views)

    def set_document(self, document: Document | None) -> None:
        """Show another document in the views beside the canvas."""
        if self._arrangement is not Arrangement.VERSIONS:  # they have their own
            for view in self.others:
                view.set_document(document)
        self._follow(self._canvas)

    def set_classes(self, classes: ClassSet) -> None:
        """Draw the other views with these colours."""
        self._classes = classes
        for view in self.others:
            view.set_classes(classes)

    def _arrange(self, arrangement: Arrangement, others: list[tuple[ImageView, OverlayMode | None]]) -> None:
        """Let these views stand beside the canvas from now on."""
        had_labels = self._arrangement in _LABELS_BESIDE
        is_other, self._arrangement = arrangement is not self._arrangement, arrangement
        is_fitted = self._canvas.is_fitted
        for view, _ in self._others:
            view.set_document(None)
            view.setParent(None)
            view.deleteLater()
        self._sizes.clear()
        is_as_many, self._others = len(others) == len(self._others), others
        for view in self.others:
            self.addWidget(view)
        if is_other or not is_as_many:
            self.setSizes([1000] * self.count())
        # In a comparison the canvas shows the labels alone; before and after it shows what it showed.
        if arrangement in _LABELS_BESIDE:
            if is_other:
                self._view_state.set_mode(OverlayMode.LABELS)
        elif had_labels and self._view_state.look.mode is OverlayMode.LABELS:
            self._view_state.set_mode(OverlayMode.CLASSES)
        self._on_look()
        self._follow(self._canvas)
        if is_fitted:
            self._canvas.fit()
        if is_other:
            self.arrangement_changed.emit()

    def _make(
        self, mode: OverlayMode | None, name: str = "", document: Document | None = None
    ) -> tuple[ImageView, OverlayMode | None]:
        view = ImageView()
        view.setMinimumSize(QSize(120, 120))
        view.set_classes(self._classes)
        view.set_document(document or self._canvas.document)
        view.viewport_changed.connect(lambda: self._follow(view))
        text = name or (tr("Photograph") if mode is None else mode_texts()[mode])
        view.setAccessibleName(text)
        _say(_title(view), text)
        return view, mode

    def _on_look(self) -> None:
        look = self._view_state.look
        _say(self._title, mode_texts()[look.mode])
        self._title.setVisible(bool(self._others))
        for view, mode in self._others:
            view.set_look(look if mode is None else replace(look, mode=mode))
            view.set_overlay_opacity(0.0 if mode is None else self._tool_state.opacity)

    def _follow(self, leader: ImageView) -> None:
        """Show in all views what one of them shows."""
        if self._moves or not self._others:
            return
        size = leader.viewport.view_w, leader.viewport.view_h
        if leader is not self._canvas and self._sizes.get(leader) != size:  # nobody moved it, it got another size
            self._sizes[leader] = size
            leader = self._canvas
        self._moves = True
        try:
            for view in (self._canvas, *self.others):
                if view is not leader:
                    view.look_where(leader)
        finally:
            self._moves = False


def _title(view: ImageView) -> QLabel:
    """A line in the corner of a view that lets the mouse through."""
    title = QLabel(view)
    title.setProperty("look", "chip")
    title.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    title.move(SPACE_S, SPACE_S)
    return title


def _say(title: QLabel, text: str) -> None:
    title.setText(text)
    title.adjustSize()
