"""Fine-tuning: the button, what is shown meanwhile and afterwards, versions."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from pspnet_core.errors import TrainingError
from pspnet_core.training.events import Evaluated, Phase, Step
from pspnet_studio.panels.curves import CurvePlot
from pspnet_studio.panels.training import TrainingPanel
from pspnet_studio.panels.training_words import duration_text, outcome_words, time_left_text
from tests.helpers.fakes import (
    FakePredictions,
    FakeProject,
    FakeSession,
    FakeTraining,
    FakeVersion,
    decided,
)


class Rig:
    """A panel on fakes."""

    def __init__(self, qtbot: QtBot) -> None:
        self.session = FakeSession(FakeProject(["a.jpg"]))
        self.training = FakeTraining()
        self.predictions = FakePredictions()
        self.panel = TrainingPanel(self.training, self.predictions, self.session)
        qtbot.addWidget(self.panel)
        self.panel.resize(280, 800)
        self.panel.show()
        qtbot.waitExposed(self.panel)

    def step(self, step: int, **changes: Any) -> None:
        values = {"step": step, "num_steps": 100, "loss": 1.0, "elapsed_s": 10.0, "eta_s": 30.0}
        self.training.progressed.emit(Step(**{**values, **changes}))


@pytest.fixture
def rig(qtbot: QtBot) -> Rig:
    return Rig(qtbot)


def test_button_starts_with_the_chosen_time(rig: Rig, qtbot: QtBot) -> None:
    assert rig.panel.seconds == 180
    rig.panel.budget_box.setCurrentText("5 minutes")
    qtbot.mouseClick(rig.panel.start_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls == [("start", 300)]
    assert not rig.panel.start_button.isEnabled()


def test_time_that_is_not_offered_can_be_set(rig: Rig) -> None:
    told: list[int] = []
    rig.panel.seconds_changed.connect(told.append)
    rig.panel.set_seconds(90)
    assert rig.panel.seconds == 90
    assert told[-1] == 90
    texts = [rig.panel.budget_box.itemText(i) for i in range(rig.panel.budget_box.count())]
    assert texts == ["1 minute", "90 seconds", "3 minutes", "5 minutes", "15 minutes"]


def test_disabled_button_says_why(rig: Rig, qtbot: QtBot) -> None:
    rig.training.obstacle = "Add at least two classes."
    rig.session.classes_changed.emit()
    qtbot.waitUntil(lambda: not rig.panel.start_button.isEnabled(), timeout=2000)
    assert rig.panel.reason == "Add at least two classes."
    assert rig.panel.start_button.toolTip() == "Add at least two classes."
    rig.session.go_to("a.jpg")
    rig.training.obstacle = ""
    assert rig.session.document is not None
    rig.session.document.edited.emit()
    qtbot.waitUntil(rig.panel.start_button.isEnabled, timeout=2000)
    assert rig.panel.reason == ""


def test_progress_phase_time_left_and_curves(rig: Rig) -> None:
    rig.training.start(180)
    run = rig.panel.run
    assert run.isVisible()
    assert not run.stop_button.isEnabled(), "nothing to keep yet"
    rig.training.progressed.emit(Phase("read", 0.5))
    assert run.text == "Reading images"
    assert run.progress.value() == 500
    rig.step(25, loss=0.8)
    assert run.text == "Training about 30 s left"
    assert run.progress.value() == 250
    assert run.loss.points == [(25, 0.8)]
    assert not run.mean_iou.isVisible()
    rig.training.progressed.emit(Evaluated(25, float("nan"), {}))
    assert not run.mean_iou.isVisible(), "no evidence is not zero"
    rig.training.progressed.emit(Evaluated(25, 0.4, {0: 0.4}))
    assert run.mean_iou.isVisible()
    assert run.mean_iou.points == [(25, 0.4)]


def test_stop_and_cancel_are_passed_on_once(rig: Rig, qtbot: QtBot) -> None:
    rig.training.start(180)
    rig.step(1)
    qtbot.mouseClick(rig.panel.run.stop_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(rig.panel.run.cancel_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls[1:] == ["finish_early"]
    rig.training.end(None)
    rig.training.start(180)
    qtbot.mouseClick(rig.panel.run.cancel_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls[-1] == "cancel"
    rig.training.end(None)
    assert rig.panel.result.text == "Cancelled. Nothing was changed."
    assert rig.panel.start_button.isEnabled()


def test_curves_stay_after_the_end_and_go_at_the_next_start(rig: Rig) -> None:
    rig.training.start(180)
    rig.step(1)
    rig.training.end(decided(1, True, 0.5))
    assert rig.panel.run.loss.isVisible()
    assert not rig.panel.run.progress.isVisible()
    rig.training.start(180)
    assert rig.panel.run.loss.points == []
    assert not rig.panel.result.isVisible()


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (decided(3, True, 0.61, 0.54), ["Version 3 is better and in use.", "0.54 before, 0.61 now"]),
        (decided(3, False, 0.52, 0.54), ["kept back", "0.54 before, 0.52 now"]),
        (
            decided(1, True, 0.61, reason="Mean IoU 0.610; nothing to compare."),
            ["Version 1 is in use.", "0.610; nothing"],
        ),
        (decided(1, True, None), ["Version 1 is in use.", "No evidence yet"]),
        (TrainingError("Too little memory.", "2 GB wanted.", "Close programs."), ["Too little memory.", "Version 7"]),
        (None, ["Cancelled", "Nothing was changed"]),
    ],
)
def test_results_in_plain_words(outcome: Any, expected: list[str]) -> None:
    words = outcome_words(outcome, current_version=7)
    assert all(part in f"{words.title} {words.detail}" for part in expected)


def test_without_evidence_it_never_says_better() -> None:
    words = outcome_words(decided(2, True, None, None), 2)
    assert "better" not in words.title + words.detail


def test_versions_newest_first_and_chosen_by_radio(rig: Rig, qtbot: QtBot) -> None:
    assert "press Fine-tune" in rig.panel.versions.empty_text
    records = [
        FakeVersion(1, {"created": "2026-01-05T10:00:00+00:00", "mean_iou": None, "num_images": 1}),
        FakeVersion(2, {"created": "2026-01-05T11:00:00+00:00", "mean_iou": 0.5, "num_images": 3}),
    ]
    rig.training.set_versions(records, current=2)
    versions = rig.panel.versions
    assert versions.button(2).isChecked()
    assert versions.button(2).y() < versions.button(1).y() < versions.button(None).y()
    versions.button(1).click()
    assert rig.training.calls == [("set_current", 1)]
    versions.button(None).click()
    assert rig.training.calls[-1] == ("set_current", None)
    rig.training.set_current(2)
    assert versions.button(2).isChecked()


def test_line_about_the_overlay(rig: Rig) -> None:
    rig.training.set_versions([FakeVersion(4)], current=4)
    rig.predictions.set_state("running")
    assert rig.panel.prediction_text == "Predicting this image…"
    rig.predictions.set_state("ready")
    assert rig.panel.prediction_text == "The overlay shows what version 4 predicts."
    rig.predictions.set_state("no_version")
    assert rig.panel.prediction_text == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3, "a few seconds left"),
        (42, "about 40 s left"),
        (59, "about 1 min left"),
        (80, "about 1 min 20 s left"),
        (120, "about 2 min left"),
        (899, "about 15 min left"),
    ],
)
def test_time_left(seconds: float, text: str) -> None:
    assert time_left_text(seconds) == text


def test_durations() -> None:
    assert [duration_text(s) for s in (20, 60, 180)] == ["20 seconds", "1 minute", "3 minutes"]


def test_long_curve_is_thinned_out_evenly(qtbot: QtBot) -> None:
    plot = CurvePlot("Loss", is_smoothed=True)
    qtbot.addWidget(plot)
    for step in range(10_000):
        plot.add(step, 1.0)
    steps = [x for x, _y in plot.points]
    assert len(steps) <= 1024
    assert len({b - a for a, b in itertools.pairwise(steps)}) == 1
    plot.resize(240, 120)
    assert not plot.grab().isNull()


def test_panels_import_no_plotting_and_no_torch() -> None:
    code = (
        "import sys\n"
        "import pspnet_studio.panels.training, pspnet_studio.panels.images, pspnet_studio.panels.classes\n"
        "import pspnet_studio.panels.tool_options, pspnet_studio.theme\n"
        "heavy = {'pyqtgraph', 'torch', 'torchvision', 'cv2', 'skimage', 'tifffile', 'PySide6.QtSvg'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
