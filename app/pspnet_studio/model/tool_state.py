"""What the hand holds: tool, class, brush size, and how the overlay is shown."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

MIN_DIAMETER, MAX_DIAMETER = 1, 1000
_SIZE_STEP = 1.15


class ToolState(QObject):
    """Shared by the canvas and the panels; a change is a signal, whoever made it.

    Signals:
        changed: Any of tool, class or brush size changed.
        overlay_changed: Opacity or visibility of the overlay changed.
    """

    changed = Signal()
    overlay_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tool = "brush"
        self._class_id: int | None = None
        self._diameter = 24
        self._opacity = 0.55
        self._overlay_visible = True

    @property
    def tool(self) -> str:
        """Id of the tool: ``brush``, ``eraser``, ``polygon``."""
        return self._tool

    def set_tool(self, tool: str) -> None:
        """Take another tool."""
        if tool != self._tool:
            self._tool = tool
            self.changed.emit()

    @property
    def class_id(self) -> int | None:
        """Id of the class that is painted; None while the project has no class."""
        return self._class_id

    def set_class_id(self, class_id: int | None) -> None:
        """Paint with another class."""
        if class_id != self._class_id:
            self._class_id = class_id
            self.changed.emit()

    @property
    def diameter(self) -> int:
        """Brush diameter in image pixels, 1 to 1000."""
        return self._diameter

    def set_diameter(self, diameter: int) -> None:
        """Set the brush diameter in image pixels; clipped to 1 to 1000."""
        diameter = min(MAX_DIAMETER, max(MIN_DIAMETER, diameter))
        if diameter != self._diameter:
            self._diameter = diameter
            self.changed.emit()

    def grow_brush(self, steps: int) -> None:
        """Make the brush larger (or smaller, for negative steps) by about 15 % a step, at least one pixel."""
        diameter = self._diameter
        for _ in range(abs(steps)):
            if steps > 0:
                diameter = max(diameter + 1, round(diameter * _SIZE_STEP))
            else:
                diameter = min(diameter - 1, round(diameter / _SIZE_STEP))
        self.set_diameter(diameter)

    @property
    def opacity(self) -> float:
        """Opacity of the class overlay, 0 to 1."""
        return self._opacity

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity of the class overlay; clipped to 0 to 1."""
        opacity = min(1.0, max(0.0, opacity))
        if opacity != self._opacity:
            self._opacity = opacity
            self.overlay_changed.emit()

    @property
    def overlay_visible(self) -> bool:
        """Whether the class overlay is drawn."""
        return self._overlay_visible

    def set_overlay_visible(self, visible: bool) -> None:
        """Show or hide the class overlay."""
        if visible != self._overlay_visible:
            self._overlay_visible = visible
            self.overlay_changed.emit()
