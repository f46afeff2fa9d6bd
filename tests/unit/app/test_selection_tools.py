"""Magic wand, superpixels, scissors, GrabCut and threshold: what is selected, how it is applied, and what stops it."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Provenance
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.hand import RIGHT, SHIFT, Hand, ScaledView

ALT = Qt.KeyboardModifier.AltModifier
PLAIN = Qt.KeyboardModifier.NoModifier
TOOLS = ("wand", "superpixels", "scissors", "grabcut", "threshold")
GROUND, THING = (70, 120, 60), (200, 60, 50)
FIRST, SECOND = np.s_[30:80, 40:100], np.s_[88:112, 8:32]


class Later:
    """Works when it is told to, as a busy lane would."""

    def __init__(self):
        self.waiting = []

    def __call__(self, function, on_done, on_error):
        work = _Waiting(function, on_done, on_error)
        self.waiting.append(work)
        return work

    def run(self):
        while self.waiting:
            work = self.waiting.pop(0)
            if work.is_cancelled:
                continue
            try:
                result = work.function()
            except PspnetError as error:
                work.on_error(error)
            else:
                work.on_done(result)


class _Waiting:
    def __init__(self, function, on_done, on_error):
        self.function, self.on_done, self.on_error = function, on_done, on_error
        self.is_cancelled = False

    def cancel(self):
        self.is_cancelled = True


def make_document():
    """Two red rectangles on green ground, with a little noise that no tool minds."""
    image = np.empty((120, 140, 3), np.uint8)
    image[:] = GROUND
    image[FIRST] = image[SECOND] = THING
    image += np.random.default_rng(0).integers(0, 4, image.shape).astype(np.uint8)
    return Document("a.png", image, PlaneStore(140, 120, UNLABELLED), PlaneStore(140, 120, 0))


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def view(qtbot, later):
    view = ScaledView(ToolState(), None, later)
    qtbot.addWidget(view)
    view.resize(420, 360)
    view.set_classes(ClassSet().add("a").add("b"))
    view.tool_state.set_class_id(1)
    view.tool_state.set_option("threshold", "channel", "red")
    view.show()
    view.set_document(make_document())
    view.set_zoom(2.0)
    return view


@pytest.fixture
def hand(view):
    return Hand(view)


@pytest.fixture
def hints(view):
    heard = []
    view.hint_changed.connect(heard.append)
    return heard


def classes(view):
    return view.document.class_plane.to_array()


def mask_of(*regions):
    out = np.zeros((120, 140), np.bool_)
    for region in regions:
        out[region] = True
    return out


def painted(view):
    return classes(view) == 1


def overlap(mask, other):
    """Intersection over union."""
    return (mask & other).sum() / max(1, (mask | other).sum())


def take(view, tool, **options):
    view.tool_state.set_tool(tool)
    for name, value in options.items():
        view.tool_state.set_option(tool, name, value)


def select_first(view, hand, later, tool, modifiers=PLAIN):
    """The first rectangle, with any tool."""
    if tool in ("grabcut", "threshold"):
        hand.press(32, 22, modifiers=modifiers)
        hand.move(70, 60, modifiers)
        hand.move(108, 87, modifiers)
        hand.release(108, 87, modifiers)
    elif tool == "superpixels":
        hand.move(45, 35)
        later.run()
        hand.press(42, 32, modifiers=modifiers)
        for y in range(32, 78, 5):
            hand.move(97, y, modifiers)
            hand.move(42, y, modifiers)
        hand.release(97, 77, modifiers)
    elif tool == "scissors":
        for x, y in ((40, 30), (100, 30), (100, 80), (40, 80)):
            hand.click(x, y, modifiers=modifiers)
            later.run()
        hand.key(Qt.Key.Key_Return)
    else:
        hand.click(60, 50, modifiers=modifiers)
    later.run()


# --- every tool


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_selected_waits_for_enter_and_is_one_step(view, hand, later, tool):
    take(view, tool)
    select_first(view, hand, later, tool, SHIFT)
    assert (classes(view) == UNLABELLED).all()
    hand.key(Qt.Key.Key_Return)
    assert overlap(painted(view), mask_of(FIRST)) > 0.9
    provenance = view.document.provenance_plane.to_array()
    assert np.array_equal(provenance == Provenance.PAINTED, painted(view))
    view.document.undo()
    assert (classes(view) == UNLABELLED).all()
    assert not view.document.history.can_undo
    assert not view.cancel_tool(), "nothing is left to abort"


@pytest.mark.parametrize("tool", TOOLS)
def test_escape_discards_and_switching_image_forgets(view, hand, later, tool):
    take(view, tool)
    select_first(view, hand, later, tool, SHIFT)
    hand.key(Qt.Key.Key_Escape)
    hand.key(Qt.Key.Key_Return)
    assert not view.document.history.can_undo
    select_first(view, hand, later, tool, SHIFT)
    view.set_document(make_document())
    assert not view.cancel_tool()
    hand.key(Qt.Key.Key_Return)
    assert (classes(view) == UNLABELLED).all()
    assert not view.document.is_editing


@pytest.mark.parametrize("tool", TOOLS)
def test_a_result_that_comes_after_escape_or_for_another_image_is_dropped(view, hand, later, tool):
    take(view, tool)
    first = later.run
    later.run = lambda: None
    select_first(view, hand, later, tool)
    assert later.waiting
    hand.key(Qt.Key.Key_Escape)
    later.run = first
    later.run()
    assert (classes(view) == UNLABELLED).all()
    later.run = lambda: None
    if tool == "superpixels":
        take(view, tool, cell=11)  # those of the size before are known by now
    select_first(view, hand, later, tool)
    old = view.document
    view.set_document(make_document())
    later.run = first
    later.run()
    for document in (old, view.document):
        assert not document.history.can_undo
        assert not document.is_editing


@pytest.mark.parametrize("tool", TOOLS)
def test_without_a_class_nothing_is_painted_and_the_hint_says_why(view, hand, later, hints, tool):
    view.tool_state.set_class_id(None)
    take(view, tool)
    assert "class" in hints[-1]
    select_first(view, hand, later, tool)
    hand.key(Qt.Key.Key_Return)
    assert "class" in hints[-1]
    assert not view.document.history.can_undo


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_tool_draws_lies_within_what_it_reports(view, hand, later, tool):
    """A tool that draws beyond would leave traces."""
    take(view, tool)
    select_first(view, hand, later, tool, SHIFT)
    for ratio in (1.0, 2.0):
        view.ratio = ratio
        view.resize(421 + int(ratio), 360)
        for zoom in (0.3, 1.0, 2.0, 7.3):
            view.set_zoom(zoom)
            before = view.grab().toImage()
            hand.key(Qt.Key.Key_V)
            assert view.grab().toImage() == before
    hand.key(Qt.Key.Key_Escape)
    clean = view.grab().toImage()
    view.repaint()
    assert view.grab().toImage() == clean


def test_every_selection_tool_has_a_hint_and_an_icon(view, hints):
    for tool in TOOLS:
        take(view, tool)
        assert hints[-1]
        assert tool_specs()[tool].icon == tool


# --- add, take away, share


def test_shift_adds_and_alt_or_the_right_button_takes_away(view, hand, later):
    take(view, "wand")
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    hand.click(20, 100, modifiers=SHIFT)
    later.run()
    hand.click(60, 50, modifiers=ALT)
    later.run()
    hand.key(Qt.Key.Key_Return)
    assert np.array_equal(painted(view), mask_of(SECOND))
    view.document.undo()
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    hand.click(20, 100, modifiers=SHIFT)
    later.run()
    hand.click(20, 100, RIGHT)
    later.run()
    hand.key(Qt.Key.Key_Return)
    assert np.array_equal(painted(view), mask_of(FIRST))


def test_a_plain_click_replaces_what_is_selected(view, hand, later):
    take(view, "wand")
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    hand.click(20, 100)
    later.run()
    assert (classes(view) == UNLABELLED).all(), "what waits was chosen with care: nothing is applied at once"
    hand.key(Qt.Key.Key_Return)
    assert np.array_equal(painted(view), mask_of(SECOND))


@pytest.mark.parametrize("key", [Qt.Key.Key_Delete, Qt.Key.Key_X])
def test_delete_and_x_erase_what_is_selected(view, hand, later, key):
    view.document.fill_unlabelled(0)
    take(view, "wand")
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    hand.key(key)
    assert np.array_equal(classes(view) == UNLABELLED, mask_of(FIRST))
    assert (view.document.provenance_plane.to_array()[FIRST] == Provenance.ERASED).all()
    hand.key(key)
    view.document.undo()
    assert (classes(view) == 0).all()


def test_another_selection_tool_goes_on_with_what_is_selected_a_brush_does_not(view, hand, later):
    take(view, "wand")
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    take(view, "threshold")
    assert view.finish_tool()
    assert np.array_equal(painted(view), mask_of(FIRST))
    view.document.undo()
    take(view, "wand")
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    take(view, "brush")
    take(view, "wand")
    assert not view.finish_tool()
    assert (classes(view) == UNLABELLED).all()


def test_taking_away_from_nothing_says_so(view, hand, hints):
    take(view, "wand")
    hand.click(60, 50, modifiers=ALT)
    assert "Nothing is selected" in hints[-1]


def test_locked_classes_and_only_unlabelled_are_respected(view, hand, later):
    view.document.begin_edit("test")
    view.document.paint(view.document.rect, mask_of(np.s_[:, :70]), 0)
    view.document.commit_edit()
    view.tool_state.set_locked([0])
    take(view, "wand")
    hand.click(60, 50)
    later.run()
    assert np.array_equal(painted(view), mask_of(np.s_[30:80, 70:100]))


# --- each tool


def test_a_click_of_the_wand_paints_at_once_and_the_right_button_erases(view, hand, later):
    take(view, "wand")
    hand.click(60, 50)
    assert (classes(view) == UNLABELLED).all(), "worked out in the background"
    later.run()
    assert np.array_equal(painted(view), mask_of(FIRST))
    hand.click(60, 50, RIGHT)
    later.run()
    assert (classes(view) == UNLABELLED).all()
    view.document.undo()
    assert np.array_equal(painted(view), mask_of(FIRST))
    take(view, "wand", at_once=False)
    hand.click(20, 100)
    later.run()
    assert np.array_equal(painted(view), mask_of(FIRST))


def test_a_wand_that_is_not_contiguous_finds_all(view, hand, later):
    take(view, "wand", contiguous=False, space="lab", tolerance=12)
    hand.click(60, 50)
    later.run()
    assert np.array_equal(painted(view), mask_of(FIRST, SECOND))


def test_the_tolerance_changes_what_is_selected_as_long_as_it_waits(view, hand, later):
    take(view, "wand", tolerance=0)
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    take(view, "wand", tolerance=20)
    later.run()
    hand.key(Qt.Key.Key_Return)
    assert np.array_equal(painted(view), mask_of(FIRST))
    take(view, "wand", tolerance=255)
    later.run()
    assert np.array_equal(painted(view), mask_of(FIRST)), "what was applied stays"


def test_a_wand_whose_image_was_edited_meanwhile_paints_nothing(view, hand, later):
    take(view, "wand")
    hand.click(60, 50)
    view.document.fill_unlabelled(0)
    later.run()
    assert (classes(view) == 0).all()


def test_a_drag_over_superpixels_is_one_step_also_before_they_are_known(view, hand, later):
    take(view, "superpixels", cell=12)
    hand.stroke((42, 32), (97, 32), (97, 77), (42, 77), (42, 45), (90, 45), (90, 60), (42, 60))
    assert (classes(view) == UNLABELLED).all()
    later.run()
    assert overlap(painted(view), mask_of(FIRST)) > 0.9
    view.document.undo()
    assert not view.document.history.can_undo
    hand.press(42, 32)
    hand.move(90, 60)
    assert not view.document.is_editing
    hand.key(Qt.Key.Key_Escape)
    hand.release(90, 60)
    assert (classes(view) == UNLABELLED).all()


def test_cells_light_up_and_are_worked_out_once(view, hand, later):
    take(view, "superpixels", cell=12)
    dark = view.grab().toImage()
    hand.move(60, 50)
    assert len(later.waiting) == 1
    hand.move(62, 50)
    assert len(later.waiting) == 1
    later.run()
    lit = view.grab().toImage()
    assert lit != dark
    hand.move(20, 100)
    assert not later.waiting
    assert view.grab().toImage() != lit
    take(view, "superpixels", cell=20)
    hand.move(21, 100)
    assert len(later.waiting) == 1


def test_superpixels_far_apart_are_taken_by_one_drag(qtbot, later):
    view = ScaledView(ToolState(), None, later)
    qtbot.addWidget(view)
    view.resize(600, 300)
    view.show()
    view.tool_state.set_class_id(1)
    image = np.random.default_rng(0).integers(0, 255, (60, 2400, 3)).astype(np.uint8)
    view.set_document(Document("a", image, PlaneStore(2400, 60, UNLABELLED), PlaneStore(2400, 60, 0)))
    take(view, "superpixels", cell=30)
    Hand(view).stroke((10, 30), (2390, 30))
    later.run()
    assert (view.document.class_plane.to_array()[30] == 1).all()


def test_scissors_follow_the_edge_between_two_clicks(view, hand, later):
    take(view, "scissors")
    select_first(view, hand, later, "scissors")
    assert overlap(painted(view), mask_of(FIRST)) > 0.9
    view.document.undo()
    assert not view.document.history.can_undo


def test_scissors_close_at_the_first_point_or_by_a_double_click_and_go_back(view, hand, later):
    take(view, "scissors")
    corners = [(40, 30), (100, 30), (100, 80), (40, 80)]
    for corner in corners:
        hand.click(*corner)  # faster than the paths are known
    hand.click(41, 31)
    later.run()
    assert overlap(painted(view), mask_of(FIRST)) > 0.9
    view.document.undo()
    for corner in [*corners[:3], (20, 110)]:
        hand.click(*corner)
        later.run()
    hand.key(Qt.Key.Key_Backspace)
    later.run()
    hand.double_click(*corners[3])
    later.run()
    assert overlap(painted(view), mask_of(FIRST)) > 0.9
    view.document.undo()
    hand.click(40, 30)
    hand.key(Qt.Key.Key_Backspace)
    assert not view.cancel_tool()


def test_what_a_closed_outline_encloses_is_worked_out_in_a_lane_and_dropped_after_an_edit(view, hand, later):
    take(view, "scissors", at_once=True)
    for corner in [(40, 30), (100, 30), (100, 80), (40, 80)]:
        hand.click(*corner)
        later.run()
    hand.key(Qt.Key.Key_Return)
    assert later.waiting
    assert not painted(view).any()
    view.document.fill_unlabelled(0)
    later.run()
    assert not painted(view).any(), "it would not be what was asked for"


def test_an_outline_is_given_up_with_its_tool(view, hand, later):
    take(view, "scissors")
    hand.click(40, 30)
    hand.click(100, 30)
    take(view, "wand")
    take(view, "scissors")
    later.run()
    assert not view.cancel_tool()


def test_scissors_work_where_the_image_is_shown_reduced(qtbot, later):
    view = ScaledView(ToolState(), None, later)
    qtbot.addWidget(view)
    view.resize(300, 260)
    view.show()
    view.tool_state.set_class_id(1)
    image = np.full((1600, 1600, 3), 40, np.uint8)
    image[400:1200, 400:1200] = 220
    view.set_document(Document("a", image, PlaneStore(1600, 1600, UNLABELLED), PlaneStore(1600, 1600, 0)))
    take(view, "scissors")
    hand = Hand(view)
    for corner in [(402, 402), (1198, 402), (1198, 1198), (402, 1198)]:
        hand.click(*corner)
        later.run()
    hand.key(Qt.Key.Key_Return)
    later.run()
    truth = np.zeros((1600, 1600), np.bool_)
    truth[400:1200, 400:1200] = True
    assert overlap(painted(view), truth) > 0.95


def test_strokes_refine_what_grabcut_found(view, hand, later, hints):
    view.document.image[SECOND] = (50, 60, 210)
    take(view, "grabcut")
    hand.stroke((3, 20), (80, 90), (112, 117))
    later.run()
    hand.stroke((12, 100), (28, 100), button=RIGHT)
    assert later.waiting
    assert "Cutting" in hints[-1]
    assert hand.view.cancel_tool(), "Esc stops the work and keeps what was found"
    later.run()
    hand.stroke((12, 94), (28, 94), button=RIGHT)
    later.run()
    hand.stroke((130, 10), (130, 16))
    later.run()
    hand.key(Qt.Key.Key_Return)
    assert overlap(painted(view)[20:, :115], mask_of(FIRST)[20:, :115]) > 0.9
    assert painted(view)[11:15, 130].all(), "also outside of the box"
    view.document.undo()
    assert not view.document.history.can_undo


def test_a_box_that_is_too_small_says_so_and_the_tool_goes_on(view, hand, later, hints):
    take(view, "grabcut")
    hand.press(50, 50)
    hand.move(53, 52)
    hand.release(53, 52)
    later.run()
    assert "box" in hints[-1]
    hand.key(Qt.Key.Key_Escape)
    select_first(view, hand, later, "grabcut")
    hand.key(Qt.Key.Key_Return)
    assert overlap(painted(view), mask_of(FIRST)) > 0.9


def test_threshold_begins_with_otsu_and_goes_on_from_there(view, hand, later):
    state = view.tool_state
    take(view, "threshold", channel="red")
    select_first(view, hand, later, "threshold")
    low = state.option("threshold", "low")
    assert GROUND[0] < low <= THING[0]
    assert state.option("threshold", "side") == "bright"
    state.set_option("threshold", "low", 250)
    later.run()
    assert state.option("threshold", "side") == "range"
    assert not view.finish_tool(), "nothing is that bright"
    select_first(view, hand, later, "threshold")
    state.set_option("threshold", "low", 150)
    later.run()
    assert view.finish_tool()
    assert np.array_equal(painted(view), mask_of(FIRST))


def test_threshold_narrows_what_is_selected(view, hand, later):
    take(view, "wand", tolerance=255)
    hand.click(60, 50, modifiers=SHIFT)
    later.run()
    take(view, "threshold", channel="red")
    hand.click(60, 50)
    later.run()
    hand.key(Qt.Key.Key_Return)
    assert np.array_equal(painted(view), mask_of(FIRST, SECOND))


def test_threshold_takes_the_dark_side(view, hand, later):
    take(view, "threshold", channel="red", side="dark")
    select_first(view, hand, later, "threshold")
    hand.key(Qt.Key.Key_Return)
    assert not painted(view)[FIRST].any()
    assert painted(view)[25, 50]
