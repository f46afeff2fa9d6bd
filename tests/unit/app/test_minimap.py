"""The minimap: when it is there, what it shows, and where it leads."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Rect
from pspnet_studio.canvas.minimap import Minimap
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.model.document import Document
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import ViewState

CLASSES = ClassSet().add("roof", (255, 0, 0))
LEFT = Qt.MouseButton.LeftButton


def make_document(width: int = 1200, height: int = 800) -> Document:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = (0, 0, 255)
    image[:, width // 2 :] = (0, 255, 0)
    return Document("a.png", image, PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, 0))


@pytest.fixture
def tools() -> ToolState:
    tools = ToolState()
    tools.set_opacity(1.0)
    return tools


@pytest.fixture
def look() -> ViewState:
    return ViewState()


@pytest.fixture
def view(qtbot: QtBot, tools: ToolState) -> CanvasView:
    view = CanvasView(tools)
    qtbot.addWidget(view)
    view.resize(600, 450)
    view.show()
    return view


@pytest.fixture
def minimap(view: CanvasView, tools: ToolState, look: ViewState) -> Minimap:
    minimap = Minimap(view, tools, look)
    minimap.set_classes(CLASSES)
    view.set_classes(CLASSES)
    view.set_document(make_document())
    return minimap


def color(minimap: Minimap, x: float, y: float) -> tuple[int, ...]:
    """What the map shows of the image point that lies at these shares of its width and height; dimmed outside."""
    image = minimap.grab().toImage()
    area = minimap.map_rect()
    found = image.pixelColor(round(area.x() + x * area.width()), round(area.y() + y * area.height()))
    return found.red(), found.green(), found.blue()


def middle(view: CanvasView) -> tuple[float, float]:
    port = view.viewport
    return port.to_image(port.view_w / 2, port.view_h / 2)


def test_it_is_there_only_while_something_is_out_of_sight(minimap: Minimap, view: CanvasView, look: ViewState) -> None:
    assert not minimap.isVisible()
    view.set_zoom(2.0)
    assert minimap.isVisible()
    assert view.rect().contains(minimap.geometry())
    view.fit()
    assert not minimap.isVisible()
    view.set_zoom(2.0)
    look.set_minimap(False)
    assert not minimap.isVisible()
    look.set_minimap(True)
    assert minimap.isVisible()
    view.set_document(None)
    assert not minimap.isVisible()


def test_a_small_canvas_has_no_room_for_it(minimap: Minimap, view: CanvasView) -> None:
    view.set_zoom(4.0)
    view.resize(50, 40)
    assert not minimap.isVisible()


def test_the_mark_is_the_part_in_sight(minimap: Minimap, view: CanvasView) -> None:
    view.set_zoom(2.0)
    mark, area = minimap.mark_rect(), minimap.map_rect()
    seen = view.visible_rect()
    assert mark.width() / area.width() == pytest.approx(seen.w / 1200, abs=0.01)
    assert mark.height() / area.height() == pytest.approx(seen.h / 800, abs=0.01)
    assert (mark.x() - area.x()) / area.width() == pytest.approx(seen.x / 1200, abs=0.01)
    view.set_zoom(64.0)
    assert minimap.mark_rect().width() >= 7, "never too small to be seen and held"


def test_a_click_goes_there_and_a_drag_takes_the_view_along(minimap: Minimap, view: CanvasView) -> None:
    view.set_zoom(4.0)
    area = minimap.map_rect()
    target = QPoint(round(area.x() + area.width() * 0.25), round(area.y() + area.height() * 0.75))
    QTest.mouseClick(minimap, LEFT, pos=target)
    pixel = 1200 / area.width()
    assert middle(view) == pytest.approx((300, 600), abs=pixel)
    x, y = middle(view)
    QTest.mousePress(minimap, LEFT, pos=target + QPoint(2, 1))
    assert middle(view) == pytest.approx((x, y), abs=pixel), "taken by the mark, the view does not jump"
    QTest.mouseMove(minimap, target + QPoint(22, -9))
    QTest.mouseRelease(minimap, LEFT, pos=target + QPoint(22, -9))
    assert middle(view) == pytest.approx((x + 20 * pixel, y - 10 * pixel), abs=1.5 * pixel)
    QTest.mouseMove(minimap, target)
    assert middle(view) == pytest.approx((x + 20 * pixel, y - 10 * pixel), abs=1.5 * pixel), "let go"


def test_dragging_beyond_the_border_keeps_the_image_in_sight(minimap: Minimap, view: CanvasView) -> None:
    view.set_zoom(4.0)
    QTest.mousePress(minimap, LEFT, pos=minimap.mark_rect().center().toPoint())
    QTest.mouseMove(minimap, QPoint(-5000, -5000))
    assert not view.visible_rect().is_empty


def test_it_shows_the_photograph_and_after_a_rest_what_was_painted(
    qtbot: QtBot, minimap: Minimap, view: CanvasView
) -> None:
    view.set_zoom(4.0)
    r, g, b = color(minimap, 0.1, 0.1)
    assert b > 100 > max(r, g)
    document = view.document
    assert document is not None
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 300, 300), np.ones((300, 300), np.bool_), 0)
    document.commit_edit()
    qtbot.waitUntil(lambda: color(minimap, 0.1, 0.1)[0] > 100)
    document.set_prediction(Prediction(np.zeros((800, 1200), np.uint8), np.full((800, 1200), 255, np.uint8)), 1)
    qtbot.waitUntil(lambda: color(minimap, 0.95, 0.95)[0] > 50)


def test_hidden_classes_are_hidden_here_too(minimap: Minimap, view: CanvasView, tools: ToolState) -> None:
    document = view.document
    assert document is not None
    document.begin_edit("fill")
    document.paint(document.rect, np.ones((800, 1200), np.bool_), 0)
    document.commit_edit()
    view.set_zoom(4.0)
    assert color(minimap, 0.1, 0.1)[0] > 100
    tools.set_overlay_visible(False)
    assert color(minimap, 0.1, 0.1)[0] < 50


def test_an_image_that_is_still_being_read_shows_what_there_is(view: CanvasView, minimap: Minimap) -> None:
    preview = np.full((8, 12, 3), 200, np.uint8)
    pixels = ImagePixels(120_000, 80_000, preview)
    planes = PlaneStore(120_000, 80_000, UNLABELLED), PlaneStore(120_000, 80_000, 0)
    view.set_document(Document("large.tif", pixels, *planes))
    view.set_zoom(1.0)
    assert min(color(minimap, 0.1, 0.1)) > 100


def test_moving_the_image_keeps_the_map_where_it_is(minimap: Minimap, view: CanvasView) -> None:
    view.set_zoom(4.0)
    place = minimap.geometry()
    view.look_at(100, 100)
    assert minimap.geometry() == place
    view.resize(700, 500)
    assert minimap.geometry().bottomRight() == place.bottomRight() + QPoint(100, 50)
    assert minimap.mark_rect().center() != QPointF(0, 0)
