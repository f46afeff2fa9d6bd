"""An image view with tools: it draws what they show, and runs what they work out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.imaging.areas import Area
from pspnet_core.types import Rect
from pspnet_studio.canvas.area_picture import AreaPicture
from pspnet_studio.canvas.image_view import ImageView
from pspnet_studio.canvas.tools.base import NO_GUIDES, Pointer, Result
from pspnet_studio.canvas.tools.toolbox import make_tools
from pspnet_studio.canvas.viewport import Viewport
from pspnet_studio.jobs.tool_work import Compute, Work, at_once
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState

_TELL_AGAIN_MS = 30


class ToolView(ImageView):
    """Shows one document and holds the tools that edit it: what they use of the canvas (:class:`ToolHost`).

    Args:
        tool_state: Tool, class, brush size, overlay; shared with the panels.
        parent: As of any widget.
        compute: Runs what a tool has to work out.

    Signals:
        cursor_moved: (x, y) of the image pixel under the pointer, or (None, None) off the image; sent again, a little
            later, when what is shown there has changed.
        hint_changed: What can be done with the tool now; sent again when a press could not do anything.
    """

    cursor_moved = Signal(object, object)
    hint_changed = Signal(str)

    def __init__(self, tool_state: ToolState, parent: QWidget | None = None, compute: Compute = at_once) -> None:
        super().__init__(parent)
        self._tool_state = tool_state
        self._compute = compute
        self._preview = AreaPicture([])
        self._tools = make_tools(self)
        self._tool = self._tools[tool_state.tool]
        self._guides = NO_GUIDES
        self._hover: QPointF | None = None
        self._cursor_pixel: tuple[int, int] | None = None
        self._tell_again = QTimer(self, singleShot=True, interval=_TELL_AGAIN_MS)
        self._tell_again.timeout.connect(self._on_tell_again)
        self._classes = ClassSet()
        tool_state.changed.connect(self._on_tool_changed)
        tool_state.overlay_changed.connect(self._on_overlay_changed)
        self.setAccessibleName(tr("Canvas"))
        self._on_overlay_changed()

    @property
    def tool_state(self) -> ToolState:
        """Tool, class, brush size, overlay."""
        return self._tool_state

    def set_document(self, document: Document | None) -> None:
        """Show another document, fitted into the view, or none; a stroke under way is kept in the old one."""
        if document is self._document:
            return
        for tool in self._tools.values():
            tool.reset()
        self._set_cursor_pixel(None)
        self._preview = AreaPicture([])
        if self._document is not None:
            self._document.kept_off.disconnect(self._on_kept_off)
        super().set_document(document)
        if document is not None:
            document.kept_off.connect(self._on_kept_off)
        self._protect()
        self.show_hint("" if document is None else self._tool.hint())
        self.update_cursor()

    def set_classes(self, classes: ClassSet) -> None:
        """Draw the overlay with these colours, without hidden classes; those cannot be painted with."""
        super().set_classes(classes)
        self._classes = classes

    def cancel_tool(self) -> bool:
        """Esc: abort what the tool is doing; False when there was nothing to abort."""
        was_active = self._tool.is_active
        self._tool.cancel()
        return was_active

    def finish_tool(self) -> bool:
        """Enter: complete what the tool is doing; False when there was nothing."""
        was_active = self._tool.is_active
        self._tool.finish()
        return was_active

    def end_stroke(self) -> None:
        """Close a stroke under way and keep it: call before an edit that does not come from the canvas."""
        self._tool.end_drag()

    def set_preview(self, areas: Sequence[Area]) -> None:
        """Draw areas over the image that would change; none to draw nothing."""
        for picture in (self._preview, preview := AreaPicture(areas)):
            self.update_device_rect(picture.device_rect(self.viewport, self.pixel_ratio))
        self._preview = preview

    def show_hint(self, text: str) -> None:
        """Tell the person what can be done now."""
        self.hint_changed.emit(text)

    def compute(
        self,
        function: Callable[[], Result],
        on_done: Callable[[Result], None],
        on_error: Callable[[PspnetError], None],
    ) -> Work:
        """Work something out in the background; the result is dropped when another image is open by then."""
        document = self._document

        def deliver(result: Any) -> None:
            if self._document is document:
                on_done(result)

        def fail(error: PspnetError) -> None:
            if self._document is document:
                self.show_hint(" ".join(part for part in (error.title, error.remedy) if part))
                on_error(error)

        return self._compute(function, deliver, fail)

    def update_guides(self) -> None:
        """Repaint what the tool draws over the image."""
        before, guides = self._guides, NO_GUIDES if self._document is None else self._tool.guide_rect()
        self._guides = guides
        both = before.union(guides)
        # One rectangle is repainted sooner than two that are not far from each other.
        near = 2 * both.w * both.h <= 3 * (before.w * before.h + guides.w * guides.h)
        for rect in (both,) if near else (before, guides):
            self.update_device_rect(rect.intersect(self.viewport.view_rect))

    def paint_guides(self, painter: QPainter) -> None:
        """Draw over the image, in device pixels."""
        if self._document is None:
            return
        self._preview.paint(painter, self.viewport, self.pixel_ratio)
        if not self.is_panning:
            self._tool.paint_guides(painter)

    @property
    def is_busy(self) -> bool:
        return self._tool.is_dragging

    @property
    def has_work_under_way(self) -> bool:
        """Whether a stroke, a shape or a selection was begun and is not applied yet."""
        return self._tool.is_dragging or self._tool.is_active

    def update_cursor(self) -> None:
        """Show the pointer that fits to what a press would do now."""
        if self._document is None or self.is_panning or self.is_space_down:
            super().update_cursor()
        else:
            self.setCursor(Qt.CursorShape.BlankCursor if self._tool.hides_cursor else Qt.CursorShape.CrossCursor)

    # --- slots

    def _on_region_changed(self, region: Rect) -> None:
        super()._on_region_changed(region)
        if self._cursor_pixel is None or self._tell_again.isActive():
            return
        (column, row), (x, y, w, h) = self._cursor_pixel, region
        if 0 <= column - x < w and 0 <= row - y < h:
            self._tell_again.start()

    def _on_tell_again(self) -> None:
        if self._cursor_pixel is not None:
            self.cursor_moved.emit(*self._cursor_pixel)

    def _on_overlay_changed(self) -> None:
        self.set_overlay_opacity(self._tool_state.opacity if self._tool_state.overlay_visible else 0.0)

    def _on_tool_changed(self) -> None:
        self._protect()
        tool = self._tools[self._tool_state.tool]
        if tool is not self._tool:
            self._tool.put_down(tool)
            self._tool = tool
            self.update_cursor()
            self._hover_again()
        if self._document is not None:
            self.show_hint(self._tool.hint())
        self.update_guides()

    def _on_kept_off(self, class_id: int) -> None:
        if class_id not in self._tool_state.locked:
            self.show_hint(tr("Only unlabelled pixels are painted now: press U to paint over others, too."))
            return
        name = self._classes[class_id].name if class_id in self._classes else str(class_id)
        self.show_hint(tr("“{name}” is locked and stays as it is: click its lock to change it.").format(name=name))

    # --- inside

    def _protect(self) -> None:
        if self._document is not None:
            self._document.protect(self._tool_state.locked, self._tool_state.only_unlabelled)

    def _set_viewport(self, viewport: Viewport) -> None:
        super()._set_viewport(viewport)
        self._hover_again()
        # All is repainted; only remember where the guides are then.
        self._guides = NO_GUIDES if self._document is None else self._tool.guide_rect()

    def _hover_again(self) -> None:
        """The pointer rests, but what lies under it, or the tool, has changed."""
        if self._hover is not None and self._document is not None and not self._tool.is_dragging:
            pointer = Pointer(*self.event_to_image(self._hover))
            self._tool.move(pointer)
            self._track(pointer)

    def _set_cursor_pixel(self, pixel: tuple[int, int] | None) -> None:
        if pixel != self._cursor_pixel:
            self._cursor_pixel = pixel
            self.cursor_moved.emit(*(pixel or (None, None)))

    def _track(self, pointer: Pointer) -> None:
        x, y = math.floor(pointer.x), math.floor(pointer.y)
        inside = 0 <= x < self.viewport.image_w and 0 <= y < self.viewport.image_h
        self._set_cursor_pixel((x, y) if inside else None)
