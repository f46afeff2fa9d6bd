"""Painting on the canvas with mouse and keys."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QAction, QInputDevice, QKeySequence, QMouseEvent, QPointingDevice, QTabletEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QMainWindow, QVBoxLayout, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.shapes import square_segment
from pspnet_core.imaging.strokes import brush_segment
from pspnet_core.types import UNLABELLED, Provenance, Rect
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.hand import LEFT, MIDDLE, NONE, PLAIN, RIGHT, SHIFT, Hand, ScaledView, make_document


@pytest.fixture
def view(qtbot):
    view = ScaledView(ToolState())
    qtbot.addWidget(view)
    view.resize(360, 270)
    view.set_classes(ClassSet().add("a").add("b"))
    view.tool_state.set_class_id(1)
    view.tool_state.set_diameter(7)
    view.show()
    view.set_document(make_document())
    view.set_zoom(2.0)
    return view


@pytest.fixture
def hand(view):
    return Hand(view)


def classes(view):
    return view.document.class_plane.to_array()


def capsules(points, diameter, shape):
    """The union of the capsules between consecutive points."""
    out = np.zeros(shape, np.bool_)
    for p0, p1 in itertools.pairwise([points[0], *points]):
        rect, mask = brush_segment(p0, p1, diameter, shape)
        out[rect.slices] |= mask
    return out


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("zoom", [1.0, 2.0, 3.7, 8.0])
def test_a_brush_of_one_pixel_paints_exactly_the_pixel_under_the_pointer(view, hand, zoom, ratio):
    view.ratio = ratio
    view.resize(361, 271)
    view.set_zoom(zoom)
    view.tool_state.set_diameter(1)
    area = view.visible_rect()
    wanted = {(area.x + 2, area.y + 3), (area.right - 3, area.y + 2), (area.x + area.w // 2, area.y + area.h // 2)}
    for x, y in wanted:
        hand.click(x + 0.5, y + 0.5)
    rows, columns = np.nonzero(classes(view) == 1)
    assert set(zip(columns.tolist(), rows.tolist(), strict=True)) == wanted


def test_a_fast_stroke_has_no_gaps_and_is_one_step(view, hand):
    points = [(20.5, 20.5), (90.5, 30.5), (30.5, 70.5)]
    hand.stroke(*points)
    expected = capsules(points, 7, (90, 120))
    assert np.array_equal(classes(view) == 1, expected)
    provenance = view.document.provenance_plane.to_array()
    assert np.array_equal(provenance == Provenance.PAINTED, expected)
    view.document.undo()
    assert (classes(view) == UNLABELLED).all()
    assert not view.document.history.can_undo
    view.document.redo()
    assert np.array_equal(classes(view) == 1, expected)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(-40, 159), st.integers(-40, 129)), min_size=2, max_size=6),
    st.sampled_from([1, 2, 5, 60, 256, 300, 517]),
)
def test_any_stroke_is_the_union_of_its_capsules_and_undo_restores(view, hand, points, diameter):
    view.tool_state.set_diameter(diameter)
    before = classes(view)
    points = [(x + 0.5, y + 0.5) for x, y in points]
    hand.stroke(*points)
    assert np.array_equal(classes(view) == 1, capsules(points, diameter, (90, 120)))
    if view.document.history.can_undo:
        view.document.undo()
    assert np.array_equal(classes(view), before)


def test_a_large_brush_paints_the_same_as_a_small_one_would(qtbot):
    view = ScaledView(ToolState())
    qtbot.addWidget(view)
    view.resize(400, 400)
    view.show()
    view.tool_state.set_class_id(3)
    view.tool_state.set_diameter(400)
    view.set_document(make_document(1500, 1400))
    view.set_zoom(0.25)
    points = [(400.0, 400.0), (420.0, 404.0), (800.0, 900.0), (790.0, 800.0)]
    reported = []
    view.document.region_changed.connect(reported.append)
    Hand(view).stroke(*points)
    expected = capsules(points, 400, (1400, 1500))
    assert np.array_equal(classes(view) == 3, expected)
    covered = np.zeros_like(expected)
    for rect in reported:
        covered[rect.slices] = True
    assert not (expected & ~covered).any()
    # Going on by 20 px redraws a crescent, not the whole disc.
    first = 400 * 400
    second = sum(r.w * r.h for r in reported[1:]) - sum(r.w * r.h for r in reported[-8:])
    assert second < 0.7 * first


def test_the_square_brush_paints_squares_of_whole_pixels(view, hand):
    view.tool_state.set_option("brush", "shape", "square")
    view.tool_state.set_diameter(6)
    hand.click(40.2, 30.7)
    rows, columns = np.nonzero(classes(view) == 1)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (6, 6, 36)
    hand.stroke((60.5, 60.5), (90.5, 70.5), (70.5, 80.5))
    expected = np.zeros((90, 120), np.bool_)
    for p0, p1 in [((40.2, 30.7),) * 2, ((60.5, 60.5), (90.5, 70.5)), ((90.5, 70.5), (70.5, 80.5))]:
        rect, mask = square_segment(p0, p1, 6, (90, 120))
        expected[rect.slices] |= mask
    assert np.array_equal(classes(view) == 1, expected)
    view.tool_state.set_tool("eraser")  # has its own shape
    hand.click(40.2, 30.7)
    assert (classes(view)[27:29, 37:39] == 1).any(), "a round eraser leaves the corners"


def eraser_end():
    """A pen that is held upside down."""
    kinds, can = QPointingDevice.PointerType, QInputDevice.Capability
    return QPointingDevice("pen", 1, QInputDevice.DeviceType.Stylus, kinds.Eraser, can.Pressure | can.Position, 1, 1)


def pen(view, hand, kind, x, y, pressure, device=None):
    """A pen event, and the mouse event that Qt makes of it because it is ignored."""
    at = view.event_position(x, y)
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.TabletRelease else LEFT
    changed = LEFT if kind != QEvent.Type.TabletMove else Qt.MouseButton.NoButton
    event = QTabletEvent(
        kind,
        device or QPointingDevice.primaryPointingDevice(),
        at,
        view.mapToGlobal(at),
        pressure,
        0,
        0,
        0,
        0,
        0,
        PLAIN,
        changed,
        held,
    )
    QApplication.sendEvent(view, event)
    assert not event.isAccepted()
    {
        QEvent.Type.TabletPress: hand.press,
        QEvent.Type.TabletMove: hand.move,
        QEvent.Type.TabletRelease: hand.release,
    }[kind](x, y)


@pytest.mark.parametrize("follows", [True, False])
def test_a_pen_scales_the_brush_by_its_pressure(view, hand, follows):
    view.tool_state.set_diameter(20)
    view.tool_state.set_option("brush", "pressure", follows)
    pen(view, hand, QEvent.Type.TabletPress, 30.5, 45.5, 0.25)
    pen(view, hand, QEvent.Type.TabletMove, 60.5, 45.5, 0.25)
    pen(view, hand, QEvent.Type.TabletMove, 90.5, 45.5, 1.0)
    pen(view, hand, QEvent.Type.TabletRelease, 90.5, 45.5, 0.0)
    thin, thick = (classes(view)[:, x].tolist().count(1) for x in (45, 90))
    assert (thin, thick) == ((5, 21) if follows else (21, 21))
    view.document.undo()
    assert (classes(view) == UNLABELLED).all()
    hand.click(30.5, 45.5)  # the mouse has no pressure
    assert classes(view)[:, 30].tolist().count(1) == 21


def test_the_other_end_of_a_pen_erases_until_it_is_lifted(view, hand):
    hand.stroke((20, 20), (60, 20))
    device = eraser_end()
    pen(view, hand, QEvent.Type.TabletPress, 40, 20, 1.0, device)
    pen(view, hand, QEvent.Type.TabletMove, 60, 20, 1.0, device)
    pen(view, hand, QEvent.Type.TabletRelease, 60, 20, 0.0, device)
    erased = capsules([(40, 20), (60, 20)], 7, (90, 120))
    assert (classes(view)[erased] == UNLABELLED).all()
    hand.stroke((20, 60), (60, 60))  # the mouse paints again
    assert (classes(view)[60, 20:60] == 1).all()


def test_the_right_button_and_the_eraser_erase_by_hand(view, hand):
    hand.stroke((20, 20), (60, 20))
    hand.stroke((40, 20), (60, 20), button=RIGHT)
    erased = capsules([(40, 20), (60, 20)], 7, (90, 120))
    assert (classes(view)[erased] == UNLABELLED).all()
    assert (view.document.provenance_plane.to_array()[erased] == Provenance.ERASED).all()
    assert (classes(view) == 1).any()
    view.tool_state.set_tool("eraser")
    view.tool_state.set_class_id(None)
    hand.stroke((0, 20), (60, 20))
    assert (classes(view) == UNLABELLED).all()


def test_shift_click_draws_a_straight_line_from_the_last_point(view, hand):
    hand.click(20.5, 20.5)
    hand.click(80.5, 60.5, modifiers=SHIFT)
    expected = capsules([(20.5, 20.5), (80.5, 60.5)], 7, (90, 120))
    assert np.array_equal(classes(view) == 1, expected)
    view.document.undo()
    assert (classes(view) == 1).sum() == capsules([(20.5, 20.5)], 7, (90, 120)).sum()
    view.set_document(make_document())
    hand.click(80.5, 60.5, modifiers=SHIFT)
    assert np.array_equal(classes(view) == 1, capsules([(80.5, 60.5)], 7, (90, 120)))


def test_escape_aborts_the_stroke(view, hand):
    hand.stroke((20, 20), (40, 20))
    before = classes(view)
    hand.press(50, 50)
    hand.move(70, 50)
    assert not np.array_equal(classes(view), before)
    hand.key(Qt.Key.Key_Escape)
    hand.move(80, 60)
    hand.release(80, 60)
    assert np.array_equal(classes(view), before)
    assert not view.document.is_editing
    hand.press(50, 50)
    assert view.cancel_tool()
    assert not view.cancel_tool()
    hand.release(50, 50)
    assert np.array_equal(classes(view), before)


@pytest.mark.parametrize("event", ["focus", "hide", "switch", "none", "tool", "lost release", "end_stroke"])
def test_a_stroke_that_is_interrupted_is_kept_and_no_transaction_stays_open(view, hand, qtbot, event):
    document = view.document
    view.activateWindow()
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    hand.press(30.5, 30.5)
    hand.move(60.5, 30.5)
    if event == "focus":
        view.clearFocus()
    elif event == "hide":
        view.hide()
    elif event == "switch":
        view.set_document(make_document())
    elif event == "none":
        view.set_document(None)
    elif event == "tool":
        view.tool_state.set_tool("polygon")
    elif event == "lost release":
        hand.held = NONE
        hand.move(90, 60)
    else:
        view.end_stroke()
    assert not document.is_editing
    assert document.history.can_undo
    hand.held = LEFT
    hand.move(100, 80)
    hand.release(100, 80)
    expected = capsules([(30.5, 30.5), (60.5, 30.5)], 7, (90, 120))
    assert np.array_equal(document.class_plane.to_array() == 1, expected)


def test_without_a_class_painting_hints_and_does_nothing(view, hand):
    view.tool_state.set_class_id(None)
    hints = []
    view.hint_changed.connect(hints.append)
    for tool in ("brush", "polygon"):
        view.tool_state.set_tool(tool)
        hints.clear()
        hand.stroke((20, 20), (60, 60))
        assert hints
        assert "class" in hints[-1]
    assert (classes(view) == UNLABELLED).all()
    assert not view.document.is_editing
    assert not view.document.history.can_undo


def test_only_the_button_that_started_a_stroke_ends_it(view, hand):
    hand.press(20.5, 20.5)
    hand._mouse(QEvent.Type.MouseButtonPress, 20.5, 20.5, RIGHT)
    hand._mouse(QEvent.Type.MouseButtonRelease, 20.5, 20.5, RIGHT)
    assert view.document.is_editing
    hand._mouse(QEvent.Type.MouseButtonPress, 20.5, 20.5, MIDDLE)
    assert not view.is_panning
    hand.release(40.5, 20.5)
    assert np.array_equal(classes(view) == 1, capsules([(20.5, 20.5), (40.5, 20.5)], 7, (90, 120)))


def test_a_polygon_is_filled_by_double_click_enter_or_its_first_corner(view, hand):
    view.tool_state.set_tool("polygon")
    square = [(20, 20), (60, 20), (60, 50), (20, 50)]
    expected = np.zeros((90, 120), np.bool_)
    expected[20:50, 20:60] = True
    ways = {
        "double": lambda: hand.double_click(*square[-1]),
        "enter": lambda: (hand.click(*square[-1]), hand.key(Qt.Key.Key_Return)),
        "finish": lambda: (hand.click(*square[-1]), view.finish_tool()),
        "first": lambda: (hand.click(*square[-1]), hand.click(21, 21)),
    }
    for close in ways.values():
        for corner in square[:-1]:
            hand.click(*corner)
        hand.move(30, 40)
        assert (classes(view) == UNLABELLED).all()
        close()
        assert np.array_equal(classes(view) == 1, expected)
        view.document.undo()
        assert not view.document.history.can_undo
        assert not view.cancel_tool()


def test_backspace_takes_back_a_corner_and_escape_all(view, hand):
    view.tool_state.set_tool("polygon")
    for corner in [(20, 20), (60, 20), (100, 80), (60, 50)]:
        hand.click(*corner)
    hand.key(Qt.Key.Key_Backspace)
    hand.key(Qt.Key.Key_Backspace)
    hints = []
    view.hint_changed.connect(hints.append)
    hand.key(Qt.Key.Key_Return)
    assert "three" in hints[-1]
    assert (classes(view) == UNLABELLED).all()
    hand.click(60, 50)
    hand.key(Qt.Key.Key_Return)
    assert (classes(view)[25:40, 50:59] == 1).all()
    assert (classes(view)[60:, :] == UNLABELLED).all()
    for corner in [(70, 20), (110, 20), (110, 80)]:
        hand.click(*corner)
    hand.key(Qt.Key.Key_Escape)
    hand.key(Qt.Key.Key_Return)
    assert (classes(view)[:, 70:] == UNLABELLED).all()


def test_middle_button_and_space_pan_without_painting(view, hand):
    view.set_zoom(8.0)
    for button in (MIDDLE, LEFT):
        if button == LEFT:
            hand.key_down(Qt.Key.Key_Space, repeats=2)
        start = view.viewport
        hand.press(60, 45, button)
        at = view.event_position(60, 45) + QPointF(17, -9)
        QApplication.sendEvent(view, QMouseEvent(QEvent.Type.MouseMove, at, view.mapToGlobal(at), NONE, button, PLAIN))
        assert (view.viewport.offset_x, view.viewport.offset_y) == (start.offset_x + 17, start.offset_y - 9)
        hand.release(60, 45)
        assert not view.is_panning
    hand.key_up(Qt.Key.Key_Space)
    assert (classes(view) == UNLABELLED).all()
    hand.click(60, 45)
    assert (classes(view) == 1).any()


def test_the_overlay_is_hidden_as_long_as_v_is_held(view, hand):
    state = view.tool_state
    hand.key_down(Qt.Key.Key_V, repeats=3)
    assert not state.overlay_visible
    hand.key_up(Qt.Key.Key_V)
    assert state.overlay_visible
    state.set_overlay_visible(False)
    hand.key(Qt.Key.Key_V)
    assert not state.overlay_visible
    state.set_overlay_visible(True)
    view.activateWindow()
    view.setFocus()
    hand.key_down(Qt.Key.Key_V)
    view.clearFocus()
    assert state.overlay_visible


def test_keys_of_the_canvas_win_over_the_window_only_while_they_are_wanted(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    view = CanvasView(ToolState())
    other = QLineEdit()
    body = QWidget()
    layout = QVBoxLayout(body)
    layout.addWidget(view)
    layout.addWidget(other)
    window.setCentralWidget(body)
    action = QAction(window)
    action.setShortcut(QKeySequence(Qt.Key.Key_Return))
    window.addAction(action)
    triggered = []
    action.triggered.connect(lambda: triggered.append(1))
    view.tool_state.set_class_id(0)
    view.tool_state.set_tool("polygon")
    window.resize(400, 400)
    window.show()
    window.activateWindow()
    view.set_document(make_document())
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    hand = Hand(view)
    for corner in [(20, 20), (60, 20), (60, 50)]:
        hand.click(*corner)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert (classes(view) == 0).any()
    assert not triggered
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert triggered


def test_the_pixel_under_the_pointer_is_reported_once(view, hand):
    seen = []
    view.cursor_moved.connect(lambda x, y: seen.append((x, y)))
    hand.move(10.2, 20.2)
    hand.move(10.7, 20.7)
    hand.move(11.2, 20.7)
    hand.move(-5, 20)
    hand.move(-6, 20)
    hand.move(119.5, 89.5)
    QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))
    assert seen == [(10, 20), (11, 20), (None, None), (119, 89), (None, None)]


def test_the_pixel_under_the_resting_pointer_is_reported_again_when_it_changes(qtbot, view, hand):
    seen = []
    hand.stroke((30, 20), (34, 20))
    view.cursor_moved.connect(lambda x, y: seen.append((x, y, view.document.pixel(x, y).class_id)))
    view.document.undo()
    view.document.redo()
    view.document.undo()
    qtbot.waitUntil(lambda: len(seen) == 1)
    view.document.fill_unlabelled(0)
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert seen == [(34, 20, UNLABELLED), (34, 20, 0)]
    view.document.region_changed.emit(Rect(35, 0, 5, 90))
    view.document.region_changed.emit(Rect(0, 21, 120, 5))
    qtbot.wait(100)
    assert len(seen) == 2


def test_after_a_zoom_the_pointer_means_the_point_that_lies_under_it_now(view, hand):
    seen = []
    hand.move(30.5, 20.5)
    at = view.image_to_widget(30.5, 20.5)
    view.cursor_moved.connect(lambda x, y: seen.append((x, y)))
    view.set_zoom(8.0)
    x, y = view.widget_to_image(at)
    assert seen == [(int(x), int(y))]
    view.tool_state.set_tool("polygon")
    hand.click(x, y)
    hand.key(Qt.Key.Key_Escape)
    assert (classes(view) == UNLABELLED).all()


def test_the_brush_circle_is_seen_on_black_and_on_white_and_goes_with_the_pointer(view, hand):
    view.tool_state.set_diameter(40)
    view.tool_state.set_opacity(0.0)
    shades = {}
    for value in (0, 255):
        document = make_document()
        document.image[:] = value
        view.set_document(document)
        view.set_zoom(2.0)
        hand.move(60.25, 45.25)
        grabbed = view.grab().toImage()
        at = view.image_to_widget(60.25 + 20, 45.25)
        shades[value] = [grabbed.pixelColor(int(at.x()) + d, int(at.y())).lightness() for d in range(-4, 5)]
        hand.move(20.25, 45.25)
        clean = view.grab().toImage()
        assert all(clean.pixelColor(int(at.x()) + d, int(at.y())).lightness() == value for d in range(-4, 5))
    assert max(shades[0]) > 160
    assert min(shades[255]) < 190


def test_another_tool_shows_its_cursor_without_a_movement(view, hand):
    view.tool_state.set_diameter(40)
    hand.move(60.5, 45.5)
    brush = view.grab().toImage()
    view.tool_state.set_tool("polygon")
    assert view.grab().toImage() != brush
    assert view.cursor().shape() == Qt.CursorShape.CrossCursor
    view.tool_state.set_tool("eraser")
    assert view.grab().toImage() == brush
    assert view.cursor().shape() == Qt.CursorShape.BlankCursor


def test_the_hint_tells_what_the_tool_can_do(view):
    hints = []
    view.hint_changed.connect(hints.append)
    view.tool_state.set_tool("polygon")
    view.tool_state.set_tool("eraser")
    view.set_document(None)
    assert "polygon" in hints[0]
    assert "erase" in hints[1]
    assert hints[-1] == ""


def test_a_canvas_without_a_document_ignores_everything(view, hand):
    view.set_document(None)
    hand.stroke((10, 10), (50, 50))
    hand.key(Qt.Key.Key_Escape)
    hand.key(Qt.Key.Key_V)
    view.finish_tool()
    view.zoom_in()
    view.fit()
    assert view.tool_state.overlay_visible
