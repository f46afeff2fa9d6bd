"""Rectangle, ellipse, lasso, polygon and fill with mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.shapes import ellipse, lasso, rectangle
from pspnet_core.imaging.strokes import polygon_mask
from pspnet_core.types import UNLABELLED, Provenance, Rect
from pspnet_studio.canvas.tools import fill as fill_module
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.hand import LEFT, RIGHT, SHIFT, Hand, ScaledView, make_document

SHAPE = (90, 120)


@pytest.fixture
def view(qtbot):
    view = ScaledView(ToolState())
    qtbot.addWidget(view)
    view.resize(360, 270)
    view.set_classes(ClassSet().add("a").add("b").add("c"))
    view.tool_state.set_class_id(1)
    view.show()
    view.set_document(make_document(SHAPE[1], SHAPE[0]))
    view.set_zoom(2.0)
    return view


@pytest.fixture
def hand(view):
    return Hand(view)


def classes(view):
    return view.document.class_plane.to_array()


def planes(view):
    return classes(view), view.document.provenance_plane.to_array()


def pasted(area, shape=SHAPE):
    out = np.zeros(shape, np.bool_)
    out[area[0].slices] = area[1]
    return out


def hints_of(view):
    hints = []
    view.hint_changed.connect(hints.append)
    return hints


# --- every tool


def draw(view, hand, tool, points, button=LEFT):
    view.tool_state.set_tool(tool)
    if tool == "polygon":
        view.set_zoom(2.0)
        for point in points:
            hand.click(*point, button=button)
        hand.key(Qt.Key.Key_Return)
        hand.key(Qt.Key.Key_Escape)
    elif tool == "fill":
        hand.click(*points[0], button=button)
    else:
        hand.stroke(*points, button=button)


TOOLS = ("brush", "eraser", "polygon", "lasso", "rectangle", "ellipse", "fill")
points = st.lists(
    st.tuples(st.floats(-20, 140, allow_nan=False), st.floats(-20, 110, allow_nan=False)), min_size=2, max_size=7
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TOOLS), points, st.sampled_from([LEFT, RIGHT]), st.booleans())
def test_undo_and_redo_are_exact_and_nothing_changes_outside_the_reported_rectangles(
    view, hand, tool, points, button, has_lock
):
    rng = np.random.default_rng(len(points))
    document = make_document(SHAPE[1], SHAPE[0])
    document.begin_edit("brush")
    blobs = np.kron(rng.integers(0, 2, (9, 12)), np.ones((10, 10))).astype(np.uint8)
    document.write(document.rect, blobs > 0, blobs + 1, Provenance.IMPORTED)
    document.commit_edit()
    view.set_document(document)
    view.tool_state.set_locked({2} if has_lock else ())
    before = planes(view)
    reported = []
    document.region_changed.connect(reported.append)
    num_done = document.history.num_done
    draw(view, hand, tool, points, button)
    assert not document.is_editing
    after = planes(view)
    # More than one where a click on the first corner ends a polygon, and another follows.
    num_steps = document.history.num_done - num_done
    touched = np.zeros(SHAPE, np.bool_)
    for rect in reported:
        touched[rect.slices] = True
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old[~touched], new[~touched])
        if has_lock:
            assert np.array_equal(old[before[0] == 2], new[before[0] == 2])
    has_changed = any(not np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    assert has_changed or num_steps == 0 or tool == "polygon"
    for _ in range(num_steps):
        document.undo()
    assert all(np.array_equal(a, b) for a, b in zip(before, planes(view), strict=True))
    for _ in range(num_steps):
        document.redo()
    assert all(np.array_equal(a, b) for a, b in zip(after, planes(view), strict=True))


@pytest.mark.parametrize("tool", ["lasso", "rectangle", "ellipse", "polygon", "fill"])
def test_without_a_class_it_says_so_but_the_right_button_erases(view, hand, tool):
    draw(view, hand, "rectangle", [(10.5, 10.5), (80.5, 60.5)])
    view.tool_state.set_class_id(None)
    hints = hints_of(view)
    corners = [(20.5, 20.5), (60.5, 20.5), (60.5, 50.5), (20.5, 50.5)]
    before = classes(view)
    draw(view, hand, tool, corners)
    assert np.array_equal(classes(view), before)
    assert any("class" in hint for hint in hints)
    draw(view, hand, tool, corners[::2] if tool in ("rectangle", "ellipse") else corners, RIGHT)
    assert (classes(view)[before == 1] == UNLABELLED).any()
    assert (view.document.provenance_plane.to_array()[30, 40]) == Provenance.ERASED


@pytest.mark.parametrize("tool", ["lasso", "rectangle", "ellipse"])
def test_nothing_is_painted_before_the_button_goes_up_and_escape_aborts(view, hand, tool):
    view.tool_state.set_tool(tool)
    hand.press(20.5, 20.5)
    clean = view.grab().toImage()
    for at in [(60.5, 20.5), (60.5, 60.5)]:
        hand.move(*at)
    assert view.grab().toImage() != clean, "there is an outline"
    assert (classes(view) == UNLABELLED).all()
    assert not view.document.is_editing
    hand.key(Qt.Key.Key_Escape)
    assert view.grab().toImage() == clean
    hand.release(60.5, 60.5)
    assert (classes(view) == UNLABELLED).all()
    assert not view.cancel_tool()


@pytest.mark.parametrize("tool", ["lasso", "rectangle", "ellipse"])
@pytest.mark.parametrize("event", ["hide", "switch", "tool", "end_stroke"])
def test_a_drag_that_is_interrupted_is_kept(view, hand, tool, event):
    document = view.document
    view.tool_state.set_tool(tool)
    hand.press(20.5, 20.5)
    for at in [(60.5, 20.5), (60.5, 60.5)]:
        hand.move(*at)
    {
        "hide": view.hide,
        "switch": lambda: view.set_document(make_document()),
        "tool": lambda: view.tool_state.set_tool("brush"),
        "end_stroke": view.end_stroke,
    }[event]()
    assert document.history.can_undo
    before = document.class_plane.to_array()
    assert (before == 1).any()
    hand.move(100, 80)
    hand.release(100, 80)
    assert np.array_equal(document.class_plane.to_array(), before)


# --- rectangle and ellipse


def test_a_rectangle_goes_from_pixel_to_pixel_in_any_direction(view, hand):
    for start, end in [((20.9, 30.1), (59.2, 49.8)), ((59.2, 49.8), (20.9, 30.1)), ((59.2, 30.1), (20.9, 49.8))]:
        draw(view, hand, "rectangle", [start, end])
        assert np.array_equal(classes(view) == 1, pasted(rectangle((20, 30), (60, 50), SHAPE)))
        view.document.undo()
    draw(view, hand, "rectangle", [(-30.5, 70.5), (30.5, 200.5)])
    assert np.array_equal(classes(view) == 1, pasted(rectangle((0, 70), (31, 90), SHAPE)))


def test_an_ellipse_touches_the_sides_of_its_box(view, hand):
    draw(view, hand, "ellipse", [(20.9, 30.1), (59.2, 49.8)])
    assert np.array_equal(classes(view) == 1, pasted(ellipse((20, 30), (60, 50), SHAPE)))


@pytest.mark.parametrize("tool", ["rectangle", "ellipse"])
def test_shift_makes_both_sides_equal_whatever_the_part_of_a_pixel(view, hand, tool):
    view.tool_state.set_tool(tool)
    hand.press(20.9, 30.1)
    hand.move(40.2, 35.9, SHIFT)
    hand.release(40.2, 35.9, SHIFT)
    rows, columns = np.nonzero(classes(view) == 1)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (20, 40, 30, 50)
    view.document.undo()
    hand.press(60.5, 60.5)
    hand.move(50.5, 57.5)
    hand.key_down(Qt.Key.Key_Shift)  # the pointer rests
    hints = hints_of(view)
    hand.release(50.5, 57.5, SHIFT)
    rows, columns = np.nonzero(classes(view) == 1)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (50, 60, 50, 60)
    assert "11 × 11" not in hints[-1], "the size is told while it is dragged"


def test_shift_is_heard_while_the_pointer_rests(view, hand):
    view.tool_state.set_tool("rectangle")
    hints = hints_of(view)
    hand.press(20.5, 20.5)
    hand.move(40.5, 30.5)
    assert "21 × 11" in hints[-1]
    hand.key_down(Qt.Key.Key_Shift)
    assert "21 × 21" in hints[-1]
    hand.key_up(Qt.Key.Key_Shift)
    assert "21 × 11" in hints[-1]
    hand.key(Qt.Key.Key_Escape)


def test_a_click_is_no_rectangle_but_at_high_zoom_one_pixel_is(view, hand):
    hints = hints_of(view)
    draw(view, hand, "rectangle", [(20.5, 20.5), (21.2, 20.5)])
    assert (classes(view) == UNLABELLED).all()
    assert "Drag" in hints[-1]
    view.set_zoom(32.0)
    area = view.visible_rect()
    x, y = area.x + 3, area.y + 3
    hand.stroke((x + 0.2, y + 0.2), (x + 0.8, y + 0.8))
    assert list(zip(*np.nonzero(classes(view) == 1), strict=True)) == [(y, x)]


# --- lasso


def test_a_lasso_fills_what_it_goes_around_also_twice(view, hand):
    path = [(20, 20), (80, 20), (80, 60), (20, 60), (20, 10), (60, 10), (60, 40)]
    draw(view, hand, "lasso", path)
    assert np.array_equal(classes(view) == 1, pasted(lasso(path, SHAPE)))
    assert classes(view)[30, 40] == 1
    view.document.undo()
    assert not view.document.history.can_undo


def test_a_lasso_follows_the_edges_of_the_image_when_it_shall(view, hand):
    document = make_document(SHAPE[1], SHAPE[0])
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    disc = np.hypot(columns - 60, rows - 45) < 25
    document.image[disc] = (200, 180, 90)
    view.set_document(document)
    view.set_zoom(2.0)
    angles = np.linspace(0, 2 * np.pi, 60)
    wobble = 25 + 3 * np.sin(7 * angles)
    path = [(60 + r * np.cos(a), 45 + r * np.sin(a)) for r, a in zip(wobble, angles, strict=True)]
    shares = {}
    for snap in (False, True):
        view.tool_state.set_option("lasso", "snap", snap)
        draw(view, hand, "lasso", path)
        painted = classes(view) == 1
        shares[snap] = (painted & disc).sum() / (painted | disc).sum()
        document.undo()
    assert shares[False] < 0.93
    assert shares[True] > 0.97


# --- polygon


SQUARE = [(20, 20), (60, 20), (60, 50), (20, 50)]


def outline(view, hand, corners=SQUARE, button=LEFT):
    view.tool_state.set_tool("polygon")
    for corner in corners:
        hand.click(*corner, button=button)


def filled(view, hand):
    hand.key(Qt.Key.Key_Return)
    return classes(view) == 1


def test_corners_are_dragged_before_it_is_closed(view, hand):
    outline(view, hand)
    hand.stroke((61, 51), (70, 60), (80, 70))
    hand.stroke((20, 20), (12, 12), (10, 10))  # the first one, too: a drag does not close
    assert (classes(view) == UNLABELLED).all()
    expected = polygon_mask([(10, 10), (60, 20), (80, 70), (20, 50)], SHAPE)
    assert np.array_equal(filled(view, hand), pasted(expected))


def test_dragging_an_edge_inserts_a_corner_and_a_click_on_it_adds_one_at_the_end(view, hand):
    outline(view, hand)
    hand.stroke((40, 20.5), (41, 10), (40, 5))
    expected = polygon_mask([(20, 20), (40, 5), *SQUARE[1:]], SHAPE)
    assert np.array_equal(filled(view, hand), pasted(expected))
    view.document.undo()
    # A hole is joined to the outline by going the same way twice.
    frame = [(20, 20), (80, 20), (80, 80), (20, 80), (20, 20), (40, 40), (60, 40), (60, 60), (40, 60), (40, 40)]
    outline(view, hand, [(20.5, 21), *frame[1:4], (20.5, 50), (40, 50), (60, 50), (60, 60), (40, 60), (40, 50)])
    hand.click(20.5, 50)
    assert (classes(view) == UNLABELLED).all(), "a click on an edge does not close it"
    hand.key(Qt.Key.Key_Return)
    assert classes(view)[55, 50] == UNLABELLED
    assert classes(view)[45, 50] == 1


def test_escape_takes_back_a_drag_and_then_all(view, hand):
    outline(view, hand)
    hand.press(60, 50)
    hand.move(100, 80)
    hand.key(Qt.Key.Key_Escape)
    hand.release(100, 80)
    assert view.finish_tool()
    assert np.array_equal(classes(view) == 1, pasted(polygon_mask(SQUARE, SHAPE)))
    outline(view, hand)
    assert view.cancel_tool()
    assert not view.cancel_tool()


def test_backspace_removes_the_corner_under_the_pointer_or_the_last(view, hand):
    outline(view, hand, [*SQUARE, (10, 35)])
    hand.move(60, 20)
    hand.key(Qt.Key.Key_Backspace)
    hand.move(100, 80)
    hand.key(Qt.Key.Key_Backspace)
    expected = polygon_mask([(20, 20), (60, 50), (20, 50)], SHAPE)
    assert np.array_equal(filled(view, hand), pasted(expected))


def test_a_polygon_begun_with_the_right_button_erases(view, hand):
    draw(view, hand, "rectangle", [(5.5, 5.5), (100.5, 80.5)])
    outline(view, hand, button=RIGHT)
    hand.click(90, 70)  # the other button adds nothing
    hand.key(Qt.Key.Key_Return)
    erased = pasted(polygon_mask(SQUARE, SHAPE))
    assert (classes(view)[erased] == UNLABELLED).all()
    assert (view.document.provenance_plane.to_array()[erased] == Provenance.ERASED).all()
    outline(view, hand)
    hand.key(Qt.Key.Key_Return)
    assert (classes(view)[erased] == 1).all(), "the next one paints again"


def test_a_corner_that_is_dragged_shows_where_it_goes(view, hand):
    outline(view, hand)
    hand.press(60, 50)
    before = view.grab().toImage()
    hand.move(100, 80)
    assert view.grab().toImage() != before
    document = view.document
    view.tool_state.set_tool("brush")
    assert not document.is_editing
    view.tool_state.set_tool("polygon")
    assert not view.cancel_tool(), "another tool drops it"


def test_corners_find_the_edges_of_the_image_when_they_shall(view, hand):
    document = make_document(SHAPE[1], SHAPE[0])
    document.image[:, 60:] = 220
    view.set_document(document)
    view.set_zoom(2.0)
    view.tool_state.set_option("polygon", "snap", True)
    outline(view, hand, [(57.8, 20), (110, 20), (110, 70), (62.3, 70)])
    hand.stroke((110, 20), (100, 30), (61.5, 40))
    hand.key(Qt.Key.Key_Escape)
    outline(view, hand, [(57.8, 20), (110, 20), (110, 70), (62.3, 70)])
    assert np.array_equal(filled(view, hand), pasted(rectangle((60, 20), (110, 70), SHAPE)))


# --- fill


def test_a_click_fills_the_connected_region_and_a_thin_diagonal_line_holds(view, hand):
    view.tool_state.set_diameter(1)
    view.tool_state.set_tool("brush")
    hand.stroke((0.5, 0.5), (89.5, 89.5))
    view.tool_state.set_class_id(2)
    draw(view, hand, "fill", [(100.5, 5.5)])
    rows, columns = np.indices(SHAPE)
    expected = np.where(columns == rows, 1, np.where(columns > rows, 2, UNLABELLED))
    assert np.array_equal(classes(view), expected)
    hand.click(50.5, 50.5, RIGHT)  # a pixel of the line: diagonal neighbours are not connected
    assert classes(view)[50, 50] == UNLABELLED
    assert np.count_nonzero(classes(view) == 1) == 89


def test_fill_leaves_other_regions_of_the_class_alone_and_tells_when_there_is_nothing_to_do(view, hand):
    for x in (10.5, 60.5):
        draw(view, hand, "rectangle", [(x, 10.5), (x + 20, 40.5)])
    view.tool_state.set_class_id(2)
    draw(view, hand, "fill", [(15.5, 15.5)])
    assert (classes(view)[20, 15], classes(view)[20, 65]) == (2, 1)
    hints = hints_of(view)
    num_steps = view.document.revision
    hand.click(15.5, 15.5)
    assert "already" in hints[-1]
    hand.click(110.5, 80.5, RIGHT)
    assert "nothing to erase" in hints[-1]
    hand.click(-5, 10)
    assert view.document.revision == num_steps


def test_a_region_that_is_too_large_for_a_click_is_refused_with_words(view, hand, monkeypatch):
    monkeypatch.setattr(fill_module, "MAX_PIXELS", 1000)
    hints = hints_of(view)
    draw(view, hand, "fill", [(50.5, 50.5)])
    assert (classes(view) == UNLABELLED).all()
    assert "too many" in hints[-1]
    assert not view.document.is_editing


def test_fill_works_across_tiles_of_a_large_image_without_touching_the_rest(qtbot):
    view = ScaledView(ToolState())
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    view.tool_state.set_class_id(0)
    view.set_document(make_document(1400, 1100))
    view.fit()
    document = view.document
    document.begin_edit("brush")
    document.paint(Rect(500, 500, 300, 100), np.ones((100, 300), np.bool_), 3)
    document.commit_edit()
    view.tool_state.set_tool("fill")
    Hand(view).click(600.5, 550.5)
    expected = np.full((1100, 1400), UNLABELLED)
    expected[500:600, 500:800] = 0
    assert np.array_equal(document.class_plane.to_array(), expected)
    view.tool_state.set_tool("rectangle")
    Hand(view).stroke((20.5, 30.5), (1300.5, 1080.5))
    found = document.class_plane.to_array() == 0
    rows, columns = np.nonzero(found)
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1) > 1_200_000
