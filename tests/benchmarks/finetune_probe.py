"""The real window while a fine-tune runs: how soon a mouse move of a stroke is painted, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.painting import path
from tests.helpers.display import virtual_display

_SECONDS = 60.0
_MOVES = 60
_LEAST_MOVES = 1000


def measured(project: Path, mode: str) -> dict[str, Any]:
    """Keys `gui_p50_ms`, `gui_p99_ms`, `gui_max_ms`, `gui_moves`, `gui_adopted_s` for a click in this project."""
    with virtual_display() as environment, tempfile.TemporaryDirectory() as home:
        environment |= {
            "QT_QPA_PLATFORM": "xcb",
            "OMP_NUM_THREADS": "1",
            **{f"XDG_{name}_HOME": home for name in ("CONFIG", "CACHE", "DATA")},
        }
        command = [sys.executable, "-m", "tests.benchmarks.finetune_probe", str(project), home, mode]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(folder: Path, home: Path, mode: str) -> dict[str, Any]:
    """Open the project, begin a fine-tune, and paint until it has decided."""
    from PySide6.QtCore import QSettings

    from pspnet_studio.bootstrap import bootstrap
    from pspnet_studio.canvas.image_view import ImageView

    painted_at = [0.0]
    painted = ImageView.paintEvent

    def paint_event(view: Any, event: Any) -> None:
        painted(view, event)
        painted_at[0] = time.perf_counter()

    ImageView.paintEvent = paint_event  # type: ignore[method-assign]
    settings = QSettings(str(home / "settings.ini"), QSettings.Format.IniFormat)
    studio = bootstrap(["probe"], settings_store=settings, device="cpu")
    studio.window.resize(1500, 950)
    studio.window.show()
    studio.window.intake.open([folder])
    _wait(studio, lambda: studio.session.document is not None and studio.session.document.pixels.is_loaded)
    ended: list[Any] = []
    studio.training.ended.connect(ended.append)
    _wait(studio, lambda: studio.training.can_start()[0])
    studio.tool_state.set_tool("brush")
    studio.tool_state.set_diameter(20)
    clicked = time.perf_counter()
    studio.training.start(_SECONDS, mode)
    _wait(studio, lambda: len(studio.training.history) > 0)
    times: list[float] = []
    seed = 0
    while not ended:
        times += _stroke(studio, path(_MOVES, seed), painted_at)
        _settle(studio, 0.3)
        seed += 1
    adopted_s = time.perf_counter() - clicked
    assert len(times) >= _LEAST_MOVES, f"only {len(times)} moves"
    assert hasattr(ended[0], "adopted"), ended[0]
    studio.runner.shutdown(30)
    ms = np.array(times) * 1000
    return {
        **{f"gui_p{level}_ms": round(float(np.percentile(ms, level)), 2) for level in (50, 95, 99)},
        "gui_max_ms": round(float(ms.max()), 1),
        "gui_moves": len(times),
        "gui_adopted_s": round(adopted_s, 1) if ended[0].adopted else None,
        "gui_load1": round(os.getloadavg()[0], 2),
    }


def _stroke(studio: Any, points: Any, painted_at: list[float]) -> list[float]:
    """Seconds from each move's delivery to the end of the canvas' repaint."""
    from PySide6.QtCore import QEvent

    canvas = studio.window.canvas
    size = np.array([canvas.width(), canvas.height()]) - 1
    points = np.clip(points, 0, size)
    _send(canvas, QEvent.Type.MouseButtonPress, points[0])
    studio.application.processEvents()
    times = []
    for point in points[1:]:
        painted_at[0] = 0.0
        start = time.perf_counter()
        _send(canvas, QEvent.Type.MouseMove, point)
        while not painted_at[0] and time.perf_counter() - start < 1.0:
            studio.application.processEvents()
        if painted_at[0]:  # outside of the image nothing is painted
            times.append(painted_at[0] - start)
        _settle(studio, 0.004)
    _send(canvas, QEvent.Type.MouseButtonRelease, points[-1])
    studio.application.processEvents()
    return times


def _send(canvas: Any, kind: Any, point: Any) -> None:
    from PySide6.QtCore import QEvent, QPointF, Qt
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    at = QPointF(float(point[0]), float(point[1]))
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else Qt.MouseButton.LeftButton
    event = QMouseEvent(kind, at, canvas.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


def _settle(studio: Any, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        studio.application.processEvents()
        time.sleep(0.0005)


def _wait(studio: Any, is_done: Any, timeout_s: float = 300.0) -> None:
    end = time.perf_counter() + timeout_s
    while not is_done():
        if time.perf_counter() > end:
            raise SystemExit("waited too long")
        studio.application.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))
