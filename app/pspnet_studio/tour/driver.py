"""Mouse and keys for the real window, one event at a time, from a script that may wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from pspnet_core.errors import PspnetError
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.messages import tr

_TICK_MS = 2


@dataclass(frozen=True, slots=True)
class Wait:
    """A script's wish to go on only when something is true."""

    until: Callable[[], bool]
    timeout_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Do:
    """A script's wish to do something that may open a dialog: done outside of the script's own frame."""

    action: Callable[[], Any]


Step = Wait | Do | None
Script = Iterator[Step]

_END = object()


class TourError(PspnetError):
    """The tour could not go on."""


class Driver(QObject):
    """Runs a script on the GUI thread, a step a tick, also while a dialog is open.

    Args:
        script: Yields None (next tick), ``Do`` or ``Wait``.
        on_end: Called with None, or with the error that ended it.
    """

    def __init__(self, script: Script, on_end: Callable[[BaseException | None], None]) -> None:
        super().__init__()
        self._script = script
        self._on_end = on_end
        self._has_ended = False
        self._wait: Wait | None = None
        self._deadline_s = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Begin."""
        self._timer.start()

    def _tick(self) -> None:
        with _EndOnError(self._end):
            if self._wait is None:
                self._step()
            elif self._wait.until():
                self._wait = None
            elif time.monotonic() > self._deadline_s:
                self._end(TourError(f"The tour waited {self._wait.timeout_s:.0f} s in vain for: {self._wait.what}."))

    def _step(self) -> None:
        step = next(self._script, _END)
        if step is _END:
            self._end(None)
        elif isinstance(step, Wait):
            self._wait = step
            self._deadline_s = time.monotonic() + step.timeout_s
        elif isinstance(step, Do):
            QTimer.singleShot(0, lambda: self._do(step))

    def _do(self, step: Do) -> None:
        with _EndOnError(self._end):
            step.action()

    def _end(self, error: BaseException | None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._timer.stop()
        self._on_end(error)


class _EndOnError:
    """Ends the tour with whatever was raised: a mistake in the script must not repeat with each tick."""

    def __init__(self, end: Callable[[BaseException | None], None]) -> None:
        self._end = end

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._end(error)
        return True


def in_background(runner: JobRunner, lane: Lane, function: Callable[[], Any]) -> Generator[Step, None, Any]:
    """Compute something beside the window; ``yield from`` gives its result."""
    box: list[Any] = []
    failure: list[PspnetError] = []
    job = runner.call(
        lane,
        function,
        name=tr("looking at the truth"),
        priority=Priority.VISIBLE,
        on_done=box.append,
        on_error=failure.append,
    )
    yield Wait(lambda: bool(box or failure) and not job.is_running, 600, "a computation of the tour")
    if failure:
        raise failure[0]
    return box[0]


def click(widget: QWidget) -> Script:
    """Click in the middle of a widget."""
    yield Do(lambda: QTest.mouseClick(widget, Qt.MouseButton.LeftButton))
    yield None


def press(widget: QWidget, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> Script:
    """Press and release a key, shortcuts included; they need an active window, also without a window manager."""
    window = widget.window()
    if not window.isActiveWindow():
        yield Do(window.activateWindow)
        yield Wait(window.isActiveWindow, 10, "the window to become active")
    yield Do(lambda: QTest.keyClick(widget, key, modifiers))
    yield None


def type_text(widget: QWidget, text: str) -> Script:
    """Type a text, a character a tick."""
    for character in text:
        yield Do(lambda character=character: QTest.keyClicks(widget, character))
    yield None


def mouse(widget: QWidget, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
    """Send one mouse event at a whole widget pixel."""
    point = QPointF(at.toPoint())
    event = QMouseEvent(kind, point, widget.mapToGlobal(point), button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(widget, event)


def stroke(widget: QWidget, points: Sequence[QPointF]) -> Script:
    """Press, move along the points, release."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    mouse(widget, QEvent.Type.MouseMove, points[0], none, none)
    yield None
    mouse(widget, QEvent.Type.MouseButtonPress, points[0], left, left)
    for point in points[1:]:
        yield None
        mouse(widget, QEvent.Type.MouseMove, point, none, left)
    yield None
    mouse(widget, QEvent.Type.MouseButtonRelease, points[-1], left, none)
    yield None


def clicks(widget: QWidget, points: Sequence[QPointF]) -> Script:
    """A click at each point."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    for point in points:
        mouse(widget, QEvent.Type.MouseMove, point, none, none)
        mouse(widget, QEvent.Type.MouseButtonPress, point, left, left)
        mouse(widget, QEvent.Type.MouseButtonRelease, point, left, none)
        yield None


def drop(widget: QWidget, paths: Sequence[Path]) -> Script:
    """Drop paths on a widget (synthesised; a real drop from another program is tested apart)."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at = QPoint(widget.width() // 2, widget.height() // 2)
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QDragEnterEvent(at, copy, data, left, none))
    yield None
    QApplication.sendEvent(widget, QDropEvent(QPointF(at), copy, data, left, none))
    yield None
