"""Telling two fingers from a wheel."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QInputDevice, QWheelEvent


def is_touchpad(event: QWheelEvent) -> bool:
    """Whether two fingers scroll: that pans. The pixel delta alone does not tell; X11 sends one for wheels, too."""
    if event.deviceType() == QInputDevice.DeviceType.TouchPad:
        return True
    return event.phase() in (
        Qt.ScrollPhase.ScrollBegin,
        Qt.ScrollPhase.ScrollUpdate,
        Qt.ScrollPhase.ScrollEnd,
        Qt.ScrollPhase.ScrollMomentum,
    )
