"""The history panel: lists the steps of the open image, jumps with a click or a key, keeps to a budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from pspnet_core.types import Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.model.document import Document
from pspnet_studio.model.step_list import StepRole
from pspnet_studio.panels.history import HistoryPanel
from tests.helpers.folders import make_folder
from tests.helpers.studio import open_paths, running_studio


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        open_paths(qtbot, studio, make_folder(tmp_path / "photos"))
        yield studio


def document_of(studio: Studio) -> Document:
    assert studio.session.document is not None
    return studio.session.document


def panel_of(studio: Studio) -> HistoryPanel:
    studio.window.history_panel.refresh()
    return studio.window.history_panel


def paint(studio: Studio, number: int, label: str = "brush") -> bytes:
    document = document_of(studio)
    document.begin_edit(label)
    document.paint(Rect(number * 7, number * 5, 12, 9), np.ones((9, 12), bool), 255 if label == "erase" else number % 2)
    document.commit_edit()
    return document.class_plane.to_array().tobytes()


def click(panel: HistoryPanel, row: int) -> None:
    place = panel.view.visualRect(panel.model.index(row)).center()
    QTest.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(place))


def rows(panel: HistoryPanel, role: int = Qt.ItemDataRole.DisplayRole) -> list[object]:
    return [panel.model.index(row).data(role) for row in range(panel.model.rowCount())]


def test_without_steps_it_says_what_to_do(studio: Studio) -> None:
    panel = panel_of(studio)
    assert panel.empty.isVisible()
    assert "Paint something" in panel.empty.words
    paint(studio, 1)
    assert panel_of(studio).view.isVisible()


def test_it_lists_what_was_done_with_its_class(studio: Studio) -> None:
    paint(studio, 0)
    paint(studio, 1, "polygon")
    paint(studio, 1, "erase")
    panel = panel_of(studio)
    assert rows(panel) == ["As it was opened", "Brush", "Polygon", "Erase"]
    assert rows(panel, StepRole.CLASS_NAME) == ["", "ground", "thing", ""]
    assert panel.model.current_row == 3


def test_a_click_jumps_there_in_one_go(qtbot: QtBot, studio: Studio) -> None:
    states = [document_of(studio).class_plane.to_array().tobytes()]
    states += [paint(studio, number) for number in range(6)]
    panel = panel_of(studio)
    told: list[str] = []
    document_of(studio).edited.connect(lambda: told.append("edited"))
    for row in (1, 4, 0, 6, 3):
        click(panel, row)
        assert document_of(studio).class_plane.to_array().tobytes() == states[row]
        panel.refresh()
        assert panel.model.current_row == row
        assert rows(panel, StepRole.IS_DONE) == [place <= row for place in range(7)]
    assert told == ["edited"] * 5
    paint(studio, 9)
    assert panel_of(studio).model.num_steps == 4


def test_the_keyboard_does_it_too(studio: Studio) -> None:
    states = [paint(studio, number) for number in range(4)]
    panel = panel_of(studio)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up):
        QTest.keyClick(panel.view, key)
    assert document_of(studio).class_plane.to_array().tobytes() == states[3]
    QTest.keyClick(panel.view, Qt.Key.Key_Return)
    assert document_of(studio).class_plane.to_array().tobytes() == states[1]


def test_a_jump_goes_into_the_journal_as_one_step(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    for number in range(5):
        paint(studio, number)
    document = document_of(studio)
    assert document.history.journal is not None
    before = document.history.journal.position.num_records
    document.go_to(1)
    assert document.history.journal.position == (before + 1, 1)


def test_the_budget_is_shown_kept_and_remembered(qtbot: QtBot, studio: Studio) -> None:
    panel = panel_of(studio)
    assert panel.budget_box.value() == 256
    panel.budget_box.setValue(32)
    assert studio.settings.undo_budget_mb == 32
    assert studio.session.histories.budget_bytes == 32 * 1024 * 1024
    assert studio.session.autosave.budget_bytes == 32 * 1024 * 1024
    paint(studio, 1)
    panel.refresh()
    assert panel.used_label.text().endswith("MB of")


def test_steps_of_an_earlier_session_are_set_apart(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    states = [paint(studio, number) for number in range(3)]
    done: list[bool] = []
    studio.session.save_now(then=lambda: done.append(True))
    qtbot.waitUntil(lambda: bool(done))
    studio.session.close_project()
    open_paths(qtbot, studio, tmp_path / "photos")
    paint(studio, 8)
    panel = panel_of(studio)
    assert rows(panel)[0] == "Before these steps"
    assert rows(panel, StepRole.BEGINS_SESSION)[1:] == [False, False, False, True]
    click(panel, 2)
    assert document_of(studio).class_plane.to_array().tobytes() == states[1]


def test_another_image_has_its_own_list(qtbot: QtBot, studio: Studio) -> None:
    paint(studio, 1)
    studio.session.go_to("photo_1.png")
    qtbot.waitUntil(lambda: document_of(studio).item_key == "photo_1.png")
    assert panel_of(studio).model.num_steps == 0
    studio.session.go_to("photo_0.png")
    qtbot.waitUntil(lambda: document_of(studio).item_key == "photo_0.png")
    assert panel_of(studio).model.num_steps == 1
    studio.session.close_project()
    assert studio.window.history_panel.model.rowCount() <= 2


def test_steps_that_are_gone_are_not_drawn(studio: Studio) -> None:
    for number in range(3):
        paint(studio, number)
    panel = panel_of(studio)
    document = document_of(studio)
    document.undo()
    document.undo()
    paint(studio, 5)  # what could be redone is gone; the list is refreshed only in a moment
    assert panel.model.rowCount() > document.history.num_steps + 1
    picture = panel.view.grab().toImage()
    assert not picture.isNull()
