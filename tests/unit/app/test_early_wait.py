"""Between two repaints Qt is made to ask the X server, and nothing is drawn by it."""

import pytest
from PySide6.QtGui import QGuiApplication, QRegion
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

from pspnet_studio.canvas.early_wait import wait_for_last_repaint


class Store:
    """Stands in for a backing store."""

    def __init__(self) -> None:
        self.regions: list[QRegion] = []
        self.num_ended = 0

    def beginPaint(self, region: QRegion) -> None:
        self.regions.append(QRegion(region))

    def endPaint(self) -> None:
        self.num_ended += 1


@pytest.fixture
def window(qtbot):
    window = QWidget()
    layout = QVBoxLayout(window)
    layout.addWidget(QLabel("above"))
    layout.addWidget(QLabel("below"))
    qtbot.addWidget(window)
    window.resize(200, 120)
    window.show()
    qtbot.waitExposed(window)
    return window


def test_it_asks_about_the_place_of_the_widget(window, monkeypatch):
    label, store = window.findChildren(QLabel)[1], Store()
    monkeypatch.setattr(label, "backingStore", lambda: store)
    wait_for_last_repaint(label)
    assert store.regions == []  # on other platforms nothing is to be waited for
    monkeypatch.setattr(QGuiApplication, "platformName", lambda: "xcb")
    wait_for_last_repaint(label)
    assert [region.boundingRect() for region in store.regions] == [label.geometry()]
    assert store.num_ended == 1
    label.hide()
    wait_for_last_repaint(label)
    assert store.num_ended == 1


def test_it_draws_nothing(window, monkeypatch):
    monkeypatch.setattr(QGuiApplication, "platformName", lambda: "xcb")
    QApplication.processEvents()
    before = window.backingStore().paintDevice().copy()
    wait_for_last_repaint(window.findChildren(QLabel)[0])
    assert window.backingStore().paintDevice() == before
