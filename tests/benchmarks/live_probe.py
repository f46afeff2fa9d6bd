"""From the release of a stroke to the end of painting the new overlay, in the real window, in a process of its own.

`stages_ms`, medians and 95th percentiles: `commit` (release to the fit's being asked for), `queue` (to its beginning in
its lane), `fit` (to its answer), `post` (to the window's knowing it), `paint` (to the end of painting); `fit_cpu` and
`paint_cpu` are the processor time of the threads in question, the rest was waiting. Moves of the pointer come every
16 ms.
"""

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
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.project.dataset import Dataset
from pspnet_core.project.records import Item
from tests.benchmarks.live_strokes import strokes_of
from tests.helpers.display import virtual_display

_NUM_STROKES = 40
_TRAINING_S = 600.0
_MOVE_S, _LOOK_MS = 0.016, 4


def measured(dataset: Dataset, item: Item, megapixels: list[int]) -> dict[str, Any]:
    """Keys `p50_ms`, `p95_ms` (of the worst row) and `rows`, for one image brought to some sizes."""
    image, truth = dataset.load(item)
    rows = []
    for size in megapixels:
        factor = (size * 1e6 / (image.shape[0] * image.shape[1])) ** 0.5
        shape = round(image.shape[1] * factor), round(image.shape[0] * factor)
        with virtual_display() as environment, tempfile.TemporaryDirectory() as home:
            photos = Path(home) / "photos"
            photos.mkdir()
            Image.fromarray(image).resize(shape, Image.Resampling.BICUBIC).save(photos / "photo.png")
            np.save(
                Path(home) / "truth.npy", np.asarray(Image.fromarray(truth).resize(shape, Image.Resampling.NEAREST))
            )
            environment |= {
                "QT_QPA_PLATFORM": "xcb",
                "OMP_NUM_THREADS": "1",
                **{f"XDG_{name}_HOME": home for name in ("CONFIG", "CACHE", "DATA")},
            }
            command = [sys.executable, "-m", "tests.benchmarks.live_probe", home]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            rows += [{"megapixels": size, **row} for row in json.loads(done.stdout.splitlines()[-1])]
    worst = max(rows, key=lambda row: row["p95_ms"])
    return {"p50_ms": worst["p50_ms"], "p95_ms": worst["p95_ms"], "rows": rows}


def run(home: Path) -> list[dict[str, Any]]:
    """The rows of one image: first with nothing else to do, then while a fine-tune runs."""
    from PySide6.QtCore import QSettings

    from pspnet_studio.bootstrap import bootstrap
    from pspnet_studio.canvas.image_view import ImageView

    probe = _Probe()
    painted = ImageView.paintEvent

    def paint_event(view: Any, event: Any) -> None:
        painted(view, event)
        probe.note(view)

    ImageView.paintEvent = paint_event  # type: ignore[method-assign]
    _watch_stages(probe)
    settings = QSettings(str(home / "settings.ini"), QSettings.Format.IniFormat)
    studio = bootstrap(["probe"], settings_store=settings, device="cpu")
    studio.window.resize(1500, 950)
    studio.window.show()
    probe.studio = studio
    studio.window.intake.open([home / "photos"])
    probe.wait(lambda: studio.session.document is not None and studio.session.document.pixels.is_loaded)
    truth = np.load(home / "truth.npy")
    classes = ClassSet()
    for class_id in sorted(set(np.unique(truth).tolist()) - {255}):
        classes = classes.add(f"class {class_id}", index=class_id)
    studio.session.set_classes(classes)
    started = time.perf_counter()
    probe.wait(lambda: studio.live.state in ("waiting", "failed"))
    features_s = round(time.perf_counter() - started, 2)
    rows = [{"while": "idle", "features_s": features_s, **probe.row(truth, 0)}]
    studio.training.start(_TRAINING_S)
    probe.wait(lambda: len(studio.training.history) > 3)
    rows.append({"while": "training", **probe.row(truth, 1)})
    studio.training.cancel()
    studio.runner.shutdown(30)
    return rows


def _watch_stages(probe: _Probe) -> None:
    """Have the probe told when a fit is asked for, begins, answers, and when the window knows the answer."""
    from pspnet_studio.jobs.live import LiveFit
    from pspnet_studio.model.live import Live

    asked, refit, shown = Live._refit, LiveFit.refit, Live._on_shown

    def on_asked(live: Live) -> None:
        probe.mark("asked")
        asked(live)

    def on_refit(fit: LiveFit, marks: Any) -> Any:
        probe.mark("begun")
        for event in refit(fit, marks):
            if event is not None:
                probe.mark("answered")
            yield event

    def on_shown(live: Live, document: Any, answer: Any) -> None:
        probe.mark("known")
        shown(live, document, answer)

    Live._refit, LiveFit.refit = on_asked, on_refit  # type: ignore[method-assign]
    Live._on_shown = on_shown  # type: ignore[method-assign]


class _Probe:
    def __init__(self) -> None:
        self.studio: Any = None
        self._old: Any = None
        self.shown_at = 0.0
        self._marks: dict[str, tuple[float, float]] = {}
        self._stages: list[dict[str, float]] = []

    def mark(self, what: str) -> None:
        """Something happened in a thread, for the first time since the release."""
        self._marks.setdefault(what, (time.perf_counter(), time.thread_time()))

    def note(self, view: Any) -> None:
        """A paint event ended."""
        if self.studio is None or view is not self.studio.window.canvas or view.document is None:
            return
        if view.document.prediction is not self._old and not self.shown_at and view.is_complete:
            self.shown_at = time.perf_counter()
            self.mark("painted")

    def wait(self, is_done: Any, timeout_s: float = 300.0) -> None:
        """Let the program work until something is so, in an event loop that sleeps as the real one does."""
        from PySide6.QtCore import QEventLoop, QTimer

        end = time.perf_counter() + timeout_s
        timer = QTimer()  # wakes the loop, so that somebody looks
        timer.start(_LOOK_MS)
        while not is_done():
            if time.perf_counter() > end:
                raise SystemExit(f"waited too long, live refine is {self.studio.live.state}")
            self.studio.application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def row(self, truth: Any, seed: int) -> dict[str, Any]:
        """Strokes by mouse, one after the other, class by class."""
        canvas, state = self.studio.window.canvas, self.studio.tool_state
        state.set_tool("brush")
        state.set_diameter(max(4, round(5 * (truth.size / 1e6) ** 0.5)))
        canvas.fit()
        times = []
        number = 0
        while len(times) < _NUM_STROKES:
            for class_id, points in _walks(truth, seed * 1000 + number):
                state.set_class_id(class_id)
                milliseconds = self._stroke(points)
                if milliseconds is not None and len(times) < _NUM_STROKES:
                    times.append(milliseconds)
            number += 1
        p50, p95 = (round(float(v), 1) for v in np.percentile(times, (50, 95)))
        stages = {
            name: [round(float(v), 1) for v in np.percentile([s[name] for s in self._stages], (50, 95))]
            for name in self._stages[0]
        }
        self._stages = []
        load = round(os.getloadavg()[0], 2)
        return {"p50_ms": p50, "p95_ms": p95, "max_ms": round(max(times), 1), "load1": load, "stages_ms": stages}

    def _stroke(self, points: Any) -> float | None:
        """Milliseconds from the release to the overlay; None where there was none to be expected (one class so far)."""
        from PySide6.QtCore import QEvent

        canvas = self.studio.window.canvas
        self._send(QEvent.Type.MouseButtonPress, points[0])
        for point in points[1:]:
            self._send(QEvent.Type.MouseMove, point)
            self._pause(_MOVE_S)
        self.wait(lambda: canvas.is_complete)
        self._old, self.shown_at, self._marks = canvas.document.prediction, 0.0, {}
        start = time.perf_counter()
        self._send(QEvent.Type.MouseButtonRelease, points[-1])
        self.wait(lambda: self.shown_at or self.studio.live.state == "waiting")
        taken = (self.shown_at - start) * 1000 if self.shown_at else None
        if taken is not None:
            self._stages.append(_stages_of(self._marks, start))
        self.wait(lambda: self.studio.live.state in ("ready", "waiting"))
        self._pause(0.2)
        return taken

    def _pause(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        self.wait(lambda: time.perf_counter() > end)

    def _send(self, kind: Any, point: Any) -> None:
        from PySide6.QtCore import QEvent, QPointF, Qt
        from PySide6.QtGui import QMouseEvent
        from PySide6.QtWidgets import QApplication

        canvas = self.studio.window.canvas
        at = QPointF(*canvas.viewport.to_device(float(point[0]), float(point[1])))
        none, left = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
        button = none if kind == QEvent.Type.MouseMove else left
        held = none if kind == QEvent.Type.MouseButtonRelease else left
        event = QMouseEvent(kind, at, canvas.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(canvas, event)


def _stages_of(marks: dict[str, tuple[float, float]], start: float) -> dict[str, float]:
    """Milliseconds of each stage of one stroke."""
    at = {name: wall for name, (wall, _) in marks.items()}
    used = {name: cpu for name, (_, cpu) in marks.items()}
    seconds = {
        "commit": at["asked"] - start,
        "queue": at["begun"] - at["asked"],
        "fit": at["answered"] - at["begun"],
        "fit_cpu": used["answered"] - used["begun"],
        "post": at["known"] - at["answered"],
        "paint": at["painted"] - at["known"],
        "paint_cpu": used["painted"] - used["known"],
    }
    return {name: value * 1000 for name, value in seconds.items()}


def _walks(truth: Any, seed: int) -> list[tuple[int, Any]]:
    """One short path (x, y) inside each class."""
    found = []
    drawn = strokes_of(truth, 1, seed)
    for class_id in np.unique(drawn[drawn != 255]).tolist():
        rows, columns = np.nonzero(drawn == class_id)
        order = np.linspace(0, len(rows) - 1, 8).astype(int)
        found.append((class_id, np.stack([columns[order] + 0.5, rows[order] + 0.5], axis=1)))
    return found


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
