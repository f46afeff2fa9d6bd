"""How long the window did not answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

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

    def stalls(
        self,
        stage_ends: Sequence[tuple[str, float]],
        apart_from: tuple[float, float] | None = None,
        over_ms: float = 50.0,
    ) -> list[dict[str, Any]]:
        """The gaps above ``over_ms``, in order.

        Args:
            stage_ends: Name and end (``perf_counter`` seconds) of each stage, in order.
            apart_from: As for :meth:`longest_ms`: gaps that overlap it are marked.
            over_ms: Shorter ones are left out.

        Returns:
            Of each gap ``ms``, ``stage`` (the one it began in, "end" after the last) and ``during_import``.
        """
        return [
            {
                "ms": round((end_s - begin_s) * 1000, 1),
                "stage": next((name for name, stage_end_s in stage_ends if begin_s <= stage_end_s), "end"),
                "during_import": apart_from is not None and begin_s < apart_from[1] and end_s > apart_from[0],
            }
            for begin_s, end_s in self._gaps
            if (end_s - begin_s) * 1000 > over_ms
        ]

    def _beat(self) -> None:
        now_s = time.perf_counter()
        if self._last_s is not None and now_s - self._last_s > 2 * _INTERVAL_MS / 1000:
            self._gaps.append((self._last_s, now_s))
        self._last_s = now_s
