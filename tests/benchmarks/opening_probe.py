"""The program inside of which `opening` measures: runs in a process of its own."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from PySide6.QtCore import QEvent, QObject, QSettings
from PySide6.QtWidgets import QApplication

from pspnet_studio.bootstrap import Studio, bootstrap

_PATIENCE_S = 120.0
_PAUSE_S = 1.5


class _PaintClock(QObject):
    """When the canvas last finished painting, and what it had then."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self._painting = False
        self.paints: list[tuple[float, str, bool]] = []
        """End of each paint event, key of the image, and whether it was complete."""
        studio.window.canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.Paint or self._painting:
            return False
        self._painting = True
        watched.event(event)  # paint now, so that the time after it can be taken
        self._painting = False
        canvas = self._studio.window.canvas
        if canvas.document is not None:
            is_full = canvas.is_complete and canvas.document.pixels.is_loaded
            self.paints.append((time.perf_counter(), canvas.document.item_key, is_full))
        return True


def run(what: str, photos: Path) -> dict[str, Any]:
    """All figures of one folder."""
    settings = QSettings(str(photos.parent / "settings.ini"), QSettings.Format.IniFormat)
    studio = bootstrap(settings_store=settings, device="cpu")
    studio.window.show()
    app = studio.application
    clock = _PaintClock(studio)
    _wait(app, lambda: studio.first_paint.is_done and not studio.runner.jobs)
    _idle(app, _PAUSE_S)
    try:
        return _folder(studio, clock, photos) if what == "folder" else _images(studio, clock, photos)
    finally:
        studio.runner.shutdown(30)


def _images(studio: Studio, clock: _PaintClock, photos: Path) -> dict[str, Any]:
    app, process = studio.application, psutil.Process()
    before = process.memory_info().rss
    studio.window.intake.open([photos])
    _wait(app, lambda: _is_seen(clock, "", is_full=True))
    assert studio.session.project is not None
    keys = [item.key for item in studio.session.project.items]
    first, full, near, near_full = [], [], [], []
    # Far jumps are not read ahead; steps to the next image after a pause are.
    for number in range(len(keys)):
        studio.session._neighbours.pictures.clear()
        key = keys[(number * 3 + 2) % len(keys)] if len(keys) > 3 else keys[(number + 1) % len(keys)]
        if studio.session.current_key == key:
            continue
        _collect(studio, clock, key, first, full)
        _idle(app, _PAUSE_S)
        if key != keys[-1]:
            _collect(studio, clock, keys[keys.index(key) + 1], near, near_full)
            _idle(app, _PAUSE_S)
    path = photos / keys[0]
    baseline = []
    if path.suffix == ".jpg":
        for _ in range(3):
            start = time.perf_counter()
            with Image.open(path) as image:
                image.load()
            baseline.append(time.perf_counter() - start)
    return {
        "first_ms": _ms(first),
        "full_ms": _ms(full),
        "neighbour_ms": _ms(near),
        "neighbour_full_ms": _ms(near_full),
        "baseline_ms": _ms(baseline),
        "rss_mb": round(_peak_bytes() / 1e6),
        "rss_before_mb": round(before / 1e6),
        "repeats": len(first),
        "load1": round(os.getloadavg()[0], 2),
    }


def _folder(studio: Studio, clock: _PaintClock, photos: Path) -> dict[str, Any]:
    start = time.perf_counter()
    studio.window.intake.open([photos])
    _wait(studio.application, lambda: _is_seen(clock, "", is_full=True))
    return {"folder_s": round(clock.paints[-1][0] - start, 2), "folder_rss_mb": round(_peak_bytes() / 1e6)}


def _collect(studio: Studio, clock: _PaintClock, key: str, first: list[float], full: list[float]) -> None:
    """Open an image and note when it was first seen and when it was complete."""
    clock.paints.clear()
    start = time.perf_counter()
    studio.session.go_to(key)
    _wait(studio.application, lambda: _is_seen(clock, key, is_full=True))
    seen = [paint for paint in clock.paints if paint[1] == key]
    first.append(seen[0][0] - start)
    full.append(next(at for at, _, is_full in seen if is_full) - start)


def _is_seen(clock: _PaintClock, key: str, is_full: bool) -> bool:
    return any((not key or at == key) and full >= is_full for _, at, full in clock.paints)


def _wait(app: QApplication, condition: Callable[[], bool]) -> None:
    end = time.perf_counter() + _PATIENCE_S
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        app.processEvents()
        time.sleep(0.0005)


def _idle(app: QApplication, seconds: float) -> None:
    end = time.perf_counter() + seconds
    _wait(app, lambda: time.perf_counter() >= end)


def _ms(seconds: list[float]) -> float | None:
    return round(statistics.median(seconds) * 1000, 1) if seconds else None


def _peak_bytes() -> int:
    """The most memory that this process ever had in use."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
