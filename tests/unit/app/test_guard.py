"""Nothing that runs is thrown away unasked."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from pspnet_studio.dialogs.leave import TrainingChoice
from pspnet_studio.windows.guard import TrainingGuard


class FakeTraining(QObject):
    ended = Signal(object)

    def __init__(self, is_running: bool) -> None:
        super().__init__()
        self.is_running = is_running
        self.calls: list[str] = []
        self.is_paused = True
        self.has_waiting = True

    def drop_waiting(self) -> None:
        self.has_waiting = False

    def set_paused(self, is_paused: bool) -> None:
        self.is_paused = is_paused

    def cancel(self) -> None:
        self.calls.append("cancel")

    def finish_early(self) -> None:
        self.calls.append("finish_early")

    def end(self) -> None:
        self.is_running = False
        self.ended.emit(None)


def make(qtbot: QtBot, training: FakeTraining, choice: TrainingChoice) -> tuple[TrainingGuard, list[str], list[str]]:
    window = QWidget()
    qtbot.addWidget(window)
    asked: list[str] = []
    done: list[str] = []

    def ask(_: QWidget, purpose: str) -> TrainingChoice:
        asked.append(purpose)
        return choice

    guard = TrainingGuard(training, window, ask)  # type: ignore[arg-type]
    return guard, asked, done


def test_without_a_fine_tune_nothing_is_asked(qtbot: QtBot) -> None:
    guard, asked, done = make(qtbot, FakeTraining(False), TrainingChoice.STAY)
    guard.run("quitting", lambda: done.append("quit"))
    assert (asked, done) == ([], ["quit"])


@pytest.mark.parametrize(
    ("choice", "calls"),
    [(TrainingChoice.WAIT, []), (TrainingChoice.KEEP, ["finish_early"]), (TrainingChoice.DISCARD, ["cancel"])],
)
def test_the_action_follows_when_the_fine_tune_has_ended(
    qtbot: QtBot, choice: TrainingChoice, calls: list[str]
) -> None:
    training = FakeTraining(True)
    guard, asked, done = make(qtbot, training, choice)
    guard.run("quitting", lambda: done.append("quit"))
    assert asked == ["quitting"]
    assert training.calls == calls
    assert not training.has_waiting, "or another one would begin before the action"
    assert training.is_paused is (choice is not TrainingChoice.WAIT), "what rests never ends"
    assert done == []
    training.end()
    assert done == ["quit"]
    training.end()
    assert done == ["quit"]


def test_staying_forgets_an_earlier_wish(qtbot: QtBot) -> None:
    training = FakeTraining(True)
    guard, _, done = make(qtbot, training, TrainingChoice.WAIT)
    guard.run("quitting", lambda: done.append("quit"))
    guard._ask = lambda *_: TrainingChoice.STAY
    guard.run("quitting", lambda: done.append("quit again"))
    training.end()
    assert done == []


def test_a_fine_tune_that_ends_while_the_question_is_open_does_not_block(qtbot: QtBot) -> None:
    training = FakeTraining(True)
    guard, _, done = make(qtbot, training, TrainingChoice.WAIT)

    def ask(*_: object) -> TrainingChoice:
        training.end()
        return TrainingChoice.WAIT

    guard._ask = ask
    guard.run("quitting", lambda: done.append("quit"))
    assert done == ["quit"]
