"""The list of classes: adding, renaming, recolouring, hiding, choosing."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QLineEdit, QMenu
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_studio.panels.classes import ClassesPanel, digit_of
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.rows import ClassRole
from tests.helpers.fakes import FakeProject, FakeSession


@pytest.fixture
def session() -> FakeSession:
    session = FakeSession(FakeProject(["a.jpg"], ClassSet().add("road").add("roof").add("tree")))
    session.tool_state.set_class_id(0)
    return session


@pytest.fixture
def panel(session: FakeSession, qtbot: QtBot) -> ClassesPanel:
    panel = ClassesPanel(session, session.tool_state)
    qtbot.addWidget(panel)
    panel.resize(240, 400)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def field_of(panel: ClassesPanel) -> QLineEdit:
    field = panel.findChild(QLineEdit)
    assert field is not None
    return field


def add(panel: ClassesPanel, qtbot: QtBot, name: str) -> None:
    field_of(panel).clear()
    qtbot.keyClicks(field_of(panel), name)
    qtbot.keyClick(field_of(panel), Qt.Key.Key_Return)


def names(session: FakeSession) -> tuple[str, ...]:
    assert session.project is not None
    return session.project.classes.names


def in_row(panel: ClassesPanel, row: int, x_from_left: int | None = None, x_from_right: int = 0) -> QPoint:
    rect = panel.view.rect_of(row)
    x = rect.right() - x_from_right if x_from_left is None else rect.left() + x_from_left
    return QPoint(x, rect.center().y())


def test_name_and_enter_add_a_class_and_paint_with_it(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    add(panel, qtbot, "  water ")
    assert names(session)[-1] == "water"
    assert session.tool_state.class_id == 3
    assert field_of(panel).text() == ""


def test_the_new_class_is_painted_with_whatever_its_id_is(session: FakeSession, qtbot: QtBot) -> None:
    session.open(FakeProject(["a.jpg"], ClassSet().add("rare", index=254).reserve([0])))
    panel = ClassesPanel(session, session.tool_state)
    qtbot.addWidget(panel)
    add(panel, qtbot, "boat")
    assert session.tool_state.class_id == 1


def test_several_classes_in_a_row_without_the_mouse(session: FakeSession, qtbot: QtBot) -> None:
    session.open(FakeProject(["a.jpg"]))
    panel = ClassesPanel(session, session.tool_state)
    qtbot.addWidget(panel)
    for name in ("sky", "ground"):
        add(panel, qtbot, name)
    assert names(session) == ("sky", "ground")


def test_double_name_is_refused_in_the_panel_and_kept_in_the_field(
    panel: ClassesPanel, session: FakeSession, qtbot: QtBot
) -> None:
    add(panel, qtbot, "roof")
    assert names(session) == ("road", "roof", "tree")
    assert "roof" in panel.error_text
    assert field_of(panel).text() == "roof"
    qtbot.keyClicks(field_of(panel), "s")
    assert panel.error_text == ""
    qtbot.keyClick(field_of(panel), Qt.Key.Key_Return)
    assert names(session)[-1] == "roofs"


def test_click_chooses_the_class(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=in_row(panel, 2, x_from_left=60))
    assert session.tool_state.class_id == 2
    assert [panel.model.index(row).data(ClassRole.ACTIVE) for row in range(3)] == [False, False, True]


def test_arrow_keys_choose_the_class(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.keyClick(panel.view, Qt.Key.Key_Down)
    assert session.tool_state.class_id == 1


def test_digit_key_elsewhere_moves_the_mark(panel: ClassesPanel, session: FakeSession) -> None:
    session.tool_state.set_class_id(1)
    assert panel.view.currentIndex().row() == 1


def test_eye_hides_without_choosing(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    eye = in_row(panel, 1, x_from_right=20)
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=eye)
    assert session.project is not None
    assert not session.project.classes[1].visible
    assert session.tool_state.class_id == 0
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=eye)
    assert session.project.classes[1].visible


def test_space_hides_the_chosen_class(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.keyClick(panel.view, Qt.Key.Key_Space)
    assert session.project is not None
    assert not session.project.classes[0].visible


def rename_in_place(panel: ClassesPanel, qtbot: QtBot, name: str) -> None:
    editor = panel.view.viewport().findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    qtbot.keyClicks(editor, name)
    qtbot.keyClick(editor, Qt.Key.Key_Return)


def test_f2_renames(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    panel.view.setFocus()
    qtbot.keyClick(panel.view, Qt.Key.Key_F2)
    rename_in_place(panel, qtbot, "street")
    qtbot.waitUntil(lambda: names(session) == ("street", "roof", "tree"), timeout=2000)


def test_double_click_renames_and_impossible_name_is_told(
    panel: ClassesPanel, session: FakeSession, qtbot: QtBot
) -> None:
    pos = in_row(panel, 1, x_from_left=60)
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=pos)
    qtbot.mouseDClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=pos)
    rename_in_place(panel, qtbot, "tree")
    qtbot.waitUntil(lambda: "tree" in panel.error_text, timeout=2000)
    assert names(session) == ("road", "roof", "tree")


def test_swatch_opens_a_color_dialog_that_recolours(panel: ClassesPanel, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=in_row(panel, 2, x_from_left=20))
    dialog = panel.findChild(QColorDialog)
    assert dialog is not None
    assert session.project is not None
    assert dialog.currentColor() == QColor(*session.project.classes[2].color)
    dialog.setCurrentColor(QColor(1, 2, 3))
    dialog.accept()
    assert session.project.classes[2].color == (1, 2, 3)


def test_menu_offers_everything_to_the_keyboard(panel: ClassesPanel, session: FakeSession) -> None:
    panel.show_menu(1, QPoint(5, 5))
    menu = next(m for m in panel.findChildren(QMenu) if m.isVisible())
    actions = {action.text().partition("\t")[0]: action for action in menu.actions()}
    actions["Paint with it"].trigger()
    actions["Hide"].trigger()
    menu.close()
    assert {"Rename…", "Change colour…"} <= set(actions)
    assert session.tool_state.class_id == 1
    assert session.project is not None
    assert not session.project.classes[1].visible


def test_digits_are_shown_for_the_first_ten() -> None:
    assert [digit_of(place) for place in (0, 8, 9, 10)] == ["1", "9", "0", ""]


def test_empty_states_say_what_to_do(session: FakeSession, qtbot: QtBot) -> None:
    session.open(FakeProject(["a.jpg"]))
    panel = ClassesPanel(session, session.tool_state)
    qtbot.addWidget(panel)
    empty = panel.findChild(EmptyState)
    assert empty is not None
    assert empty.words == "Name what you want to find Type a class and press Enter."
    session.open(None)
    assert "Open a folder" in empty.words
    assert not field_of(panel).isEnabled()
    assert not panel.add("road")


def test_the_lock_keeps_pixels_of_a_class_without_choosing_or_hiding_it(
    panel: ClassesPanel, session: FakeSession, qtbot: QtBot
) -> None:
    lock = in_row(panel, 1, x_from_right=46)
    before = panel.view.grab().toImage()
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=lock)
    assert session.tool_state.locked == {1}
    assert panel.model.index(1).data(ClassRole.LOCKED)
    assert "Locked" in panel.model.index(1).data(Qt.ItemDataRole.ToolTipRole)
    assert session.tool_state.class_id == 0
    assert session.project is not None
    assert session.project.classes[1].visible
    assert panel.view.grab().toImage() != before
    qtbot.mouseDClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=lock)
    assert session.tool_state.locked == set()


def test_the_menu_locks_and_unlocks(panel: ClassesPanel, session: FakeSession) -> None:
    for words, expected in (("Lock its pixels", {2}), ("Unlock its pixels", set())):
        panel.show_menu(2, QPoint(5, 5))
        menu = next(m for m in panel.findChildren(QMenu) if m.isVisible())
        next(a for a in menu.actions() if a.text() == words).trigger()
        menu.close()
        assert session.tool_state.locked == expected
