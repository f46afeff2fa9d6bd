"""How the image and what lies over it are shown; nothing here changes a pixel of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from pspnet_studio.messages import tr


class OverlayMode(StrEnum):
    """What is drawn over the photograph."""

    CLASSES = "classes"
    """The person's pixels, and under them the prediction."""
    LABELS = "labels"
    PREDICTION = "prediction"
    DIFFERENCE = "difference"
    """Where the prediction and the person's pixels agree, and where they do not."""
    PROVENANCE = "provenance"
    CONFIDENCE = "confidence"


def mode_texts() -> dict[OverlayMode, str]:
    """What menus and panels call the views."""
    return {
        OverlayMode.CLASSES: tr("Labels over prediction"),
        OverlayMode.LABELS: tr("My labels"),
        OverlayMode.PREDICTION: tr("Prediction"),
        OverlayMode.DIFFERENCE: tr("Difference of both"),
        OverlayMode.PROVENANCE: tr("Where labels come from"),
        OverlayMode.CONFIDENCE: tr("How unsure the prediction is"),
    }


@dataclass(frozen=True, slots=True)
class Adjustments:
    """Brightness, contrast and gamma of the photograph.

    Attributes:
        brightness: -100 to 100; 0 changes nothing.
        contrast: -100 to 100; 0 changes nothing.
        gamma: 0.2 to 5; more is lighter; 1 changes nothing.
    """

    brightness: int = 0
    contrast: int = 0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        assert -100 <= self.brightness <= 100
        assert -100 <= self.contrast <= 100
        assert 0.2 <= self.gamma <= 5

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self == Adjustments()

    def table(self) -> NDArray[np.uint8]:
        """(256,) uint8: shown value of each value of a channel."""
        values = np.arange(256) / 255
        slope = np.tan((self.contrast / 100 + 1) * np.pi / 4) if self.contrast < 100 else 1e6
        values = (values - 0.5) * slope + 0.5 + self.brightness / 100
        values = np.clip(values, 0, 1) ** (1 / self.gamma)
        table: NDArray[np.uint8] = np.round(values * 255).astype(np.uint8)
        return table


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that decides how tiles are drawn, beside the classes' colours.

    Attributes:
        mode: What is drawn over the photograph.
        contours: Only the outlines of regions.
        highlight: A class beside which all others fade; None for none.
        adjustments: Of the photograph.
    """

    mode: OverlayMode = OverlayMode.CLASSES
    contours: bool = False
    highlight: int | None = None
    adjustments: Adjustments = Adjustments()


class ViewState(QObject):
    """The look of the canvas, shared by menus, panels and views.

    Signals:
        changed: The look changed.
        minimap_changed: The minimap was switched on or off.
    """

    changed = Signal()
    minimap_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._look = Look()
        self._has_minimap = True

    @property
    def has_minimap(self) -> bool:
        """Whether the whole image is shown in a corner while a part of it fills the canvas."""
        return self._has_minimap

    def set_minimap(self, has_minimap: bool) -> None:
        """Switch the minimap on or off."""
        if has_minimap != self._has_minimap:
            self._has_minimap = has_minimap
            self.minimap_changed.emit()

    @property
    def look(self) -> Look:
        """How it is drawn now."""
        return self._look

    def set_mode(self, mode: OverlayMode) -> None:
        """Draw something else over the photograph."""
        self._set(replace(self._look, mode=OverlayMode(mode)))

    def set_contours(self, contours: bool) -> None:
        """Draw outlines only, or whole regions."""
        self._set(replace(self._look, contours=contours))

    def set_highlight(self, class_id: int | None) -> None:
        """Let all classes but one fade, or none."""
        self._set(replace(self._look, highlight=class_id))

    def set_adjustments(self, adjustments: Adjustments) -> None:
        """Show the photograph lighter, darker or with other contrast."""
        self._set(replace(self._look, adjustments=adjustments))

    def _set(self, look: Look) -> None:
        if look != self._look:
            self._look = look
            self.changed.emit()
