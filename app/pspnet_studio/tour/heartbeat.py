"""How long the window did not answer."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, QTimer

_INTERVAL_MS = 5


class Heartbeat(QObject):
    """A 5 ms timer on the GUI thread that remembers the gaps between its beats."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._last_s: float | None = None
        self._gaps: list[tuple[float, float]] = []
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Begin to listen."""
        self._last_s = None
        self._timer.start()

    def stop(self) -> None:
        """End listening."""
        self._timer.stop()

    def longest_ms(self, apart_from: tuple[float, float] | None = None) -> tuple[float, float]:
        """Longest gap in ms, and the longest one that overlaps the span ``apart_from`` (``perf_counter`` seconds)."""
        longest = during = 0.0
        for begin_s, end_s in self._gaps:
            gap_ms = (end_s - begin_s) * 1000
            if apart_from is not None and begin_s < apart_from[1] and end_s > apart_from[0]:
                during = max(during, gap_ms)
            else:
                longest = max(longest, gap_ms)
        return longest, during

    def gaps_ms(self, over_ms: float = 50.0) -> list[tuple[float, float]]:
        """(when in ``perf_counter`` seconds, ms) of the gaps above ``over_ms``."""
        return [(b, (e - b) * 1000) for b, e in self._gaps if (e - b) * 1000 > over_ms]

    def _beat(self) -> None:
        now_s = time.perf_counter()
        if self._last_s is not None and now_s - self._last_s > 2 * _INTERVAL_MS / 1000:
            self._gaps.append((self._last_s, now_s))
        self._last_s = now_s
