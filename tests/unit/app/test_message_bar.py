"""What happened stands first; errors look different from notices; recent folders can be chosen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Notice
from pspnet_studio.windows.message_bar import MessageBar
from pspnet_studio.windows.welcome import WelcomePage


def test_the_first_sentence_is_the_heading_and_the_remedy_has_a_line_of_its_own(qtbot: QtBot) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.show_message(PspnetError("It failed.", "Because of this.", "Do that."))
    assert bar._title.text() == "It failed."
    assert bar._body.text() == "Because of this.\nDo that."
    assert bar.text == "It failed.\nBecause of this.\nDo that."
    assert bar.property("look") == "alarm"
    bar.clear()
    bar.show_message("Plain words.")
    assert bar.text == "Plain words."
    assert not bar._body.isVisible()
    assert bar.property("look") == "notice"


def test_an_error_goes_before_a_notice_and_nothing_is_lost(qtbot: QtBot) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.show_message(Notice("Something to know."))
    bar.show_message(PspnetError("It failed."))
    bar.show_message(PspnetError("It failed."))
    assert bar.text == "It failed."
    bar._next()
    assert bar.text == "Something to know."
    bar._next()
    assert bar.text == ""
    assert not bar.isVisible()


def test_a_recent_folder_opens_by_a_click_anywhere_on_its_row(qtbot: QtBot) -> None:
    page = WelcomePage()
    qtbot.addWidget(page)
    page.resize(900, 800)
    folders = [f"/photos/{'long/' * 30}flight_{n}" for n in range(7)]
    page.set_recent(folders)
    page.show()
    qtbot.waitExposed(page)
    rows = [b for b in page.findChildren(QPushButton) if b.property("look") == "row"]
    assert len(rows) == 5
    assert len({row.width() for row in rows}) == 1
    asked: list[str] = []
    page.recent_requested.connect(asked.append)
    place = rows[2].rect().center()
    place.setX(rows[2].width() - 30)
    assert page.childAt(rows[2].mapTo(page, place)) is rows[2], "the words on it do not take the click"
    qtbot.mouseClick(rows[2], Qt.MouseButton.LeftButton, pos=place)
    assert asked == [folders[2]]
    assert rows[2].toolTip() == str(Path(folders[2]))


def test_it_lies_over_what_is_below_and_moves_nothing(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    canvas = QWidget()
    layout.addWidget(canvas)
    bar = MessageBar()
    bar.float_over(canvas)
    window.resize(900, 500)
    window.show()
    before = canvas.geometry()
    bar.show_message(PspnetError("It failed.", "Because of this. " * 30, "Do that."))
    assert bar.isVisible()
    assert canvas.geometry() == before
    assert canvas.rect().contains(bar.geometry())
    wide = bar.height()
    window.resize(400, 500)
    assert canvas.rect().contains(bar.geometry())
    assert bar.height() > wide, "more lines in less room"
