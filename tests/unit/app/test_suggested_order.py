"""The list of images in the order of the queue: places, reasons, progress, and how it follows."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLabel, QToolButton
from pytestqt.qtbot import QtBot

from pspnet_core.project.project import Status
from pspnet_studio.model.lists import ItemFilterModel, ItemListModel, ItemRole, SortBy
from pspnet_studio.model.queue import Suggestion
from pspnet_studio.panels.images import ImagesPanel
from tests.helpers.fakes import FakeProject, FakeSession

KEYS = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


class FakeQueue(QObject):
    """Places by key."""

    changed = Signal()
    progressed = Signal()

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.keys = list(keys)
        self.progress: tuple[int, int] | None = None
        self.is_on = self.is_ready = True

    @property
    def order(self) -> list[str]:
        return self.keys

    def place(self, key: str) -> int | None:
        return self.keys.index(key) if key in self.keys else None

    def suggestion(self, key: str) -> Suggestion | None:
        place = self.place(key)
        return None if place is None else Suggestion(place + 1, 1 / (place + 1), "model unsure")

    def use(self, *keys: str) -> None:
        self.keys = list(keys)
        self.changed.emit()


@pytest.fixture
def session() -> FakeSession:
    return FakeSession(FakeProject(KEYS))


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue("c.jpg", "a.jpg")


@pytest.fixture
def panel(session: FakeSession, queue: FakeQueue, qtbot: QtBot) -> ImagesPanel:
    panel = ImagesPanel(session)
    panel.follow(queue)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(280, 400)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def words(panel: ImagesPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label.isVisible() and label.text()]


def sort_by_suggestion(panel: ImagesPanel) -> None:
    button = panel.findChild(QToolButton)
    assert button is not None
    next(action for action in button.menu().actions() if action.text() == "Suggested first").trigger()


def test_suggested_images_come_first_the_others_by_name(panel: ImagesPanel, session: FakeSession) -> None:
    sort_by_suggestion(panel)
    assert session.orders[-1] == ["c.jpg", "a.jpg", "b.jpg", "d.jpg"]


def test_place_and_reason_are_in_the_rows_of_that_order_and_in_every_tooltip(panel: ImagesPanel) -> None:
    shown = panel.shown
    first = shown.index(0)
    assert first.data(ItemRole.KEY) == "a.jpg"
    assert first.data(ItemRole.SUGGESTION) is None
    assert "Suggested as number 2: model unsure" in first.data(ItemRole.TOOL_TIP)
    assert "Suggested" not in shown.index(1).data(ItemRole.TOOL_TIP)
    sort_by_suggestion(panel)
    assert [shown.index(row).data(ItemRole.SUGGESTION) for row in range(4)] == [
        Suggestion(1, 1.0, "model unsure"),
        Suggestion(2, 0.5, "model unsure"),
        None,
        None,
    ]


def test_the_order_is_told_and_can_be_set_again(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    told: list[tuple[str, bool]] = []
    panel.order_chosen.connect(lambda *order: told.append(order))
    sort_by_suggestion(panel)
    assert told == [("suggested", False)]
    button = panel.findChild(QToolButton)
    assert button is not None
    *_, reverse = button.menu().actions()
    reverse.trigger()
    assert told[-1] == ("suggested", True)
    reversed_order = session.orders[-1]
    panel.set_order("name", False)
    assert session.orders[-1] == KEYS
    assert not reverse.isChecked()
    panel.set_order("suggested", True)
    assert session.orders[-1] == reversed_order
    panel.set_order("moon", False)  # of a later version
    assert session.orders[-1] == reversed_order
    assert reverse.isChecked()


def test_rows_say_more_in_that_order(panel: ImagesPanel, qtbot: QtBot) -> None:
    before = panel.view.grab().toImage()
    panel.shown.set_sort(SortBy.SUGGESTED)
    height = panel.view.rowHeight(0)
    after = panel.view.grab().toImage()
    assert after.copy(0, 0, after.width(), height) != before.copy(0, 2 * height, after.width(), height)  # of c.jpg
    last = after.copy(0, 3 * height, after.width(), height)
    assert last == before.copy(0, 3 * height, after.width(), height)  # of d.jpg, which is not suggested


def test_another_order_is_followed_without_a_jump_of_the_list(
    panel: ImagesPanel, session: FakeSession, queue: FakeQueue
) -> None:
    session.open(FakeProject([f"{n:03}.jpg" for n in range(100)]))
    sort_by_suggestion(panel)
    session.go_to("050.jpg")
    bar = panel.view.verticalScrollBar()
    bar.setValue(300)
    queue.use("099.jpg", "007.jpg")
    assert session.orders[-1][:3] == ["099.jpg", "007.jpg", "000.jpg"]
    assert bar.value() == 300
    assert session.visited == ["050.jpg"]
    assert panel.view.selectionModel().currentIndex().data(ItemRole.KEY) == "050.jpg"


def test_another_queue_changes_nothing_in_another_order(
    panel: ImagesPanel, session: FakeSession, queue: FakeQueue
) -> None:
    before = len(session.orders)
    queue.use("d.jpg")
    assert len(session.orders) == before


def test_a_new_status_moves_no_row_before_the_queue_is_another(
    panel: ImagesPanel, session: FakeSession, queue: FakeQueue
) -> None:
    sort_by_suggestion(panel)
    session.set_status("c.jpg", Status.DONE)
    assert panel.shown.keys()[0] == "c.jpg"
    queue.use("a.jpg")
    assert panel.shown.keys() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_progress_stands_below_the_list(panel: ImagesPanel, queue: FakeQueue) -> None:
    queue.progress = 34, 200
    queue.progressed.emit()
    assert "Looking at images: 34 of 200" in words(panel)
    queue.progress = None
    queue.progressed.emit()
    assert not [text for text in words(panel) if "Looking" in text]


def test_the_list_says_why_nothing_is_suggested(panel: ImagesPanel, queue: FakeQueue) -> None:
    sort_by_suggestion(panel)
    queue.use()
    assert "No image is left to suggest." in words(panel)
    queue.is_ready = False
    queue.progressed.emit()
    assert "Nothing is suggested yet." in words(panel)
    queue.is_on = False
    queue.progressed.emit()
    assert any("switch on" in text for text in words(panel))


def test_a_long_list_asks_each_place_once() -> None:
    session = FakeSession(FakeProject([f"{n:05}.jpg" for n in range(10_000)]))
    source = ItemListModel(session)
    asked: list[str] = []

    class Counting(FakeQueue):
        def place(self, key: str) -> int | None:
            asked.append(key)
            return None

    source.suggestions = Counting()
    shown = ItemFilterModel(source)
    assert not asked
    shown.set_sort(SortBy.SUGGESTED)
    assert len(asked) == 10_000
