"""The tour's hand: it ends with the first error, also one of its own, and says where the window stood still."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.panels.tool_options import ToolOptions
from pspnet_studio.tour.driver import Do, Driver, Script, TourError, Wait, click, press, type_text
from pspnet_studio.tour.heartbeat import Heartbeat


def ends_of(qtbot: QtBot, script: Script) -> list[BaseException | None]:
    ends: list[BaseException | None] = []
    driver = Driver(script, ends.append)
    driver.start()
    qtbot.waitUntil(lambda: bool(ends), timeout=5_000)
    qtbot.wait(30)
    return ends


def fail(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize("error", [LookupError("gone"), TypeError("a mistake"), AttributeError("another")])
@pytest.mark.parametrize("place", ["until", "do", "script"])
def test_any_error_ends_the_tour_once(qtbot: QtBot, error: Exception, place: str) -> None:
    calls: list[str] = []

    def script() -> Script:
        yield None
        if place == "until":
            yield Wait(lambda: calls.append("until") or fail(error), 5, "never")
        if place == "do":
            yield Do(lambda: fail(error))
            yield Wait(lambda: False, 5, "never")
        fail(error)

    assert ends_of(qtbot, script()) == [error]
    assert len(calls) <= 1


def test_waiting_in_vain_ends_it(qtbot: QtBot) -> None:
    (error,) = ends_of(qtbot, iter([Wait(lambda: False, 0.05, "a miracle")]))
    assert isinstance(error, TourError)
    assert "a miracle" in error.title


def test_a_script_that_ends_is_a_success(qtbot: QtBot) -> None:
    assert ends_of(qtbot, iter([None, Do(lambda: None), Wait(lambda: True, 1, "x")])) == [None]


def test_a_brush_size_can_be_typed(qtbot: QtBot) -> None:
    state = ToolState()
    options = ToolOptions(state)
    qtbot.addWidget(options)
    options.show()
    qtbot.waitExposed(options)
    options.activateWindow()
    box = options.diameter_box

    def script() -> Script:
        yield from click(box.lineEdit())
        yield from press(box, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        yield from type_text(box, "37")
        yield from press(box, Qt.Key.Key_Return)

    assert ends_of(qtbot, script()) == [None]
    assert state.diameter == 37


def test_stalls_are_told_with_the_stage_they_fell_into(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    heart = Heartbeat(parent)
    heart._gaps = [(1.0, 1.02), (2.0, 2.1), (5.0, 5.2), (9.0, 9.06)]
    stalls = heart.stalls([("start", 3.0), ("painted", 6.0)], apart_from=(5.1, 5.3))
    assert stalls == [
        {"ms": 100.0, "stage": "start", "during_import": False},
        {"ms": 200.0, "stage": "painted", "during_import": True},
        {"ms": 60.0, "stage": "end", "during_import": False},
    ]
