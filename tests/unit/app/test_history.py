"""One budget for the undo of all images, packed in the background, exact in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.types import Rect
from pspnet_studio.jobs.runner import JobRunner, Lane
from pspnet_studio.model.history import HistoryStore
from pspnet_studio.model.image_history import History


def patch(number: int, side: int = 100) -> MaskPatch:
    """Raw size: 5 bytes a pixel."""
    old = np.zeros(side * side, np.uint8)
    changed = np.ones((side, side), np.bool_)
    block = PatchBlock(Rect(0, 0, side, side), changed, old, old + 1 + number % 200, old, old + 2)
    return MaskPatch("a", str(number), (block,))


def labels(history: History) -> list[str]:
    """What undo gives, newest first."""
    found = []
    while (step := history.undo()) is not None:
        found.append(step.label)
    return found


class HeldRunner:
    """Keeps jobs until :meth:`run`."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def call(self, lane: Lane, function: Callable[[], Any], *, on_done: Callable[[Any], None], **_: Any) -> None:
        self.jobs.append(lambda: on_done(function()))

    def run(self) -> None:
        for _ in range(50):
            if not self.jobs:
                return
            self.jobs.pop(0)()
        raise AssertionError("packing never ends")


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    assert runner.shutdown(5)


def test_records_far_from_the_present_are_packed_by_the_io_lane_and_stay_exact(qtbot: QtBot, runner: JobRunner) -> None:
    store = HistoryStore(runner)
    history = store.of("a")
    for number in range(40):
        history.push(patch(number))
    raw = 40 * patch(0).nbytes
    qtbot.waitUntil(lambda: store.nbytes < raw / 4)
    for number in reversed(range(40)):
        step = history.undo()
        assert step is not None
        assert step.label == str(number)
        assert (step.blocks[0].new_class == 1 + number).all()
    assert not history.can_undo
    for number in range(40):
        step = history.redo()
        assert step is not None
        assert step.label == str(number)


def test_packing_is_never_done_by_the_window(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldRunner()
    store = HistoryStore(held)  # type: ignore[arg-type]
    calls: list[MaskPatch] = []
    original = MaskPatch.to_bytes
    monkeypatch.setattr(MaskPatch, "to_bytes", lambda self: calls.append(self) or original(self))
    history = store.of("a")
    for number in range(20):
        history.push(patch(number))
    assert calls == []
    held.run()
    assert len(calls) == 16


def test_steps_next_to_the_present_are_unpacked_before_they_are_wanted(qtbot: QtBot) -> None:
    held = HeldRunner()
    history = HistoryStore(held).of("a")  # type: ignore[arg-type]
    for number in range(20):
        history.push(patch(number))
        held.run()
    for _ in range(10):
        history.undo()
        held.run()
        assert history._entries[history._num_done - 1].patch is not None


def test_huge_steps_come_and_go_without_end_to_the_packing(qtbot: QtBot) -> None:
    held = HeldRunner()
    store = HistoryStore(held)  # type: ignore[arg-type]
    history = store.of("a")
    for number in range(6):
        history.push(patch(number, side=2000))  # 20 MB each: only the next ones are kept ready
        held.run()
    assert store.nbytes < 45_000_000
    assert labels(history) == ["5", "4", "3", "2", "1", "0"]


def test_the_image_that_was_not_open_for_longest_loses_its_oldest_steps_first(qtbot: QtBot) -> None:
    size = patch(0).nbytes
    store = HistoryStore(HeldRunner(), budget_bytes=10 * size)  # type: ignore[arg-type]
    first, second = store.of("first"), store.of("second")
    for number in range(4):
        first.push(patch(number))
        second.push(patch(number))
    store.of("first")
    third = store.of("third")
    for number in range(4):
        third.push(patch(number))
    assert store.nbytes <= 10 * size
    assert labels(second) == ["3", "2"]
    assert labels(first) == ["3", "2", "1", "0"]
    assert labels(third) == ["3", "2", "1", "0"]


def test_the_newest_step_of_the_open_image_is_kept_whatever_it_needs(qtbot: QtBot) -> None:
    store = HistoryStore(HeldRunner(), budget_bytes=100)  # type: ignore[arg-type]
    store.of("old").push(patch(0))
    history = store.of("open")
    history.push(patch(1))
    history.push(patch(2))
    assert labels(history) == ["2"]
    assert not store.of("old").can_undo


def test_of_undone_steps_the_last_one_goes_first(qtbot: QtBot) -> None:
    """Redo starts at the oldest: without it the others would be applied to pixels they do not know."""
    history = History()
    for number in range(3):
        history.push(patch(number))
    labels(history)
    history.shrink(2 * patch(0).nbytes)
    first, second = history.redo(), history.redo()
    assert first is not None
    assert second is not None
    assert (first.label, second.label, history.can_redo) == ("0", "1", False)


def test_when_packing_fails_nothing_is_lost(qtbot: QtBot) -> None:
    class FailingRunner:
        def call(self, *_: Any, on_error: Callable[[PspnetError], None], **__: Any) -> None:
            on_error(PspnetError("Not enough memory."))

    history = HistoryStore(FailingRunner()).of("a")  # type: ignore[arg-type]
    for number in range(12):
        history.push(patch(number))
    assert labels(history) == [str(n) for n in reversed(range(12))]


def test_another_project_starts_with_nothing(qtbot: QtBot) -> None:
    store = HistoryStore(HeldRunner())  # type: ignore[arg-type]
    old = store.of("a")
    old.push(patch(0))
    store.clear()
    assert not store.of("a").can_undo
    old.push(patch(1))  # nobody looks at it any more
    assert store.nbytes == 0


def large(number: int, side: int = 2000) -> MaskPatch:
    """As a step over a whole image is: all of it changes, most of that is a single value. 4 bytes in 5 are not real."""
    one = np.broadcast_to(np.uint8(0), side * side)
    classes = np.arange(side * side, dtype=np.uint32).view(np.uint8)[: side * side] // 64
    block = PatchBlock(
        Rect(0, 0, side, side),
        np.broadcast_to(np.True_, (side, side)),
        one,
        classes,
        one,
        np.broadcast_to(np.uint8(1), side * side),
    )
    return MaskPatch("a", str(number), (block,))


def test_values_that_take_no_memory_are_not_counted() -> None:
    step = large(0)
    assert step.nbytes < 2000 * 2000 + 100
    again = MaskPatch.from_bytes(step.to_bytes())
    assert again.nbytes == step.nbytes
    assert (again.blocks[0].new_class == step.blocks[0].new_class).all()
    history = History(budget_bytes=5_000_000)
    for number in range(40):
        history.push(patch(number, side=10))
    history.push(step)
    assert history.num_steps == 41


def test_a_step_larger_than_the_budget_is_packed_before_others_are_dropped(qtbot: QtBot) -> None:
    held = HeldRunner()
    store = HistoryStore(held, budget_bytes=8_000_000)  # type: ignore[arg-type]
    store.of("other").push(patch(0))
    history = store.of("a")
    for number in range(20):
        history.push(patch(number, side=10))
    history.push(patch(20, side=2000))  # 20 MB, but packed next to nothing
    assert history.num_steps == 21
    held.run()
    history.push(patch(21, side=10))
    held.run()
    assert history.num_steps == 22
    assert store.of("other").num_steps == 1
    assert store.nbytes <= 8_000_000
    assert labels(history)[:2] == ["21", "20"]


def test_where_a_huge_step_cannot_be_packed_the_budget_holds_anyway(qtbot: QtBot) -> None:
    class Failing(HeldRunner):
        def call(self, lane: Lane, function: Callable[[], Any], *, on_error: Any, **_: Any) -> None:  # type: ignore[override]
            self.jobs.append(lambda: on_error(PspnetError("Not enough memory.")))

    failing = Failing()
    history = HistoryStore(failing, budget_bytes=8_000_000).of("a")  # type: ignore[arg-type]
    history.push(patch(0))
    history.push(patch(1, side=2000))
    assert history.num_steps == 2
    failing.jobs.pop()()
    assert labels(history) == ["1"]


def test_before_a_step_is_dropped_what_is_packed_is_kept_only_packed(qtbot: QtBot) -> None:
    held = HeldRunner()
    store = HistoryStore(held)  # type: ignore[arg-type]
    history = store.of("a")
    for number in range(10):
        history.push(patch(number))
        held.run()
    for _ in range(3):  # those that come near are unpacked
        history.undo()
        held.run()
    store.set_budget(5 * patch(0).nbytes)
    assert history.num_steps == 10
    held.run()
    assert store.nbytes <= 5 * patch(0).nbytes
