"""Fine-tuning: the button, what is shown meanwhile and afterwards, versions."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.errors import TrainingError
from pspnet_core.training.events import Adjusted, Evaluated, Phase, Planned, Resumed, Step
from pspnet_studio.jobs.finetuning import Interrupted, Wish
from pspnet_studio.panels.curves import CurvePlot
from pspnet_studio.panels.training import TrainingPanel
from pspnet_studio.panels.training_words import duration_text, outcome_words, time_left_text
from tests.helpers.fakes import (
    FakeContinuous,
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
        self.continuous = FakeContinuous()
        self.panel = TrainingPanel(self.training, self.predictions, self.session, self.continuous)
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


def test_button_starts_quick_or_full_with_the_chosen_time(rig: Rig, qtbot: QtBot) -> None:
    told: list[tuple[str, int]] = []
    rig.panel.length_changed.connect(lambda *args: told.append(args))
    assert (rig.panel.mode, rig.panel.seconds) == ("quick", 60)
    qtbot.mouseClick(rig.panel.start_button, Qt.MouseButton.LeftButton)
    rig.training.end(None)
    rig.panel.length_box.setCurrentText("Full: at most 20 minutes")
    assert told == [("full", 1200)]
    assert "until it stops improving" in rig.panel._explanation.text()
    qtbot.mouseClick(rig.panel.start_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls == [("start", 60, "quick"), ("start", 1200, "full")]


def test_time_that_is_not_offered_can_be_set(rig: Rig) -> None:
    rig.panel.set_seconds(90)
    assert rig.panel.seconds == rig.panel.seconds_of("quick") == 90
    texts = [rig.panel.length_box.itemText(i) for i in range(rig.panel.length_box.count())]
    assert texts[:3] == ["Quick: 1 minute", "Quick: 90 seconds", "Quick: 3 minutes"]
    assert texts[3].startswith("Full")
    rig.panel.set_length("full", 60)
    assert rig.panel.mode == "full"
    assert rig.panel.seconds_of("quick") == 90


def test_one_more_waits_and_can_be_removed(rig: Rig, qtbot: QtBot) -> None:
    rig.training.start(60)
    assert rig.panel.start_button.text() == "Once more after this"
    place = rig.panel.start_button.geometry()
    qtbot.mouseClick(rig.panel.start_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls[-1] == ("enqueue", 60, "quick")
    assert rig.panel.start_button.text() == "1 waiting"
    assert not rig.panel.start_button.isEnabled(), "exactly one waits"
    assert rig.panel.waiting.text == "1 waiting (Quick: 1 minute)"
    assert rig.panel.start_button.geometry() == place
    qtbot.mouseClick(rig.panel.waiting.drop_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls[-1] == "drop_waiting"
    assert rig.panel.start_button.isEnabled()
    assert rig.panel.length_box.isVisible()


def test_interrupted_one_is_offered(rig: Rig, qtbot: QtBot) -> None:
    card = rig.panel.interrupted
    assert not card.isVisible()
    rig.training.set_interrupted(Interrupted(Wish(60, "quick", resumes=True), 40, 120))
    assert card.isVisible()
    assert card.text == "A fine-tune was interrupted after 40 of 120 steps."
    qtbot.mouseClick(card.resume_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(card.discard_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls == ["resume_interrupted", "discard_interrupted"]
    assert not card.isVisible()


def test_pause_and_buttons_that_stay_where_they_are(rig: Rig, qtbot: QtBot) -> None:
    rig.training.start(60)
    run = rig.panel.run
    assert not run.pause_button.isEnabled(), "nothing runs yet"
    rig.training.progressed.emit(Phase("read", 0.0))
    buttons = (run.pause_button, run.stop_button, run.cancel_button)
    qtbot.wait(10)
    places = [button.mapTo(rig.panel, QPoint(0, 0)) for button in buttons]
    sizes = [button.size() for button in buttons]
    rig.step(1, loss=123.0, eta_s=3000)
    rig.training.progressed.emit(Adjusted("memory", "Batches of 1 from now on, and a long story besides that goes on."))
    rig.training.progressed.emit(Evaluated(1, 0.4, {0: 0.4}))
    rig.training.progressed.emit(Phase("evaluate", 0.5))
    qtbot.mouseClick(run.pause_button, Qt.MouseButton.LeftButton)
    qtbot.wait(10)
    assert rig.training.is_paused
    assert run.pause_button.text() == "Resume"
    assert run.text.startswith("Paused")
    assert [button.mapTo(rig.panel, QPoint(0, 0)) for button in buttons] == places
    assert [button.size() for button in buttons] == sizes
    qtbot.mouseClick(run.pause_button, Qt.MouseButton.LeftButton)
    assert not rig.training.is_paused
    assert run.text.startswith("Training")


def test_log_says_in_words_what_happened_and_can_be_copied(rig: Rig, qtbot: QtBot) -> None:
    rig.training.start(60)
    for event in (
        Phase("read", 0.0),
        Phase("read", 0.5),
        Resumed(40),
        Planned(120, 55.0),
        Adjusted("memory", "Batches of 1."),
        Evaluated(60, 0.512, {0: 0.5}),
    ):
        rig.training.progressed.emit(event)
    assert rig.panel.run.note.startswith("Memory ran out")
    rig.training.end(decided(2, True, 0.6, 0.5))
    lines = [line.partition("  ")[2] for line in rig.panel.run.log.text.splitlines()]
    assert lines == [
        "Reading images",
        "Going on after step 40.",
        "120 steps are planned, in about 1 minute.",
        "Memory ran out, so it goes on with less at a time. Batches of 1.",
        "Step 60: mIoU 0.512 on held-out areas.",
        "Version 2 is better and in use. mIoU on held-out areas: 0.50 before, 0.60 now.",
    ]
    rig.panel.run.log.copy_button.click()
    assert QGuiApplication.clipboard().text() == rig.panel.run.log.text


def test_by_itself_is_off_until_it_is_switched_on(rig: Rig, qtbot: QtBot) -> None:
    row = rig.panel.continuous
    assert not row.check_box.isChecked()
    row.check_box.click()
    row.every_box.setValue(8)
    assert (rig.continuous.is_on, rig.continuous.every) == (True, 8)
    rig.continuous.num_corrected = 3
    rig.continuous.changed.emit()
    assert "3 of 8" in row.toolTip()


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
    rig.training.start(60)
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
    rig.training.start(60)
    rig.step(1)
    qtbot.mouseClick(rig.panel.run.stop_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(rig.panel.run.cancel_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls[1:] == ["finish_early"]
    rig.training.end(None)
    rig.training.start(60)
    qtbot.mouseClick(rig.panel.run.cancel_button, Qt.MouseButton.LeftButton)
    assert rig.training.calls[-1] == "cancel"
    rig.training.end(None)
    assert rig.panel.result.text == "Cancelled. Nothing was changed."
    assert rig.panel.start_button.isEnabled()


def test_curves_stay_after_the_end_and_go_at_the_next_start(rig: Rig) -> None:
    rig.training.start(60)
    rig.step(1)
    rig.training.end(decided(1, True, 0.5))
    assert rig.panel.run.loss.isVisible()
    assert not rig.panel.run.progress.isVisible()
    rig.training.start(60)
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


@pytest.mark.parametrize("outcome", [decided(2, True, None, None), decided(2, True, 0.5, 0.51, reason="Not lost.")])
def test_without_evidence_it_never_says_better(outcome: Any) -> None:
    words = outcome_words(outcome, 2)
    assert "better" not in words.title + words.detail


def test_interval_and_change_of_each_class_with_a_sign(rig: Rig) -> None:
    assert rig.session.project is not None
    rig.session.project.classes = ClassSet().add("sky", index=0).add("sea", index=1).add("new", index=2)
    rig.training.start(60)
    per_class = {0: (0.5, 0.62), 1: (0.7, 0.66), 2: (None, 0.3)}
    rig.training.end(decided(2, True, 0.6, 0.5, interval=(0.02, 0.15), per_class=per_class))
    assert "between +0.020 and +0.150 (95 %)" in rig.panel.result.text
    assert rig.panel.result.changes.rows == ["sky 0.50 0.62 ▲ 12", "sea 0.70 0.66 ▼ 4", "new – 0.30 new"]


RECORDS = [
    FakeVersion(1, {"created": "2026-01-05T10:00:00+00:00", "mean_iou": None, "imported": {"publisher": "x"}}),
    FakeVersion(2, {"created": "2026-01-05T11:00:00+00:00", "mean_iou": 0.5, "num_images": 3, "mode": "full"}),
]


def test_versions_newest_first_with_mode_images_and_imported_mark(rig: Rig) -> None:
    assert "press Fine-tune" in rig.panel.versions.empty_text
    rig.training.set_versions(RECORDS, current=2)
    assert rig.panel.versions.rows == [
        "Version 2, in use, 5 Jan 2026 · full · 3 images, mIoU 0.50",
        "Version 1, 5 Jan 2026 · imported, mIoU –",
        "None, no predictions",
    ]


def test_version_is_chosen_by_its_mark_or_enter_and_only_selected_elsewhere(rig: Rig, qtbot: QtBot) -> None:
    rig.training.set_versions(RECORDS, current=2)
    versions = rig.panel.versions
    assert versions.selected == 2
    row = versions.view.visualRect(versions.view.model().index(1, 0))
    qtbot.mouseClick(versions.view.viewport(), Qt.MouseButton.LeftButton, pos=row.center())
    assert versions.selected == 1
    assert rig.training.calls == []
    mark = QPoint(row.left() + 10, row.center().y())
    qtbot.mouseClick(versions.view.viewport(), Qt.MouseButton.LeftButton, pos=mark)
    assert rig.training.calls == [("set_current", 1)]
    versions.choose(None)
    assert rig.training.calls[-1] == ("set_current", None)
    versions.select(2)
    qtbot.keyClick(versions.view, Qt.Key.Key_Return)
    assert rig.training.calls[-1] == ("set_current", 2)
    assert versions.rows[0].startswith("Version 2, in use")


def test_versions_are_in_sight_also_while_it_runs(rig: Rig, qtbot: QtBot) -> None:
    rig.panel.resize(280, 520)
    rig.training.set_versions(RECORDS, current=2)
    rig.training.start(60)
    for step in range(1, 5):
        rig.step(step)
        rig.training.progressed.emit(Evaluated(step, 0.5, {0: 0.5}))
    qtbot.wait(20)
    view = rig.panel.versions.view
    row = view.visualRect(view.model().index(0, 0))
    place = view.viewport().mapTo(rig.panel, row.bottomLeft())
    assert view.isVisible()
    assert place.y() < rig.panel.height()
    assert row.bottom() < view.viewport().height()


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
