"""Python's cyclic garbage is collected in the GUI thread alone.

Left to itself the collector runs in whichever thread allocates, also in a lane's; a cycle that holds a widget is then
destroyed outside the GUI thread, and Qt ends the program. So the automatic collection is off from the moment that a
window is made, for the rest of the process, and a timer of the GUI thread looks at the counters instead.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_INTERVAL_MS = 500


class Collector(QObject):
    """Switches the automatic collection off, and collects from a timer instead."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.timeout.connect(collect_due)
        self._timer.start()


def collect_due() -> None:
    """Collect the oldest generation whose counter is over its threshold, and with it the younger ones."""
    due = [
        age for age, (count, limit) in enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)) if count > limit
    ]
    if due:
        gc.collect(due[-1])
