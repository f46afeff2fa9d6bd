"""What the program remembers between starts: typed access to one small file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

_MAX_RECENT = 8


class Settings:
    """Typed settings over ``QSettings``.

    Args:
        store: Where they lie; tests give a temporary file.
    """

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store or QSettings(
            QSettings.Format.IniFormat, QSettings.Scope.UserScope, "PSPNet Studio", "studio"
        )

    @property
    def recent_folders(self) -> list[str]:
        """Folders that were opened, latest first."""
        value = self._store.value("recent_folders", [])
        if isinstance(value, str):
            return [value]
        return [str(v) for v in value] if isinstance(value, list) else []

    def add_recent_folder(self, folder: str) -> None:
        """Put a folder in front of the recent ones."""
        rest = [f for f in self.recent_folders if f != folder]
        self._store.setValue("recent_folders", [folder, *rest][:_MAX_RECENT])

    def remove_recent_folder(self, folder: str) -> None:
        """Forget a recent folder."""
        self._store.setValue("recent_folders", [f for f in self.recent_folders if f != folder])

    @property
    def theme(self) -> str:
        """``system``, ``light`` or ``dark``."""
        return str(self._store.value("theme", "system"))

    @theme.setter
    def theme(self, theme: str) -> None:
        self._store.setValue("theme", theme)

    @property
    def training_mode(self) -> str:
        """``quick`` or ``full``."""
        return "full" if self._store.value("training_mode", "quick") == "full" else "quick"

    @training_mode.setter
    def training_mode(self, mode: str) -> None:
        self._store.setValue("training_mode", mode)

    @property
    def full_training_seconds(self) -> int:
        """The most that a full fine-tune may take, in seconds."""
        return int(str(self._store.value("full_training_seconds", 1200)))

    @full_training_seconds.setter
    def full_training_seconds(self, seconds: int) -> None:
        self._store.setValue("full_training_seconds", seconds)

    @property
    def training_seconds(self) -> int:
        """Time budget of a quick fine-tune, in seconds."""
        return int(str(self._store.value("training_seconds", 60)))

    @training_seconds.setter
    def training_seconds(self, seconds: int) -> None:
        self._store.setValue("training_seconds", seconds)

    @property
    def undo_budget_mb(self) -> int:
        """For the undo steps of all images of a project, in megabytes."""
        return int(str(self._store.value("undo_budget_mb", 256)))

    @undo_budget_mb.setter
    def undo_budget_mb(self, megabytes: int) -> None:
        self._store.setValue("undo_budget_mb", megabytes)

    @property
    def brush_diameter(self) -> int:
        """Brush diameter in image pixels."""
        return int(str(self._store.value("brush_diameter", 24)))

    @brush_diameter.setter
    def brush_diameter(self, diameter: int) -> None:
        self._store.setValue("brush_diameter", diameter)

    @property
    def overlay_opacity(self) -> float:
        """Opacity of the class overlay, 0 to 1."""
        return float(str(self._store.value("overlay_opacity", 0.55)))

    @overlay_opacity.setter
    def overlay_opacity(self, opacity: float) -> None:
        self._store.setValue("overlay_opacity", opacity)

    @property
    def has_minimap(self) -> bool:
        """Whether the minimap is switched on."""
        return str(self._store.value("has_minimap", "true")) == "true"

    @has_minimap.setter
    def has_minimap(self, has_minimap: bool) -> None:
        self._store.setValue("has_minimap", "true" if has_minimap else "false")

    @property
    def has_live_refine(self) -> bool:
        """Whether the overlay follows the hand."""
        return str(self._store.value("has_live_refine", "true")) == "true"

    @has_live_refine.setter
    def has_live_refine(self, has_live_refine: bool) -> None:
        self._store.setValue("has_live_refine", "true" if has_live_refine else "false")

    @property
    def has_suggestions(self) -> bool:
        """Whether the program looks for the images that are best corrected next."""
        return str(self._store.value("has_suggestions", "true")) == "true"

    @has_suggestions.setter
    def has_suggestions(self, has_suggestions: bool) -> None:
        self._store.setValue("has_suggestions", "true" if has_suggestions else "false")

    @property
    def image_order(self) -> tuple[str, bool]:
        """What the list of images is ordered by (a value of ``SortBy``), and whether it is reversed."""
        is_reversed = str(self._store.value("image_order_reversed", "false")) == "true"
        return str(self._store.value("image_order", "name")), is_reversed

    def set_image_order(self, sort_by: str, is_reversed: bool) -> None:
        """Order the list of images so from now on."""
        self._store.setValue("image_order", sort_by)
        self._store.setValue("image_order_reversed", "true" if is_reversed else "false")

    @property
    def tool_options(self) -> dict[str, Any]:
        """Options of the tools that were changed, by ``tool.name``."""
        try:
            value = json.loads(str(self._store.value("tool_options", "{}")))
        except ValueError:  # edited by hand
            return {}
        return value if isinstance(value, dict) else {}

    @tool_options.setter
    def tool_options(self, options: Mapping[str, Any]) -> None:
        self._store.setValue("tool_options", json.dumps(dict(options)))

    def bytes_of(self, key: str) -> QByteArray:
        """A remembered blob (window geometry and state); empty when there is none."""
        value = self._store.value(key, QByteArray())
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_bytes(self, key: str, value: QByteArray) -> None:
        """Remember a blob."""
        self._store.setValue(key, value)
