"""The canvas: an image view whose pointer events go to a tool."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFocusEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPointingDevice,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.imaging.areas import Area
from pspnet_studio.canvas.area_picture import AreaPicture
from pspnet_studio.canvas.image_view import ImageView
from pspnet_studio.canvas.tools.base import NO_GUIDES, Pointer, Result
from pspnet_studio.canvas.tools.toolbox import make_tools
from pspnet_studio.canvas.viewport import Viewport
from pspnet_studio.jobs.tool_work import Compute, Work, at_once
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState

_WHEEL_NOTCH = 120
_CANCEL_KEYS = (Qt.Key.Key_Escape,)
_FINISH_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_REMOVE_KEYS = (Qt.Key.Key_Backspace,)
_ERASE_KEYS = (Qt.Key.Key_Delete, Qt.Key.Key_X)
_TOOL_KEYS = (*_CANCEL_KEYS, *_FINISH_KEYS, *_REMOVE_KEYS)
_HELD_KEYS = (Qt.Key.Key_Space, Qt.Key.Key_V)
# Plain numbers: flags of Qt take ten times as long, at each move of the pointer.
_SHIFT, _ALT = Qt.KeyboardModifier.ShiftModifier.value, Qt.KeyboardModifier.AltModifier.value
_TOOL_BUTTONS = (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton)


class CanvasView(ImageView):
    """Shows one document and passes pointer events, in image pixels, to the current tool.

    Keys while it has the focus: arrows and Space pan, V hides the overlay as long as it is held; Esc, Enter and
    Backspace go to the tool while it has something under way. Everything else is left to the window.

    Args:
        tool_state: Tool, class, brush size, overlay; shared with the panels.
        parent: As of any widget.
        compute: Runs what a tool has to work out.

    Signals:
        cursor_moved: (x, y) of the image pixel under the pointer, or (None, None) off the image.
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
        self._tool_button = Qt.MouseButton.NoButton
        self._guides = NO_GUIDES
        self._hover: QPointF | None = None
        self._cursor_pixel: tuple[int, int] | None = None
        self._overlay_is_held_off = False
        self._classes = ClassSet()
        self._wheel_rest = 0
        self._pressure = 1.0
        self._is_eraser = False
        tool_state.changed.connect(self._on_tool_changed)
        tool_state.overlay_changed.connect(self._on_overlay_changed)
        self.setAccessibleName(tr("Canvas"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
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

    def update_cursor(self) -> None:
        """Show the pointer that fits to what a press would do now."""
        if self._document is None or self.is_panning or self.is_space_down:
            super().update_cursor()
        else:
            self.setCursor(Qt.CursorShape.BlankCursor if self._tool.hides_cursor else Qt.CursorShape.CrossCursor)

    # --- slots

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

    def _pointer(self, event: QMouseEvent) -> Pointer:
        x, y = self.event_to_image(event.position())
        button = self._tool_button if self._tool.is_dragging else event.button()
        modifiers = event.modifiers().value
        straight, subtract = bool(modifiers & _SHIFT), bool(modifiers & _ALT)
        erases = button is Qt.MouseButton.RightButton or self._is_eraser
        return Pointer(x, y, erases, straight, subtract, self._pressure)

    def _set_cursor_pixel(self, pixel: tuple[int, int] | None) -> None:
        if pixel != self._cursor_pixel:
            self._cursor_pixel = pixel
            self.cursor_moved.emit(*(pixel or (None, None)))

    def _on_modifier(self, key: int, is_held: bool) -> None:
        """Shift makes a line or a square at once, not with the next move of the pointer."""
        if key == Qt.Key.Key_Shift and self._hover is not None and self._document is not None:
            self._tool.move(Pointer(*self.event_to_image(self._hover), straight=is_held, pressure=self._pressure))

    def _track(self, pointer: Pointer) -> None:
        x, y = math.floor(pointer.x), math.floor(pointer.y)
        inside = 0 <= x < self.viewport.image_w and 0 <= y < self.viewport.image_h
        self._set_cursor_pixel((x, y) if inside else None)

    def _hold_overlay_off(self, is_held: bool) -> None:
        if is_held and self._tool_state.overlay_visible:
            self._overlay_is_held_off = True
            self._tool_state.set_overlay_visible(False)
        elif not is_held and self._overlay_is_held_off:
            self._overlay_is_held_off = False
            self._tool_state.set_overlay_visible(True)

    def _let_go(self) -> None:
        """Nothing that is held down will be heard of again: end it cleanly."""
        self._tool.end_drag()
        self._hold_overlay_off(False)
        self.stop_panning()

    def _why_invisible(self) -> str:
        """Why what is painted now would not be seen; empty when it would be."""
        if not self._tool_state.overlay_visible and not self._overlay_is_held_off:
            return tr("The classes are hidden: press O to show them, then paint.")
        class_id = self._tool_state.class_id
        if self._tool.paints_class and class_id in self._classes and not self._classes[class_id].visible:
            name = self._classes[class_id].name
            return tr("“{name}” is hidden: click its eye to show it, then paint.").format(name=name)
        return ""

    # --- Qt

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            is_tool_key = event.key() in _TOOL_KEYS and self._tool.is_active
            is_tool_key |= event.key() in _ERASE_KEYS and self._tool.has_pending
            if self._document is not None and plain and (event.key() in _HELD_KEYS or is_tool_key):
                # Otherwise a shortcut of the window would take the key.
                event.accept()
                return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._tool.is_dragging:
            return
        takes_tool = event.button() in _TOOL_BUTTONS and not self.is_space_down and not self.is_panning
        if self._document is None or not takes_tool:
            super().mousePressEvent(event)
            return
        if hidden := self._why_invisible():
            self.show_hint(hidden)
            return
        self._tool_button = event.button()
        self._tool.press(self._pointer(event))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        takes_tool = event.button() in _TOOL_BUTTONS and not self.is_space_down and not self.is_panning
        if self._document is None or not takes_tool or self._tool.is_dragging:
            self.mousePressEvent(event)
            return
        self._tool_button = event.button()
        self._tool.double_click(self._pointer(event))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._document is None:
            return
        self._hover = event.position()
        if self._tool.is_dragging and not event.buttons().value & self._tool_button.value:
            self._tool.end_drag()
        if self.is_panning:
            super().mouseMoveEvent(event)
        pointer = self._pointer(event)
        self._tool.move(pointer)
        self._track(pointer)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.is_panning:
            super().mouseReleaseEvent(event)
        elif self._document is not None and event.button() == self._tool_button:
            self._tool.release(self._pointer(event))
            self._tool_button = Qt.MouseButton.NoButton
            self._is_eraser = False

    def tabletEvent(self, event: QTabletEvent) -> None:
        # Only the pressure, and which end is used, are taken; ignored, the event comes again as one of the mouse.
        if event.type() == QEvent.Type.TabletPress:
            self._is_eraser = event.pointerType() == QPointingDevice.PointerType.Eraser
        is_pressed = event.type() != QEvent.Type.TabletRelease and bool(event.buttons())
        self._pressure = event.pressure() if is_pressed else 1.0
        event.ignore()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._document is None or not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
            return
        self._wheel_rest += event.angleDelta().y()
        steps = int(self._wheel_rest / _WHEEL_NOTCH)
        self._wheel_rest -= steps * _WHEEL_NOTCH
        if steps:
            self._tool_state.grow_brush(steps)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if self._document is None:
            super().keyPressEvent(event)
        elif key == Qt.Key.Key_V and not event.modifiers():
            if not event.isAutoRepeat():
                self._hold_overlay_off(True)
        elif key in _TOOL_KEYS and self._tool.is_active:
            if key in _CANCEL_KEYS:
                self._tool.cancel()
            elif key in _FINISH_KEYS:
                self._tool.finish()
            else:
                self._tool.remove_last()
        elif key in _ERASE_KEYS and self._tool.has_pending:
            self._tool.erase()
        else:
            super().keyPressEvent(event)
            self._on_modifier(key, is_held=True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_V:
            if not event.isAutoRepeat():
                self._hold_overlay_off(False)
        else:
            super().keyReleaseEvent(event)
            self._on_modifier(event.key(), is_held=False)

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        # Space, V and the tools' keys are meant for the image from now on, unless a text is half typed.
        focus = QApplication.focusWidget()
        is_typing = isinstance(focus, QLineEdit) and bool(focus.text())
        if self._document is not None and self.isActiveWindow() and not is_typing:
            self.setFocus(Qt.FocusReason.MouseFocusReason)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover = None
        self._tool.leave()
        self._set_cursor_pixel(None)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._let_go()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._let_go()
