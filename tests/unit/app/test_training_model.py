"""Fine-tuning in the model: rest, one that waits, one that was interrupted, and starting by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.errors import TrainingError
from pspnet_core.project.project import Project, Status
from pspnet_core.training.events import Step
from pspnet_core.training.interrupted import (
    STATE_KEY,
    InterruptedRun,
    interrupted,
    note_run,
    running,
    state_file,
    steps_done,
)
from pspnet_core.training.start import Start
from pspnet_core.types import Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.jobs.finetuning import FULL_SECONDS, QUICK_SECONDS, discard_interrupted, find_interrupted
from tests.helpers.folders import make_data_set, make_folder
from tests.helpers.studio import open_paths, running_studio


class FakeFinetune:
    """Steps until it is told to end."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.may_end = threading.Event()
        self.error: TrainingError | None = None
        self.step = 0

    def __call__(self, project: Any, **wish: Any) -> Iterator[Any]:
        self.calls.append(wish)
        while not self.may_end.is_set():
            self.step += 1
            yield Step(self.step, 1000, 1.0, 1.0, 1.0)
            time.sleep(0.002)
        self.may_end.clear()
        if self.error is not None:
            raise self.error
        version = SimpleNamespace(number=len(self.calls), record={})
        yield SimpleNamespace(
            version=version, adopted=False, mean_iou=0.5, old_mean_iou=0.6, reason="", interval=None, per_class={}
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeFinetune:
    fake = FakeFinetune()
    monkeypatch.setattr("pspnet_core.training.finetune.finetune", fake)
    return fake


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, fake: FakeFinetune) -> Iterator[Studio]:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio
        studio.training.drop_waiting()
        if studio.session.project is not None:
            studio.learning.continuous.set_on(False)


def steps(studio: Studio) -> int:
    return sum(isinstance(event, Step) for event in studio.training.history)


def test_times_are_those_of_the_core() -> None:
    from pspnet_core.training import finetune

    assert (QUICK_SECONDS, FULL_SECONDS) == (finetune.QUICK_SECONDS, finetune.FULL_SECONDS)


def test_steps_are_read_from_the_state_without_torch(tmp_path: Path) -> None:
    from pspnet_core.training.run_state import KEY, RunState, write_state

    assert KEY == STATE_KEY
    project = SimpleNamespace(folder=tmp_path)
    assert steps_done(project) == (0, 0)  # type: ignore[arg-type]
    list(write_state(state_file(project), RunState({"course": {"step": 40, "planned_steps": 120}}, {})))  # type: ignore[arg-type]
    assert steps_done(project) == (40, 120)  # type: ignore[arg-type]
    state_file(project).write_bytes(b"short")  # type: ignore[arg-type]
    assert steps_done(project) == (0, 0)  # type: ignore[arg-type]


def test_mode_and_time_are_passed_on(qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "d", train=2, test=1))
    studio.training.start(77, "full")
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    assert (fake.calls[0]["seconds"], fake.calls[0]["mode"]) == (77, "full")


def test_paused_it_makes_no_step_until_it_goes_on(
    qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "d", train=2, test=1))
    studio.training.start()
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    studio.training.set_paused(True)
    qtbot.wait(100)  # the step under way
    count = fake.step
    qtbot.wait(100)
    assert fake.step == count
    assert studio.window.actions_by_id["pause_training"].isChecked()
    studio.training.set_paused(False)
    qtbot.waitUntil(lambda: fake.step > count, timeout=5_000)
    studio.training.set_paused(True)
    studio.training.cancel()
    qtbot.waitUntil(lambda: not studio.training.is_running, timeout=5_000)
    assert not studio.training.is_paused


def test_exactly_one_waits_and_follows(qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "d", train=2, test=1))
    button = studio.window.training_panel.start_button
    button.click()
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    button.click()
    button.click()
    assert studio.training.waiting is not None
    assert not studio.window.actions_by_id["fine_tune"].isEnabled()
    fake.may_end.set()
    qtbot.waitUntil(lambda: len(fake.calls) == 2, timeout=10_000)
    assert studio.training.waiting is None
    fake.may_end.set()
    qtbot.waitUntil(lambda: not studio.training.is_running, timeout=10_000)
    assert len(fake.calls) == 2


def test_what_waits_does_not_follow_an_error(qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "d", train=2, test=1))
    studio.training.start()
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    studio.training.enqueue(60, "quick")
    fake.error = TrainingError("No.")
    fake.may_end.set()
    qtbot.waitUntil(lambda: not studio.training.is_running, timeout=10_000)
    assert studio.training.waiting is None
    assert len(fake.calls) == 1


def test_after_start_cancel_start_the_last_one_runs(
    qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "d", train=2, test=1))
    saves: list[tuple[Callable[[], None], Callable[[Any], None]]] = []
    ended: list[object] = []
    studio.training.ended.connect(ended.append)
    with monkeypatch.context() as patch:  # the disk takes its time
        patch.setattr(studio.session, "save_now", lambda then, on_failed: saves.append((then, on_failed)))
        for _ in range(2):
            studio.training.start(60, "quick")
            studio.training.cancel()
        studio.training.start(1200, "full")
    ended.clear()
    saves[0][0]()
    saves[1][1](TrainingError("The first could not be saved.", "", ""))
    assert studio.training.is_running
    assert ended == []
    saves[2][0]()
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    assert [(call["mode"], call["seconds"]) for call in fake.calls] == [("full", 1200)]


def leave_behind(studio: Studio) -> None:
    project = studio.session.project
    assert project is not None
    state_file(project).parent.mkdir(parents=True, exist_ok=True)
    state_file(project).write_bytes(b"not looked into here")
    note_run(project, InterruptedRun("full", 300.0, None, 3, Start(), None, "2026-01-05T10:00:00+00:00"))


def test_after_a_crash_it_can_go_on(qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path) -> None:
    folder = make_data_set(tmp_path / "d", train=2, test=1)
    open_paths(qtbot, studio, folder)
    assert studio.training.interrupted is None
    leave_behind(studio)
    studio.session.close_project()
    open_paths(qtbot, studio, folder)
    qtbot.waitUntil(lambda: studio.training.interrupted is not None, timeout=5_000)
    card = studio.window.training_panel.interrupted
    assert card.isVisible()
    card.resume_button.click()
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    assert fake.calls[0]["resume"]
    assert not card.isVisible()


def test_what_was_interrupted_can_be_discarded_and_what_is_cancelled_is(
    qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path
) -> None:
    folder = make_data_set(tmp_path / "d", train=2, test=1)
    open_paths(qtbot, studio, folder)
    project = studio.session.project
    assert project is not None
    leave_behind(studio)
    studio.training.discard_interrupted()
    qtbot.waitUntil(lambda: interrupted(project) is None, timeout=5_000)
    studio.training.start()
    qtbot.waitUntil(lambda: steps(studio) > 0, timeout=20_000)
    leave_behind(studio)
    studio.training.cancel()
    qtbot.waitUntil(lambda: interrupted(project) is None, timeout=5_000)


def test_what_runs_in_another_window_is_not_offered_and_not_discarded(
    qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path
) -> None:
    folder = make_data_set(tmp_path / "d", train=2, test=1)
    open_paths(qtbot, studio, folder)
    project = studio.session.project
    assert project is not None
    leave_behind(studio)
    with running(Project.open(folder)):
        assert find_interrupted(project) is None
        discard_interrupted(project)
        assert state_file(project).exists()
    assert find_interrupted(project) is not None
    discard_interrupted(project)
    assert not state_file(project).exists()


def paint(studio: Studio) -> None:
    document = studio.session.document
    assert document is not None
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 40, 40), np.ones((40, 40), bool), 0)
    document.paint(Rect(50, 50, 40, 40), np.ones((40, 40), bool), 1)
    document.commit_edit()


def correct(qtbot: QtBot, studio: Studio, key: str) -> None:
    studio.session.go_to(key)
    qtbot.waitUntil(lambda: studio.session.document.item_key == key, timeout=5_000)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: not studio.session.is_loading, timeout=5_000)
    paint(studio)
    studio.session.save_now()
    studio.session.set_status(key, Status.DONE)


def test_by_itself_after_every_n_corrected_images_but_not_while_a_hand_is_at_work(
    qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", count=4))
    continuous, told = studio.learning.continuous, []
    continuous.started.connect(told.append)
    correct(qtbot, studio, "photo_0.png")
    qtbot.wait(400)
    assert continuous.num_corrected == 0, "off until somebody wants it"
    continuous.set_every(2)
    continuous.set_on(True)
    qtbot.waitUntil(lambda: continuous.num_corrected == 1, timeout=5_000)
    assert not studio.training.is_running
    is_busy = [True]
    continuous.ask(lambda: is_busy[0], lambda: 42.0)
    correct(qtbot, studio, "photo_1.png")
    qtbot.waitUntil(lambda: continuous.num_corrected == 2, timeout=5_000)
    qtbot.wait(600)
    assert not studio.training.is_running, "a hand is at work"
    is_busy[0] = False
    qtbot.waitUntil(lambda: told == [2], timeout=5_000)
    qtbot.waitUntil(lambda: len(fake.calls) == 1, timeout=20_000)
    assert (fake.calls[0]["seconds"], fake.calls[0]["mode"]) == (42.0, "quick")
    studio.training.cancel()
    qtbot.waitUntil(lambda: not studio.training.is_running, timeout=5_000)
    qtbot.wait(700)
    assert len(fake.calls) == 1, "what was seen counts no more, although it was cancelled"
    assert continuous.num_corrected == 0
    assert studio.session.project is not None
    assert studio.session.project.settings["continuous_training"] == {"is_on": True, "every": 2}


def test_the_image_that_is_open_counts_when_it_is_left(
    qtbot: QtBot, studio: Studio, fake: FakeFinetune, tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", count=3))
    continuous = studio.learning.continuous
    continuous.set_every(1)
    continuous.set_on(True)
    paint(studio)
    studio.session.save_now()
    qtbot.wait(700)
    assert not studio.training.is_running
    studio.session.step(1)
    qtbot.waitUntil(lambda: studio.training.is_running, timeout=5_000)
