"""Window and level of 16-bit images: what is shown changes, what is trained on does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.deep import MAX_VALUE, Window
from pspnet_core.types import Rect
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import ViewState
from pspnet_studio.model.window_level import WindowLevel
from pspnet_studio.panels.display import DisplayPanel
from pspnet_studio.panels.window_level import WindowLevelBox

WHOLE = Rect(0, 0, 40, 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two grey images and one in colours of 12 bits in 16, and one of 8 bits."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(100, 4096, (30, 40), np.uint16)).save(folder / f"{name}.png")
    cv2.imwrite(str(folder / "c.png"), rng.integers(100, 4096, (30, 40, 3), np.uint16))
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / "d.png")
    return folder


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    runner = JobRunner()
    yield Session(runner, ToolState())
    assert runner.shutdown(5)


@pytest.fixture
def model(session: Session) -> WindowLevel:
    return WindowLevel(session)


def go_to(qtbot: QtBot, session: Session, model: WindowLevel, key: str) -> None:
    if session.project is not None:
        session.go_to(key)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == key)
    qtbot.waitUntil(lambda: session.document.pixels.is_loaded and model._job is None)


def open_folder(qtbot: QtBot, session: Session, model: WindowLevel, folder: Path) -> None:
    session.open_folder(folder)
    go_to(qtbot, session, model, "a.png")


def shown(session: Session) -> np.ndarray:
    assert session.document is not None
    pixels = session.document.pixels.read(WHOLE)
    assert pixels is not None
    return pixels


def test_the_window_changes_what_is_shown_and_nothing_else(
    qtbot: QtBot, session: Session, model: WindowLevel, folder: Path
) -> None:
    open_folder(qtbot, session, model, folder)
    assert model.is_deep
    assert shown(session).max() <= 15, "the high byte of 12 bits"
    assert model.values is None, "nobody asked for the values yet"
    document = session.document
    assert document is not None
    before, changed = document.image.copy(), []
    document.pixels.changed.connect(changed.append)
    model.set_auto()
    qtbot.waitUntil(lambda: model.values is not None)
    assert model.window.low < 200
    assert 3900 < model.window.high < 4096
    assert shown(session).max() == 255
    assert changed == [WHOLE]
    np.testing.assert_array_equal(document.image, before)
    np.testing.assert_array_equal(document.pixels.reader(WHOLE)(), before)
    model.set_window(Window())
    np.testing.assert_array_equal(shown(session), before)


def test_the_window_stays_for_the_next_image_of_the_series(
    qtbot: QtBot, session: Session, model: WindowLevel, folder: Path
) -> None:
    open_folder(qtbot, session, model, folder)
    model.set_window(Window(0, 4095))
    qtbot.waitUntil(lambda: model.values is not None)
    for key in ("b.png", "c.png"):
        go_to(qtbot, session, model, key)
        qtbot.waitUntil(lambda: model.values is not None)
        assert shown(session).max() > 200
        assert model.window == Window(0, 4095)
    go_to(qtbot, session, model, "d.png")
    assert not model.is_deep
    assert session.document is not None
    np.testing.assert_array_equal(shown(session), session.document.image)


def test_the_canvas_follows(qtbot: QtBot, session: Session, model: WindowLevel, folder: Path) -> None:
    open_folder(qtbot, session, model, folder)
    view = CanvasView(session.tool_state)
    qtbot.addWidget(view)
    view.resize(200, 150)
    view.show()
    view.set_document(session.document)
    qtbot.waitUntil(lambda: view.is_complete)
    middle = QPoint(100, 75)
    dark = view.grab().toImage().pixelColor(middle).lightness()
    model.set_window(Window(0, 300))
    qtbot.waitUntil(lambda: model.values is not None)
    qtbot.waitUntil(lambda: view.is_complete and view.grab().toImage().pixelColor(middle).lightness() > dark + 100)


def test_a_file_that_went_away_is_told(qtbot: QtBot, session: Session, model: WindowLevel, folder: Path) -> None:
    open_folder(qtbot, session, model, folder)
    (folder / "a.png").unlink()
    model.set_auto()
    qtbot.waitUntil(lambda: "not there any more" in model.problem)
    assert shown(session).max() <= 15
    model.set_auto()  # asked again, it does not try for ever
    assert model._job is None


class TestBox:
    """The part of the display panel."""

    @pytest.fixture
    def panel(self, qtbot: QtBot, model: WindowLevel) -> DisplayPanel:
        panel = DisplayPanel(ViewState(), model)
        qtbot.addWidget(panel)
        panel.resize(280, 600)
        panel.show()
        return panel

    @pytest.fixture
    def box(self, panel: DisplayPanel) -> WindowLevelBox:
        return panel.window_level_box

    def test_it_is_there_for_16_bits_only_and_reads_the_values_when_seen(
        self, qtbot: QtBot, session: Session, model: WindowLevel, folder: Path, box: WindowLevelBox
    ) -> None:
        assert not box.isVisible()
        open_folder(qtbot, session, model, folder)
        assert box.isVisible()
        qtbot.waitUntil(lambda: model.values is not None)
        assert box.auto_button.isEnabled()
        go_to(qtbot, session, model, "d.png")
        assert not box.isVisible()

    def test_numbers_buttons_and_the_model_agree(
        self, qtbot: QtBot, session: Session, model: WindowLevel, folder: Path, box: WindowLevelBox
    ) -> None:
        open_folder(qtbot, session, model, folder)
        qtbot.waitUntil(lambda: model.values is not None)
        assert not box.full_button.isEnabled()
        box.high_box.setValue(4095)
        assert model.window == Window(0, 4095)
        box.low_box.setValue(5000)
        assert model.window == Window(5000, 5001), "black and white never change places"
        box.full_button.click()
        assert (box.low_box.value(), box.high_box.value()) == (0, MAX_VALUE)
        box.auto_button.click()
        assert box.low_box.value() == model.window.low > 0

    def test_both_ends_are_dragged_in_the_histogram(
        self, qtbot: QtBot, session: Session, model: WindowLevel, folder: Path, box: WindowLevelBox
    ) -> None:
        open_folder(qtbot, session, model, folder)
        qtbot.waitUntil(lambda: model.values is not None)
        model.set_window(Window(0, 4095))
        graph = box.histogram
        left = Qt.MouseButton.LeftButton

        def drag(start: float, stop: float) -> None:
            QTest.mousePress(graph, left, pos=QPoint(round(graph.x_of(start)), 20))
            QTest.mouseMove(graph, QPoint(round(graph.x_of(stop)), 20))
            QTest.mouseRelease(graph, left, pos=QPoint(round(graph.x_of(stop)), 20))

        drag(4095, 2048)
        assert model.window.high == pytest.approx(2048, abs=40)
        drag(0, 1024)
        assert model.window.low == pytest.approx(1024, abs=40)
        drag(1024, 4000)
        assert model.window.low < model.window.high
