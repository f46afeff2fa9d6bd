"""The window inside of which `painting` measures: runs in a process of its own."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.bootstrap import make_application
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.collector import Collector
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState
from tests.benchmarks.painting import _STROKE, _VIEW, path
from tests.benchmarks.painting_load import BackgroundWork

_CLASS = 1
_PLAIN_PX = 50


class _View(CanvasView):
    """Remembers when its last paint event ended."""

    painted_at = 0.0

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        self.painted_at = time.perf_counter()


def run(size: int, radii: list[int], moves: int, while_training: bool) -> dict[str, Any]:
    """All rows of one image size."""
    app = make_application(("painting",))  # threads take turns, and garbage is collected, as in the program
    Collector(app)
    process = psutil.Process()
    before = process.memory_info().rss
    image = _picture(size)
    state = ToolState()
    view = _View(state)
    view.set_classes(ClassSet().add("ground", index=0).add("roof", index=_CLASS))
    state.set_class_id(_CLASS)
    view.resize(*_VIEW)
    view.show()
    document = _document(image)
    view.set_document(document)
    _settle(app, 0.5)
    plain = _plain(app, moves)
    load = BackgroundWork(app) if while_training else None
    rows = []
    for zoom in ("1:1", "fit"):
        for radius in radii:
            rows.append({"size": size, "radius": radius, "zoom": zoom, **_row(app, view, image, radius, moves, zoom)})
    result: dict[str, Any] = {"rows": rows}
    if load is not None:
        load.stop()
        result |= {"steps_meanwhile": load.num_steps, "predictions_meanwhile": load.num_predictions}
    undo = _undo(app, view, image)
    rss = process.memory_info().rss - before
    return {**result, "rss_mb": round(rss / 1e6), "rss_over_image": round(rss / image.nbytes, 2), **undo, **plain}


def _row(
    app: QApplication, view: _View, image: NDArray[np.uint8], radius: int, moves: int, zoom: str
) -> dict[str, Any]:
    document = _document(image)
    view.set_document(document)
    if zoom == "1:1":
        view.set_zoom(1.0)
    else:
        view.fit()
    view.tool_state.set_diameter(2 * radius)
    _settle(app, 1.0)
    times: list[float] = []
    covered = painted = 0
    for number in range(-(-moves // _STROKE)):
        points = path(_STROKE, number)
        times += _stroke(app, view, points)
        if number < 2:  # the oracle is slow
            inside, hit = _coverage(view, document, points, radius)
            covered, painted = covered + inside, painted + hit
        _settle(app, 0.05)
    ms = np.array(times) * 1000
    p50, p95, p99 = (round(float(v), 2) for v in np.percentile(ms, (50, 95, 99)))
    return {
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": round(float(ms.max()), 2),
        "coverage": round(painted / covered, 5),
        "load1": round(os.getloadavg()[0], 2),
    }


def _stroke(app: QApplication, view: _View | _Plain, points: NDArray[np.float64]) -> list[float]:
    """Seconds from each move's delivery to the end of its repaint."""
    _send(view, QEvent.Type.MouseButtonPress, points[0])
    app.processEvents()
    times = []
    for point in points[1:]:
        view.painted_at = 0.0
        start = time.perf_counter()
        _send(view, QEvent.Type.MouseMove, point)
        while not view.painted_at:
            app.processEvents()
        times.append(view.painted_at - start)
        # Between two events of a 125 Hz mouse there is time for what was put off.
        _settle(app, 0.002)
    _send(view, QEvent.Type.MouseButtonRelease, points[-1])
    app.processEvents()
    return times


def _send(view: QWidget, kind: QEvent.Type, point: NDArray[np.float64]) -> None:
    at = QPointF(float(point[0]), float(point[1]))
    released = kind == QEvent.Type.MouseButtonRelease
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    held = Qt.MouseButton.NoButton if released else Qt.MouseButton.LeftButton
    event = QMouseEvent(kind, at, view.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(view, event)


def _coverage(view: _View, document: Document, points: NDArray[np.float64], radius: int) -> tuple[int, int]:
    """Pixels under the capsules of one stroke, and how many of them are painted; distances computed one by one."""
    shape = image_h, image_w = document.image.shape[:2]
    inside = np.zeros(shape, bool) if image_h * image_w <= 1 << 24 else None
    total = hit = 0
    at = np.array([view.event_to_image(QPointF(float(x), float(y))) for x, y in points])
    for a, b in pairwise(at):
        low = np.floor(np.minimum(a, b) - radius - 1).astype(int)
        high = np.ceil(np.maximum(a, b) + radius + 1).astype(int)
        rect = Rect(low[0], low[1], high[0] - low[0], high[1] - low[1]).intersect(Rect(0, 0, image_w, image_h))
        if rect.is_empty:
            continue
        y, x = np.mgrid[rect.y : rect.bottom, rect.x : rect.right] + 0.5
        along = b - a
        t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(along @ along, 1e-12), 0, 1)
        near = np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1]) <= radius
        if inside is not None:
            inside[rect.slices] |= near
        else:  # counted per segment: too large an image for one mask
            total += int(near.sum())
            hit += int((near & (document.class_plane.read(rect) == _CLASS)).sum())
    if inside is not None:
        total = int(inside.sum())
        hit = int((inside & (document.class_plane.to_array() == _CLASS)).sum())
    return total, hit


def _undo(app: QApplication, view: _View, image: NDArray[np.uint8]) -> dict[str, float]:
    """100 strokes of radius 100, undone and redone one by one."""
    document = _document(image)
    view.set_document(document)
    view.set_zoom(1.0)
    view.tool_state.set_diameter(200)
    _settle(app, 0.5)
    for number in range(100):
        points = path(20, number)
        _send(view, QEvent.Type.MouseButtonPress, points[0])
        for point in points[1:]:
            _send(view, QEvent.Type.MouseMove, point)
        _send(view, QEvent.Type.MouseButtonRelease, points[-1])
        _settle(app, 0.01)
    times = []
    for step in (*[document.undo] * 100, *[document.redo] * 100):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1000)
        _settle(app, 0.01)
    return {
        "undo_ms_p99": round(float(np.percentile(times, 99)), 2),
        "undo_mb": round(document.history.nbytes / 1e6, 2),
    }


class _Plain(QWidget):
    """What a widget alone needs: it copies the rectangle under the pointer out of a picture."""

    painted_at = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._picture = QPixmap(*_VIEW)
        self._picture.fill(Qt.GlobalColor.gray)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        self.update(at.x() - _PLAIN_PX // 2, at.y() - _PLAIN_PX // 2, _PLAIN_PX, _PLAIN_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.drawPixmap(event.rect(), self._picture, event.rect())
        painter.end()
        self.painted_at = time.perf_counter()


def _plain(app: QApplication, moves: int) -> dict[str, float]:
    """The same moves over a plain widget."""
    widget = _Plain()
    widget.resize(*_VIEW)
    widget.show()
    _settle(app, 0.5)
    times: list[float] = []
    for number in range(-(-moves // _STROKE)):
        times += _stroke(app, widget, path(_STROKE, number))
    widget.close()
    p50, p99 = np.percentile(np.array(times) * 1000, (50, 99))
    return {"plain_p50_ms": round(float(p50), 2), "plain_p99_ms": round(float(p99), 2)}


def _document(image: NDArray[np.uint8]) -> Document:
    height, width = image.shape[:2]
    return Document("a", image, PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, 0))


def _picture(size: int) -> NDArray[np.uint8]:
    """Something to see, made quickly at any size."""
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (512, 512, 3), np.uint8)
    return np.tile(tile, (-(-size // 512), -(-size // 512), 1))[:size, :size].copy()


def _settle(app: QApplication, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        app.processEvents()
        time.sleep(0.0005)
