"""The canvas: an image view whose pointer events and keys go to a tool."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import (
    QEnterEvent,
    QFocusEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPointingDevice,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from pspnet_studio.canvas.image_view import PAN_KEYS
from pspnet_studio.canvas.tool_view import ToolView
from pspnet_studio.canvas.tools.base import Pointer
from pspnet_studio.jobs.tool_work import Compute, at_once
from pspnet_studio.messages import tr
from pspnet_studio.model.tool_state import ToolState

_WHEEL_NOTCH = 120
_KEY_STEP_PX, _KEY_MARGIN_PX = 10, 40
_CANCEL_KEYS = (Qt.Key.Key_Escape,)
_FINISH_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_REMOVE_KEYS = (Qt.Key.Key_Backspace,)
_ERASE_KEYS = (Qt.Key.Key_Delete, Qt.Key.Key_X)
_TOOL_KEYS = (*_CANCEL_KEYS, *_FINISH_KEYS, *_REMOVE_KEYS)
_HELD_KEYS = (Qt.Key.Key_Space, Qt.Key.Key_V)
# Plain numbers: flags of Qt take ten times as long, at each move of the pointer.
_SHIFT, _ALT = Qt.KeyboardModifier.ShiftModifier.value, Qt.KeyboardModifier.AltModifier.value
_TOOL_BUTTONS = (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton)


class CanvasView(ToolView):
    """Passes pointer events, in image pixels, and keys to the current tool.

    Keys while it has the focus: arrows and Space pan, V hides the overlay as long as it is held; Esc, Enter and
    Backspace go to the tool while it has something under way. Ctrl with an arrow moves the tool without the mouse, with
    Shift, too, by single pixels; Ctrl+Space puts it down, or clicks, and lifts it again. Everything else is left to the
    window.

    Args: As of :class:`ToolView`.
    """

    def __init__(self, tool_state: ToolState, parent: QWidget | None = None, compute: Compute = at_once) -> None:
        super().__init__(tool_state, parent, compute)
        self._tool_button = Qt.MouseButton.NoButton
        self._overlay_is_held_off = False
        self._wheel_rest = 0
        self._pressure = 1.0
        self._is_eraser = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleDescription(
            tr("Arrow keys pan. Ctrl with an arrow moves the tool, Ctrl+Space puts it down and lifts it again.")
        )

    # --- inside

    def _use_by_key(self, event: QKeyEvent) -> bool:
        """Move the tool, put it down or lift it, if that is what a key means."""
        modifiers = event.modifiers()
        if not modifiers & Qt.KeyboardModifier.ControlModifier or self.is_panning:
            return False
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._put_down_or_lift()
        elif event.key() in PAN_KEYS:
            across, down = PAN_KEYS[event.key()]
            is_fine = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
            step = 1 if is_fine else max(1, round(_KEY_STEP_PX * self.pixel_ratio / self.zoom))
            self._move_by_key(-across * step, -down * step)
        else:
            return False
        return True

    def _key_pointer(self, dx: int = 0, dy: int = 0) -> Pointer:
        """Where the tool is, or so many pixels further, in the middle of a pixel of the image."""
        document = self._document
        assert document is not None
        at = self._hover if self._hover is not None else QPointF(self.rect().center())
        x, y = self.event_to_image(at)
        column, row = (
            min(max(math.floor(v), 0), size - 1) for v, size in zip((x, y), document.shape[::-1], strict=True)
        )
        x, y = min(max(column + dx, 0), document.rect.w - 1) + 0.5, min(max(row + dy, 0), document.rect.h - 1) + 0.5
        return Pointer(x, y)

    def _move_by_key(self, dx: int, dy: int) -> None:
        pointer = self._key_pointer(dx, dy)
        at = self.image_to_widget(pointer.x, pointer.y)
        margin = min(_KEY_MARGIN_PX, self.width() // 4, self.height() // 4)
        inside = self.rect().adjusted(margin, margin, -margin, -margin)
        near_x, near_y = (
            min(max(at.x(), inside.left()), inside.right()),
            min(max(at.y(), inside.top()), inside.bottom()),
        )
        if (near_x, near_y) != (at.x(), at.y()) and not self.rect().contains(at.toPoint()):
            self._pan(near_x - at.x(), near_y - at.y())
        self._hover = self.event_position(pointer.x, pointer.y)
        self._tool.move(pointer)
        self._track(pointer)

    def _put_down_or_lift(self) -> None:
        pointer = self._key_pointer()
        if not self._tool.is_dragging:
            if hidden := self._why_invisible():
                self.show_hint(hidden)
                return
            self._hover = self.event_position(pointer.x, pointer.y)
            self._tool_button = Qt.MouseButton.LeftButton
            self._tool.press(pointer)
            if self._tool.is_dragging:
                return
        self._tool.release(pointer)

    def _pointer(self, event: QMouseEvent) -> Pointer:
        x, y = self.event_to_image(event.position())
        button = self._tool_button if self._tool.is_dragging else event.button()
        modifiers = event.modifiers().value
        straight, subtract = bool(modifiers & _SHIFT), bool(modifiers & _ALT)
        erases = button is Qt.MouseButton.RightButton or self._is_eraser
        return Pointer(x, y, erases, straight, subtract, self._pressure)

    def _on_modifier(self, key: int, is_held: bool) -> None:
        """Shift makes a line or a square at once, not with the next move of the pointer."""
        if key == Qt.Key.Key_Shift and self._hover is not None and self._document is not None:
            self._tool.move(Pointer(*self.event_to_image(self._hover), straight=is_held, pressure=self._pressure))

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
        elif self._use_by_key(event):
            return
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
