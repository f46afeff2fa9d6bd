"""What the hand holds: tool, class, brush size, and how the overlay is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from PySide6.QtCore import QObject, Signal

from pspnet_studio.model.tool_specs import ToolSpec, Value, tool_specs

MIN_DIAMETER, MAX_DIAMETER = 1, 1000
_SIZE_STEP = 1.15


class ToolState(QObject):
    """Shared by the canvas and the panels; a change is a signal, whoever made it.

    Signals:
        changed: Any of tool, class, brush size, option or protection changed.
        overlay_changed: Opacity or visibility of the overlay changed.
    """

    changed = Signal()
    overlay_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._specs = tool_specs()
        self._tool = self._previous_tool = "brush"
        self._values: dict[tuple[str, str], Value] = {}
        self._only_unlabelled = False
        self._locked: frozenset[int] = frozenset()
        self._class_id: int | None = None
        self._diameter = 24
        self._opacity = 0.55
        self._overlay_visible = True

    @property
    def tool(self) -> str:
        """Id of the tool, a key of :func:`tool_specs`."""
        return self._tool

    @property
    def previous_tool(self) -> str:
        """Id of the tool before this one."""
        return self._previous_tool

    @property
    def spec(self) -> ToolSpec:
        """The tool."""
        return self._specs[self._tool]

    def spec_of(self, tool: str) -> ToolSpec:
        """A tool by its id."""
        return self._specs[tool]

    def set_tool(self, tool: str) -> None:
        """Take another tool."""
        if tool != self._tool:
            self._previous_tool, self._tool = self._tool, tool
            self.changed.emit()

    def option(self, tool: str, name: str) -> Value:
        """Value of one option of a tool."""
        default = next(option.default for option in self._specs[tool].options if option.name == name)
        return self._values.get((tool, name), default)

    def set_option(self, tool: str, name: str, value: object) -> None:
        """Set one option of a tool; what makes no sense is corrected."""
        option = next(option for option in self._specs[tool].options if option.name == name)
        valid = option.valid(value)
        if valid != self.option(tool, name):
            self._values[tool, name] = valid
            self.changed.emit()

    @property
    def options(self) -> dict[str, Value]:
        """Every option that was changed, by ``tool.name``: to be remembered."""
        return {f"{tool}.{name}": value for (tool, name), value in self._values.items()}

    def restore_options(self, options: Mapping[str, object]) -> None:
        """Take over what :attr:`options` gave; unknown names are dropped."""
        known = {f"{spec.id}.{o.name}": (spec.id, o) for spec in self._specs.values() for o in spec.options}
        for key, value in options.items():
            if key in known:
                tool, option = known[key]
                self._values[tool, option.name] = option.valid(value)
        self.changed.emit()

    @property
    def only_unlabelled(self) -> bool:
        """Whether tools leave alone what has a class."""
        return self._only_unlabelled

    def set_only_unlabelled(self, only_unlabelled: bool) -> None:
        """Let tools leave alone what has a class, or not."""
        if only_unlabelled != self._only_unlabelled:
            self._only_unlabelled = only_unlabelled
            self.changed.emit()

    @property
    def locked(self) -> frozenset[int]:
        """Ids of the classes whose pixels no tool changes."""
        return self._locked

    def set_locked(self, class_ids: Iterable[int]) -> None:
        """Protect the pixels of these classes, and of no others."""
        locked = frozenset(class_ids)
        if locked != self._locked:
            self._locked = locked
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
