"""Painting without a mouse."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from pspnet_core.classes import ClassSet
from pspnet_core.types import UNLABELLED
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.hand import ScaledView, make_document

CTRL = Qt.KeyboardModifier.ControlModifier
FINE = CTRL | Qt.KeyboardModifier.ShiftModifier
LEFT, UP, RIGHT, DOWN = Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_Right, Qt.Key.Key_Down
SPACE = Qt.Key.Key_Space


@pytest.fixture(params=[1.0, 1.5])
def view(qtbot, request):
    view = ScaledView(ToolState())
    view.ratio = request.param
    qtbot.addWidget(view)
    view.resize(200, 150)
    view.set_classes(ClassSet().add("a").add("b"))
    view.tool_state.set_class_id(1)
    view.tool_state.set_diameter(1)
    view.show()
    view.set_document(make_document(120, 90))
    view.set_zoom(2.0)
    return view


def press(view, *keys, modifiers=FINE):
    for key in keys:
        QTest.keyClick(view, key, modifiers)


def painted(view):
    return {(int(x), int(y)) for y, x in np.argwhere(view.document.class_plane.to_array() == 1)}


def test_a_stroke_by_keys_is_gapless_and_one_step(view):
    places = []
    view.cursor_moved.connect(lambda x, y: places.append((x, y)))
    press(view, RIGHT)
    x, y = places[-1]
    press(view, SPACE, RIGHT, RIGHT, DOWN, SPACE, RIGHT)
    assert painted(view) == {(x, y), (x + 1, y), (x + 2, y), (x + 2, y + 1)}
    assert places[-1] == (x + 3, y + 1)
    assert view.document.history.num_steps == 1
    view.document.undo()
    assert painted(view) == set()
    press(view, SPACE, modifiers=CTRL)
    press(view, RIGHT, modifiers=CTRL)
    press(view, SPACE, modifiers=CTRL)
    step = round(10 * view.pixel_ratio / 2)
    assert painted(view) == {(x + 3 + n, y + 1) for n in range(step + 1)}


def test_escape_takes_back_a_stroke_by_keys(view):
    press(view, SPACE, RIGHT, RIGHT)
    assert painted(view)
    QTest.keyClick(view, Qt.Key.Key_Escape)
    assert painted(view) == set()
    assert not view.document.is_editing


def test_a_polygon_by_keys(view):
    view.tool_state.set_tool("polygon")
    press(view, SPACE, *[RIGHT] * 9, SPACE, *[DOWN] * 9, SPACE, *[LEFT] * 9, SPACE)
    QTest.keyClick(view, Qt.Key.Key_Return)
    xs, ys = zip(*painted(view), strict=True)
    assert (max(xs) - min(xs), max(ys) - min(ys)) == (8, 8)


def test_the_pointer_stays_on_the_image_and_in_sight(view):
    view.set_zoom(16.0)
    places = []
    view.cursor_moved.connect(lambda x, y: places.append((x, y)))
    for key, end in ((LEFT, (0, None)), (UP, (0, 0)), (RIGHT, (119, 0)), (DOWN, (119, 89))):
        for _ in range(130):
            press(view, key)
            x, y = places[-1]
            assert view.rect().contains(view.image_to_widget(x + 0.5, y + 0.5).toPoint())
        assert (x, y if end[1] is not None else None) == end


def test_hidden_classes_are_not_painted_by_keys(view):
    hints = []
    view.hint_changed.connect(hints.append)
    view.tool_state.set_overlay_visible(False)
    press(view, SPACE, RIGHT, SPACE)
    assert painted(view) == set()
    assert "hidden" in hints[-1]


def test_without_control_and_while_panning_keys_are_what_they_were(view):
    before = view.viewport
    QTest.keyClick(view, RIGHT)
    assert view.viewport != before
    QTest.mousePress(view, Qt.MouseButton.MiddleButton)
    places = []
    view.cursor_moved.connect(lambda x, y: places.append((x, y)))
    press(view, Qt.Key.Key_PageUp, RIGHT)
    assert places == []
    QTest.mouseRelease(view, Qt.MouseButton.MiddleButton)
    assert (view.document.class_plane.to_array() == UNLABELLED).all()
