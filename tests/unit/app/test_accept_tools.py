"""Accept brush, accept region, pick class; locked classes on the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from pspnet_core.classes import ClassSet
from pspnet_core.types import UNLABELLED, Prediction, Provenance, Rect
from pspnet_studio.canvas.tools import accept_region
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.hand import LEFT, RIGHT, Hand, ScaledView, make_document

W, H = 120, 90
UNTOUCHED, ACCEPTED, PAINTED, ERASED = (
    Provenance.UNTOUCHED,
    Provenance.ACCEPTED,
    Provenance.PAINTED,
    Provenance.ERASED,
)


def predicted_document(seed=0):
    """Four blocks of classes 0 to 2 by the prediction; some pixels are the person's own."""
    document = make_document(W, H)
    class_map = np.zeros((H, W), np.uint8)
    class_map[:, 60:] = 1
    class_map[45:, :60] = 2
    if seed:
        class_map = np.kron(np.random.default_rng(seed).integers(0, 3, (9, 12)), np.ones((10, 10))).astype(np.uint8)
    document.set_prediction(Prediction(class_map, np.full((H, W), 200, np.uint8)), 7)
    document.begin_edit("brush")
    document.paint(Rect(25, 0, 5, 40), np.ones((40, 5), np.bool_), 1)
    document.paint(Rect(0, 20, 60, 3), np.ones((3, 60), np.bool_), UNLABELLED)
    document.commit_edit()
    return document


@pytest.fixture
def view(qtbot):
    view = ScaledView(ToolState())
    qtbot.addWidget(view)
    view.resize(360, 270)
    view.set_classes(ClassSet().add("road").add("roof").add("tree"))
    view.tool_state.set_class_id(1)
    view.tool_state.set_diameter(9)
    view.show()
    view.set_document(predicted_document())
    view.set_zoom(2.0)
    return view


def test_the_pointer_moves_over_a_prediction_that_was_renewed(view, hand):
    """Predictions are compared by identity: two of the same size are no reason to compare arrays."""
    view.tool_state.set_tool("accept_region")
    hand.move(10, 10)
    lit = view._tool._lit
    assert lit
    document = view.document
    renewed = Prediction(document.prediction.class_map.copy(), document.prediction.confidence.copy())
    assert renewed != document.prediction
    document.set_prediction(renewed, 8)
    hand.move(11, 10)
    assert view._tool._lit
    assert view._tool._lit is not lit


@pytest.fixture
def hand(view):
    return Hand(view)


def planes(view):
    return view.document.class_plane.to_array(), view.document.provenance_plane.to_array()


def hints_of(view):
    hints = []
    view.hint_changed.connect(hints.append)
    return hints


# --- accept brush


def test_the_accept_brush_takes_over_the_prediction_but_not_over_own_pixels(view, hand):
    classes, provenance = planes(view)
    view.tool_state.set_tool("accept_brush")
    hand.stroke((10.5, 21.5), (80.5, 21.5))
    now_classes, now_provenance = planes(view)
    stroke = np.zeros((H, W), np.bool_)
    stroke[18:25, 10:80] = True
    taken = stroke & (provenance == UNTOUCHED)
    assert np.array_equal(now_classes[taken], view.document.prediction.class_map[taken])
    assert (now_provenance[taken] == ACCEPTED).all()
    own = provenance != UNTOUCHED
    assert np.array_equal(now_classes[own], classes[own])
    assert np.array_equal(now_provenance[own], provenance[own])
    assert view.document.history.can_undo
    view.document.undo()
    assert all(np.array_equal(a, b) for a, b in zip(planes(view), (classes, provenance), strict=True))


def test_its_step_knows_the_version_that_was_shown(view, hand):
    view.tool_state.set_tool("accept_brush")
    hand.stroke((10.5, 60.5), (40.5, 60.5))
    patch = view.document.history.undo()
    assert (patch.version, patch.label) == (7, "accept")


def test_the_right_button_gives_accepted_pixels_back_and_only_those(view, hand):
    view.tool_state.set_tool("accept_brush")
    before = planes(view)
    hand.stroke((10.5, 21.5), (80.5, 21.5))
    hand.stroke((5.5, 21.5), (100.5, 21.5), button=RIGHT)
    assert all(np.array_equal(a, b) for a, b in zip(planes(view), before, strict=True))
    shown, is_predicted = view.document.displayed(Rect(50, 24, 1, 1))
    assert (int(shown[0, 0]), bool(is_predicted[0, 0])) == (0, True), "the prediction is seen again"


def test_a_newer_prediction_replaces_what_was_accepted(view, hand):
    view.tool_state.set_tool("accept_brush")
    hand.click(80.5, 60.5)
    newer = np.full((H, W), 2, np.uint8)
    view.document.set_prediction(Prediction(newer, newer), 8)
    hand.click(80.5, 60.5)
    assert planes(view)[0][60, 80] == 2
    assert view.document.history.undo().version == 8


def test_without_a_prediction_the_accept_tools_say_so(view, hand):
    view.document.set_prediction(None)
    hints = hints_of(view)
    for tool in ("accept_brush", "accept_region"):
        view.tool_state.set_tool(tool)
        hints.clear()
        hand.click(90.5, 60.5)
        assert "no prediction" in hints[-1]
    assert not view.document.is_editing
    assert view.document.history.can_undo  # of the fixture
    assert view.document.revision == 1


def test_the_accept_brush_has_its_own_shape_and_the_common_size(view, hand):
    view.tool_state.set_tool("accept_brush")
    view.tool_state.set_option("accept_brush", "shape", "square")
    hand.click(90.5, 60.5)
    assert np.count_nonzero(planes(view)[1] == ACCEPTED) == 81


# --- accept region


def test_a_click_accepts_the_region_up_to_what_is_ones_own(view, hand):
    _, provenance = planes(view)
    view.tool_state.set_tool("accept_region")
    hand.click(10.5, 10.5)
    region = np.zeros((H, W), np.bool_)
    region[:20, :25] = True  # bounded by the painted strip and by the erased one
    classes, now = planes(view)
    assert np.array_equal(now == ACCEPTED, region)
    assert (classes[region] == 0).all()
    hand.click(90.5, 60.5)
    assert (planes(view)[1][:, 60:] == ACCEPTED).all()
    hand.click(90.5, 60.5, RIGHT)
    assert np.array_equal(planes(view)[1] == ACCEPTED, region)
    hand.click(10.5, 10.5, RIGHT)
    assert np.array_equal(planes(view)[1], provenance)


def test_a_click_in_vain_tells_why(view, hand, monkeypatch):
    view.tool_state.set_tool("accept_region")
    hints = hints_of(view)
    steps = view.document.revision
    hand.click(27.5, 10.5)
    assert "your own" in hints[-1]
    hand.click(90.5, 60.5, RIGHT)
    assert "nothing accepted" in hints[-1]
    hand.click(-10, -10)
    assert view.document.revision == steps
    hand.click(90.5, 60.5)
    hand.click(90.5, 60.5)
    assert "already" in hints[-1]
    monkeypatch.setattr(accept_region, "MAX_PIXELS", 100)
    hand.click(10.5, 60.5)
    assert "too many" in hints[-1]
    assert not view.document.is_editing


def test_the_region_under_the_pointer_lights_up(view, hand):
    view.tool_state.set_tool("accept_region")
    hand.move(90.5, 60.5)
    lit = view.grab().toImage()
    hand.move(100.5, 70.5)
    assert view.grab().toImage() == lit, "the same region"
    hand.move(10.5, 10.5)
    assert view.grab().toImage() != lit


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 1000),
    st.lists(
        st.tuples(
            st.sampled_from(["accept_brush", "accept_region"]),
            st.floats(-5, 125),
            st.floats(-5, 95),
            st.sampled_from([LEFT, RIGHT]),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_accepting_never_changes_ones_own_pixels_and_undoes_exactly(view, hand, seed, actions):
    view.set_document(predicted_document(seed))
    states, reported = [planes(view)], []
    view.document.region_changed.connect(reported.append)
    for tool, x, y, button in actions:
        view.tool_state.set_tool(tool)
        reported.clear()
        steps = view.document.revision
        hand.stroke((x, y), (x + 17, y - 4), button=button)
        touched = np.zeros((H, W), np.bool_)
        for rect in reported:
            touched[rect.slices] = True
        now, before = planes(view), states[-1]
        assert all(np.array_equal(a[~touched], b[~touched]) for a, b in zip(now, before, strict=True))
        if view.document.revision > steps:
            states.append(now)
    own = states[0][1] >= PAINTED
    for classes, provenance in states:
        assert np.array_equal(classes[own], states[0][0][own])
        assert np.array_equal(provenance[own], states[0][1][own])
        taken = provenance == ACCEPTED
        assert np.array_equal(classes[taken], view.document.prediction.class_map[taken])
        assert (classes[provenance == UNTOUCHED] == UNLABELLED).all()
    for expected in reversed(states[:-1]):
        view.document.undo()
        assert all(np.array_equal(a, b) for a, b in zip(planes(view), expected, strict=True))


# --- pick class


def test_a_click_picks_what_is_shown_and_goes_on_with_the_tool_of_before(view, hand):
    state = view.tool_state
    state.set_tool("eraser")
    state.set_tool("pick")
    hand.click(10.5, 60.5)  # by the prediction
    assert (state.class_id, state.tool) == (2, "eraser")
    state.set_option("pick", "returns", False)
    state.set_tool("pick")
    hand.click(27.5, 10.5)  # painted
    assert (state.class_id, state.tool) == (1, "pick")
    hints = hints_of(view)
    hand.click(10.5, 21.5)  # erased
    assert "no class" in hints[-1]
    hand.click(-10.5, 21.5)
    hand.click(100.5, 21.5, RIGHT)
    assert (state.class_id, state.tool) == (1, "pick")
    assert view.document.revision == 1


def test_picking_works_while_the_current_class_is_hidden(view, hand):
    view.set_classes(ClassSet().add("road").add("roof").add("tree").change(1, visible=False))
    view.tool_state.set_tool("pick")
    hand.click(10.5, 60.5)
    assert view.tool_state.class_id == 2


# --- locked classes


def test_locked_pixels_stay_and_the_reason_is_told_once_a_stroke(view, hand):
    view.tool_state.set_locked({1})
    view.tool_state.set_class_id(2)
    before = planes(view)
    hints = hints_of(view)
    hand.stroke((15.5, 10.5), (27.5, 10.5), (40.5, 10.5), (27.5, 12.5))
    assert len([hint for hint in hints if "“roof” is locked" in hint]) == 1
    strip = np.s_[:40, 25:30]
    assert all(np.array_equal(a[strip], b[strip]) for a, b in zip(planes(view), before, strict=True))
    assert (planes(view)[0][10, 20], planes(view)[0][10, 35]) == (2, 2)
    hand.stroke((27.5, 30.5), (27.5, 31.5), button=RIGHT)
    assert len([hint for hint in hints if "“roof” is locked" in hint]) == 2
    assert np.array_equal(planes(view)[0][strip], before[0][strip])


def test_painting_with_a_locked_class_over_itself_is_no_reason_to_complain(view, hand):
    view.tool_state.set_locked({1})
    hints = hints_of(view)
    hand.stroke((20.5, 10.5), (40.5, 10.5), (20.5, 12.5))
    assert not any("locked" in hint for hint in hints)
    assert planes(view)[0][10, 35] == 1


@pytest.mark.parametrize("tool", ["brush", "eraser", "rectangle", "fill"])
def test_when_only_unlabelled_pixels_are_painted_it_is_told_if_that_is_why_nothing_happens(view, hand, tool):
    view.tool_state.set_class_id(0)
    view.tool_state.set_diameter(1)
    view.tool_state.set_only_unlabelled(True)
    view.tool_state.set_tool(tool)
    hints = hints_of(view)
    steps = view.document.revision
    hand.stroke((26.5, 5.5), (28.5, 9.5))
    assert view.document.revision == steps
    assert "press U" in hints[-1]
    if tool == "brush":
        hints.clear()
        hand.stroke((26.5, 5.5), (40.5, 9.5))
        assert planes(view)[0][9, 40] == 0
        assert planes(view)[0][5, 26] == 1
        assert not any("press U" in hint for hint in hints)


def test_taking_over_the_whole_prediction_respects_locks(view, hand):
    document = view.document
    assert document.accept_prediction()
    newer = np.full((H, W), 2, np.uint8)
    document.set_prediction(Prediction(newer, newer), 8)
    view.tool_state.set_locked({1})
    before = planes(view)
    assert document.accept_prediction()
    locked = before[0] == 1
    assert np.array_equal(planes(view)[0][locked], before[0][locked])
    assert (planes(view)[0][(before[1] == ACCEPTED) & ~locked] == 2).all()
    document.undo()
    assert all(np.array_equal(a, b) for a, b in zip(planes(view), before, strict=True))
    view.tool_state.set_tool("accept_brush")
    hand.stroke((70.5, 60.5), (100.5, 60.5))
    hand.stroke((70.5, 60.5), (100.5, 60.5), button=RIGHT)
    assert all(np.array_equal(a, b) for a, b in zip(planes(view), before, strict=True))


def test_filling_what_is_unlabelled_changes_no_locked_pixel(view):
    view.tool_state.set_locked({1})
    before = planes(view)
    assert view.document.fill_unlabelled(0)
    strip = before[0] == 1
    assert np.array_equal(planes(view)[0][strip], before[0][strip])
    assert (planes(view)[0] != UNLABELLED).all()


def test_escape_takes_an_accepting_stroke_back(view, hand):
    before = planes(view)
    view.tool_state.set_tool("accept_brush")
    hand.press(70.5, 60.5)
    hand.move(100.5, 60.5)
    hand.key(Qt.Key.Key_Escape)
    hand.release(100.5, 60.5)
    assert all(np.array_equal(a, b) for a, b in zip(planes(view), before, strict=True))
    assert ERASED in before[1]
