"""Jobs: lanes, priorities, cancel, early finish, errors, delivery on the GUI thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.errors import DataError, PspnetError
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    assert runner.shutdown(5)


def test_events_and_result_arrive_in_order_on_the_gui_thread(qtbot: QtBot, runner: JobRunner) -> None:
    seen: list[tuple[Any, bool]] = []
    done: list[Any] = []
    gui = threading.current_thread()

    def count() -> Iterator[int]:
        assert threading.current_thread() is not gui
        yield from range(200)

    runner.submit(
        Lane.IO,
        count,
        name="count",
        priority=Priority.OPEN,
        on_event=lambda e: seen.append((e, threading.current_thread() is gui)),
        on_done=done.append,
    )
    qtbot.waitUntil(lambda: bool(done))
    assert [event for event, _ in seen] == list(range(200))
    assert all(on_gui for _, on_gui in seen)
    assert done == [199]


def test_a_long_job_steps_aside_for_a_more_urgent_one(qtbot: QtBot, runner: JobRunner) -> None:
    order: list[str] = []
    begun = threading.Event()
    go_on = threading.Event()

    def training() -> Iterator[None]:
        order.append("training begins")
        begun.set()
        yield
        assert go_on.wait(5)
        yield
        order.append("training ends")

    def prediction() -> Iterator[None]:
        order.append("prediction")
        yield

    ends: list[Any] = []
    runner.submit(Lane.TORCH, training, name="t", priority=Priority.TRAINING, on_done=ends.append)
    assert begun.wait(5)
    runner.submit(Lane.TORCH, prediction, name="p", priority=Priority.VISIBLE, on_done=ends.append)
    go_on.set()
    qtbot.waitUntil(lambda: len(ends) == 2)
    assert order == ["training begins", "prediction", "training ends"]


def test_cancel_closes_the_generator_in_its_own_thread_and_delivers_nothing(qtbot: QtBot, runner: JobRunner) -> None:
    closed_in: list[str] = []
    delivered: list[Any] = []
    cancelled: list[bool] = []
    begun = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                begun.set()
                yield 1
                time.sleep(0.005)
        finally:
            closed_in.append(threading.current_thread().name)

    job = runner.submit(
        Lane.TORCH,
        endless,
        name="endless",
        priority=Priority.TRAINING,
        on_done=delivered.append,
        on_error=delivered.append,
        on_cancelled=lambda: cancelled.append(True),
    )
    assert begun.wait(5)
    begin_s = time.monotonic()
    job.cancel()
    qtbot.waitUntil(lambda: bool(cancelled))
    assert time.monotonic() - begin_s < 1
    assert closed_in == ["lane-torch"]
    assert delivered == []


def test_finish_early_throws_into_the_generator_and_its_result_counts(qtbot: QtBot, runner: JobRunner) -> None:
    class EnoughError(Exception):
        pass

    begun = threading.Event()

    def learn() -> Iterator[str]:
        try:
            while True:
                begun.set()
                yield "learning"
                time.sleep(0.005)
        except EnoughError:
            yield "kept"

    done: list[Any] = []
    job = runner.submit(Lane.TORCH, learn, name="learn", priority=Priority.TRAINING, on_done=done.append)
    assert begun.wait(5)
    job.finish_early(EnoughError())
    qtbot.waitUntil(lambda: bool(done))
    assert done == ["kept"]


def test_errors_reach_the_person_in_words(qtbot: QtBot, runner: JobRunner, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[PspnetError] = []

    def fail_known() -> Iterator[None]:
        raise DataError("No image is labelled.")
        yield

    def fail_unknown() -> Iterator[None]:
        raise KeyError("bug")
        yield

    def fail_memory() -> Iterator[None]:
        raise MemoryError
        yield

    for function in (fail_known, fail_unknown, fail_memory):
        runner.submit(Lane.IO, function, name="job", priority=Priority.OPEN, on_error=errors.append)
    qtbot.waitUntil(lambda: len(errors) == 3)
    assert errors[0].title == "No image is labelled."
    assert "KeyError: 'bug'" in errors[1].detail
    assert "job job failed" in caplog.text
    assert errors[2].title == "Not enough memory."
    done: list[Any] = []
    runner.call(Lane.IO, lambda: "alive", name="next", priority=Priority.OPEN, on_done=done.append)
    qtbot.waitUntil(lambda: done == ["alive"])


def test_a_paused_job_rests_while_others_run_and_goes_on(qtbot: QtBot, runner: JobRunner) -> None:
    steps: list[int] = []
    begun = threading.Event()

    def work() -> Iterator[int]:
        for step in range(1000):
            steps.append(step)
            begun.set()
            time.sleep(0.001)
            yield step

    ends: list[Any] = []
    job = runner.submit(Lane.TORCH, work, name="work", priority=Priority.TRAINING, on_done=ends.append)
    assert begun.wait(5)
    job.pause()
    others: list[Any] = []
    runner.call(Lane.TORCH, lambda: 1, name="other", priority=Priority.VISIBLE, on_done=others.append)
    qtbot.waitUntil(lambda: others == [1])
    resting_at = len(steps)
    time.sleep(0.1)
    assert len(steps) == resting_at < 1000
    job.resume()
    qtbot.waitUntil(lambda: bool(ends), timeout=10_000)
    assert len(steps) == 1000


def test_what_nobody_waits_for_rests_while_it_is_quiet_and_goes_on_by_itself(qtbot: QtBot, runner: JobRunner) -> None:
    steps: list[str] = []

    def work(name: str) -> Iterator[None]:
        for _ in range(1000):
            steps.append(name)
            time.sleep(0.001)
            yield

    ends: list[Any] = []
    runner.submit(Lane.TORCH, lambda: work("t"), name="train", priority=Priority.TRAINING, on_done=ends.append)
    qtbot.waitUntil(lambda: bool(steps))
    runner.keep_quiet(60)
    others: list[Any] = []
    runner.submit(Lane.IO, lambda: work("r"), name="read ahead", priority=Priority.PREFETCH, on_done=ends.append)
    runner.call(Lane.TORCH, lambda: 1, name="other", priority=Priority.VISIBLE, on_done=others.append)
    qtbot.waitUntil(lambda: others == [1])
    resting = len(steps)
    time.sleep(0.1)
    assert len(steps) == resting < 1000
    assert "r" not in steps
    runner.keep_quiet(0.05)  # nobody says when it is over
    qtbot.waitUntil(lambda: len(ends) == 2, timeout=20_000)
    assert len(steps) == 2000


def test_a_job_that_rests_while_it_is_quiet_can_be_cancelled(qtbot: QtBot, runner: JobRunner) -> None:
    steps: list[int] = []

    def work() -> Iterator[None]:
        while True:
            steps.append(1)
            time.sleep(0.001)
            yield

    job = runner.submit(Lane.TORCH, work, name="train", priority=Priority.TRAINING)
    qtbot.waitUntil(lambda: bool(steps))
    runner.keep_quiet(60)
    time.sleep(0.05)
    resting = len(steps)
    job.cancel()
    assert job.wait(5)
    assert len(steps) == resting


def test_shutdown_cancels_but_still_saves(qtbot: QtBot) -> None:
    runner = JobRunner()
    saved: list[str] = []
    begun = threading.Event()

    def endless() -> Iterator[None]:
        while True:
            begun.set()
            time.sleep(0.005)
            yield

    runner.submit(Lane.IO, endless, name="endless", priority=Priority.THUMBNAIL)
    assert begun.wait(5)
    runner.call(Lane.IO, lambda: saved.append("saved"), name="save", priority=Priority.SAVE)
    assert runner.shutdown(5)
    assert saved == ["saved"]


def test_torch_is_prepared_once_before_the_first_torch_job(qtbot: QtBot) -> None:
    calls: list[str] = []
    runner = JobRunner(prepare_torch=lambda: calls.append("prepared"))
    ready: list[bool] = []
    runner.torch_ready.connect(lambda: ready.append(True))
    for name in ("a", "b"):
        runner.call(Lane.TORCH, lambda name=name: calls.append(name), name=name, priority=Priority.VISIBLE)
    runner.call(Lane.IO, lambda: None, name="io", priority=Priority.OPEN)
    qtbot.waitUntil(lambda: len(calls) == 3)
    assert calls == ["prepared", "a", "b"]
    qtbot.waitUntil(lambda: ready == [True])
    assert runner.torch_import_s is not None
    assert runner.shutdown(5)


def test_thumbnails_tidying_and_short_saves_are_not_shown(
    qtbot: QtBot, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    priorities = {"t": Priority.THUMBNAIL, "u": Priority.TIDY, "save": Priority.SAVE, "open": Priority.OPEN}
    runner.call(Lane.IO, lambda: go_on.wait(5), name="export", priority=Priority.SAVE)
    for name, priority in priorities.items():
        runner.call(Lane.IO, lambda: None, name=name, priority=priority)
    assert set(runner.jobs) == {"export", *priorities}
    assert runner.visible_jobs == ["open"]
    now_s = time.monotonic()
    monkeypatch.setattr("pspnet_studio.jobs.runner.time.monotonic", lambda: now_s + 1)
    assert runner.visible_jobs == ["export", "save", "open"]
    go_on.set()
    qtbot.waitUntil(lambda: runner.jobs == [])
