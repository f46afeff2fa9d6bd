"""Stand-ins for the application model: the same signals and methods, nothing behind them but lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.project.discovery import natural_key
from pspnet_core.project.project import Item, ItemState, Status
from pspnet_studio.jobs.finetuning import Wish
from pspnet_studio.model.tool_state import ToolState


class FakeProject:
    """Items and classes in memory; ``num_state_calls`` counts look-ups."""

    def __init__(self, keys: list[str], classes: ClassSet | None = None, root: Path = Path("/photos")) -> None:
        self.items = tuple(Item(key, root / key) for key in sorted(keys, key=natural_key))
        self.classes = classes or ClassSet()
        self.num_state_calls = 0
        self._items = {item.key: item for item in self.items}
        self._states = {key: ItemState() for key in keys}

    def item(self, key: str) -> Item:
        return self._items[key]

    def has_item(self, key: str) -> bool:
        return any(item.key == key for item in self.items)

    def state(self, key: str) -> ItemState:
        self.num_state_calls += 1
        return self._states[key]

    def set_state(self, key: str, **changes: Any) -> None:
        self._states[key] = replace(self._states[key], **changes)


class FakeJob:
    """A job that has ended."""

    is_running = False

    def cancel(self) -> None:
        """Nothing to cancel."""


class FakeRunner:
    """Runs a job at once, or when :meth:`run_all` is called if ``is_lazy``."""

    def __init__(self, is_lazy: bool = False) -> None:
        self.is_lazy = is_lazy
        self.waiting: list[Callable[[], None]] = []

    def submit(
        self,
        lane: Any,
        factory: Callable[[], Iterator[Any]],
        *,
        name: str,
        priority: int,
        on_event: Callable[[Any], None],
        on_done: Callable[[Any], None],
        on_error: Callable[[PspnetError], None],
    ) -> FakeJob:
        def run() -> None:
            last = None
            for last in factory():
                on_event(last)
            on_done(last)

        self.waiting.append(run)
        if not self.is_lazy:
            self.run_all()
        return FakeJob()

    def run_all(self) -> None:
        """Run what waits."""
        while self.waiting:
            self.waiting.pop(0)()


class FakeDocument(QObject):
    """An open image without pixels."""

    edited = Signal()

    def __init__(self, item_key: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.item_key = item_key


class FakeSession(QObject):
    """Opens images at once and writes down what it was told."""

    project_changed = Signal()
    items_changed = Signal()
    state_changed = Signal(str)
    document_changed = Signal()
    classes_changed = Signal()
    loading_changed = Signal(bool)
    notice = Signal(object)

    def __init__(self, project: FakeProject | None = None) -> None:
        super().__init__()
        self.project = project
        self.runner = FakeRunner(is_lazy=True)
        self.tool_state = ToolState(self)
        self.document: FakeDocument | None = None
        self.current_key: str | None = None
        self.visited: list[str] = []
        self.orders: list[list[str]] = []

    def open(self, project: FakeProject | None) -> None:
        self.project, self.current_key, self.document = project, None, None
        self.project_changed.emit()
        self.classes_changed.emit()

    def go_to(self, key: str) -> None:
        self.visited.append(key)
        self.current_key = key
        self.document = FakeDocument(key, self)
        self.document_changed.emit()

    def set_order(self, keys: list[str]) -> None:
        self.orders.append(keys)

    def set_status(self, key: str, status: Status) -> None:
        self.change(key, status=status)

    def change(self, key: str, **changes: Any) -> None:
        assert self.project is not None
        self.project.set_state(key, **changes)
        self.state_changed.emit(key)

    def add_class(self, name: str) -> int:
        assert self.project is not None
        self.set_classes(self.project.classes.add(name))
        return self.project.classes.indices[-1]

    def set_locked(self, class_id: int, is_locked: bool) -> None:
        locked = self.tool_state.locked - {class_id}
        self.tool_state.set_locked(locked | {class_id} if is_locked else locked)

    def set_classes(self, classes: ClassSet) -> None:
        assert self.project is not None
        self.project.classes = classes
        self.classes_changed.emit()


@dataclass
class FakeVersion:
    """A version with its record."""

    number: int
    record: dict[str, Any] = field(default_factory=dict)
    path: Path = Path("checkpoint.safetensors")


class FakeTraining(QObject):
    """Says what it is told to say."""

    started = Signal()
    progressed = Signal(object)
    ended = Signal(object)
    versions_changed = Signal()
    current_changed = Signal()
    start_changed = Signal()
    paused_changed = Signal()
    waiting_changed = Signal()
    interrupted_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.is_running = False
        self.is_paused = False
        self.waiting: Any = None
        self.interrupted: Any = None
        self.obstacle = ""
        self.calls: list[Any] = []
        self.current_version: int | None = None
        self._versions: list[FakeVersion] = []

    def can_start(self) -> tuple[bool, str]:
        if self.is_running:
            return False, "A fine-tune is running."
        return not self.obstacle, self.obstacle

    def start(self, seconds: float, mode: str = "quick", resumes: bool = False) -> None:
        self.calls.append(("start", seconds, mode))
        self.is_running = True
        self.started.emit()

    def enqueue(self, seconds: float, mode: str) -> None:
        self.calls.append(("enqueue", seconds, mode))
        self.set_waiting(Wish(seconds, mode))  # type: ignore[arg-type]

    def drop_waiting(self) -> None:
        self.calls.append("drop_waiting")
        self.set_waiting(None)

    def set_waiting(self, wish: Any) -> None:
        self.waiting = wish
        self.waiting_changed.emit()

    def set_paused(self, is_paused: bool) -> None:
        self.is_paused = is_paused
        self.paused_changed.emit()

    def set_interrupted(self, interrupted: Any) -> None:
        self.interrupted = interrupted
        self.interrupted_changed.emit()

    def resume_interrupted(self) -> None:
        self.calls.append("resume_interrupted")

    def discard_interrupted(self) -> None:
        self.calls.append("discard_interrupted")
        self.set_interrupted(None)

    def cancel(self) -> None:
        self.calls.append("cancel")

    def finish_early(self) -> None:
        self.calls.append("finish_early")

    def end(self, outcome: Any) -> None:
        self.is_running = False
        self.ended.emit(outcome)

    def versions(self) -> list[FakeVersion]:
        return self._versions

    def set_versions(self, versions: list[FakeVersion], current: int | None) -> None:
        self._versions, self.current_version = versions, current
        self.versions_changed.emit()

    def set_current(self, number: int | None) -> None:
        self.calls.append(("set_current", number))
        self.current_version = number
        self.current_changed.emit()


class FakeContinuous(QObject):
    """A switch and two numbers."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.is_on, self.every, self.num_corrected = False, 5, 0

    def set_on(self, is_on: bool) -> None:
        self.is_on = is_on
        self.changed.emit()

    def set_every(self, every: int) -> None:
        self.every = every
        self.changed.emit()


class FakePredictions(QObject):
    """Only a state."""

    state_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state = "none"

    def set_state(self, state: str) -> None:
        self.state = state
        self.state_changed.emit()


def decided(
    number: int,
    adopted: bool,
    mean_iou: float | None,
    old_mean_iou: float | None = None,
    reason: str = "",
    interval: tuple[float, float] | None = None,
    per_class: dict[int, tuple[float | None, float | None]] | None = None,
) -> SimpleNamespace:
    """What a fine-tune ends with."""
    return SimpleNamespace(
        version=FakeVersion(number),
        adopted=adopted,
        mean_iou=mean_iou,
        old_mean_iou=old_mean_iou,
        reason=reason,
        interval=interval,
        per_class=per_class or {},
    )
