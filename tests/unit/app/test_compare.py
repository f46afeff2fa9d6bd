"""Views beside the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QLabel

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import Prediction
from pspnet_studio.canvas.compare import Arrangement, CompareView
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import OverlayMode, ViewState


@pytest.fixture
def compare(qtbot) -> CompareView:
    state, view_state = ToolState(), ViewState()
    canvas = CanvasView(state)
    view_state.changed.connect(lambda: canvas.set_look(view_state.look))
    view = CompareView(canvas, state, view_state)
    qtbot.addWidget(view)
    view.resize(900, 400)
    view.show()
    qtbot.waitExposed(view)
    document = Document("a", np.full((300, 500, 3), 90, np.uint8), PlaneStore(500, 300, 255), PlaneStore(500, 300, 0))
    document.set_prediction(Prediction(np.ones((300, 500), np.uint8), np.full((300, 500), 255, np.uint8)), 1)
    classes = ClassSet().add("a", (255, 0, 0), index=0).add("b", (0, 255, 0), index=1)
    canvas.set_classes(classes)
    view.set_classes(classes)
    canvas.set_document(document)
    view.set_document(document)
    view.canvas, view.document, view.view_state = canvas, document, view_state
    return view


def centre(view) -> tuple[float, float]:
    return view.viewport.to_image(view.viewport.view_w / 2, view.viewport.view_h / 2)


def colour(view, x: float, y: float) -> tuple[int, int, int]:
    point = view.image_to_widget(x, y).toPoint()
    c = view.grab().toImage().pixelColor(point * view.devicePixelRatioF())
    return c.red(), c.green(), c.blue()


def test_views_move_together_whoever_leads(compare: CompareView) -> None:
    compare.set_arrangement(Arrangement.PHOTO)
    (photo,) = compare.others
    compare.canvas.set_zoom(3.0)
    assert photo.zoom == 3.0
    photo._pan(40, -25)
    assert centre(compare.canvas) == pytest.approx(centre(photo), abs=1)
    assert compare.canvas.zoom == 3.0


def test_the_photograph_has_nothing_over_it(compare: CompareView, qtbot) -> None:
    compare.set_arrangement(Arrangement.PHOTO)
    (photo,) = compare.others
    qtbot.waitUntil(lambda: photo.is_complete and compare.canvas.is_complete)
    assert colour(photo, 250, 150) == (90, 90, 90)
    assert colour(compare.canvas, 250, 150) != (90, 90, 90)


def test_a_stroke_is_seen_in_the_comparison_at_once(compare: CompareView, qtbot) -> None:
    compare.set_arrangement(Arrangement.COMPARE)
    prediction, difference = compare.others
    assert compare.view_state.look.mode is OverlayMode.LABELS
    qtbot.waitUntil(lambda: difference.is_complete)
    before, predicted = colour(difference, 250, 150), colour(prediction, 250, 150)
    document = compare.document
    document.begin_edit("brush")
    document.paint(document.rect, np.ones((300, 500), bool), 0)
    document.commit_edit()
    qtbot.waitUntil(lambda: difference.is_complete and prediction.is_complete)
    assert colour(difference, 250, 150) != before
    assert colour(prediction, 250, 150) == predicted


def test_going_back_takes_the_views_away(compare: CompareView) -> None:
    compare.set_arrangement(Arrangement.COMPARE)
    assert compare.count() == 3
    compare.set_arrangement(Arrangement.SINGLE)
    assert compare.others == []
    assert compare.view_state.look.mode is OverlayMode.CLASSES
    compare.canvas.set_zoom(2.0)  # nobody follows
    assert compare.canvas.event_to_image(QPointF(0, 0)) is not None


def test_an_image_that_fitted_still_fits_beside_others_and_at_another_size(compare: CompareView, qtbot) -> None:
    compare.set_arrangement(Arrangement.COMPARE)
    qtbot.waitUntil(lambda: compare.canvas.width() < 400)
    assert compare.canvas.visible_rect() == compare.document.rect
    compare.resize(600, 300)
    qtbot.waitUntil(lambda: compare.canvas.width() < 250)
    assert compare.canvas.is_fitted
    for view in (compare.canvas, *compare.others):
        assert view.visible_rect() == compare.document.rect


def test_each_view_says_what_it_shows(compare: CompareView) -> None:
    def titles() -> list[str]:
        labels = [view.findChild(QLabel) for view in (compare.canvas, *compare.others)]
        return [label.text() for label in labels if label.isVisible()]

    assert titles() == []
    compare.set_arrangement(Arrangement.COMPARE)
    assert titles() == ["My labels", "Prediction", "Difference of both"]
    compare.set_arrangement(Arrangement.PHOTO)
    assert titles() == ["Labels over prediction", "Photograph"]
