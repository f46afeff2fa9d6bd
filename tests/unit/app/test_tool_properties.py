"""What holds for every tool that edits, whatever it is given: one exact step, and nothing outside of what it reports.

The tools of the hand are in ``test_paint_tools``, accepting and rejecting in ``test_accept_tools``.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Provenance, Rect
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.hand import LEFT, RIGHT, Hand, ScaledView
from tests.unit.app.test_selection_tools import Later

SELECTING = ("wand", "superpixels", "scissors", "grabcut", "threshold")
BY_HAND = ("brush", "eraser", "polygon", "lasso", "rectangle", "ellipse", "fill")
ACCEPTING = ("accept_brush", "accept_region")
EDITS_NOTHING = ("pick",)
WIDTH, HEIGHT = 110, 80

spots = st.lists(st.tuples(st.floats(-15, WIDTH + 15), st.floats(-15, HEIGHT + 15)), min_size=2, max_size=5)


def test_every_tool_is_looked_at() -> None:
    assert set(tool_specs()) == {*SELECTING, *BY_HAND, *ACCEPTING, *EDITS_NOTHING}


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def view(qtbot, later):
    view = ScaledView(ToolState(), None, later)
    qtbot.addWidget(view)
    view.resize(2 * WIDTH, 2 * HEIGHT)
    view.set_classes(ClassSet().add("a").add("b").add("c"))
    view.tool_state.set_class_id(1)
    view.show()
    return view


def make_document(seed: int) -> Document:
    """A photograph of patches, and labels of patches, in part erased by hand."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(0, 256, (8, 11, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    labels = np.kron(rng.choice([0, 2, UNLABELLED], (8, 11)), np.ones((10, 10))).astype(np.uint8)
    origins = np.where(labels == UNLABELLED, Provenance.UNTOUCHED, Provenance.PAINTED).astype(np.uint8)
    origins[:20][labels[:20] == UNLABELLED] = Provenance.ERASED
    return Document("a", image, PlaneStore.from_array(labels, UNLABELLED), PlaneStore.from_array(origins, 0))


def state(document: Document) -> np.ndarray:
    return np.stack([document.class_plane.to_array(), document.provenance_plane.to_array()])


def use(hand: Hand, later: Later, tool: str, places: list[tuple[float, float]], button: Qt.MouseButton) -> None:
    """A drag, or clicks, then Enter; what is still under way is given up."""
    if tool in ("scissors", "wand"):
        for place in places:
            hand.click(*place, button=button)
            later.run()
    else:
        hand.stroke(*places, button=button)
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Escape):
        later.run()
        hand.key(key)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SELECTING), spots, st.sampled_from([LEFT, RIGHT]), st.booleans(), st.integers(0, 5))
def test_selecting_is_exact_both_ways_and_stays_inside_what_it_reports(
    view, later, tool, places, button, has_lock, seed
):
    document = make_document(seed)
    view.set_document(document)
    view.set_zoom(2.0)
    view.tool_state.set_tool(tool)
    view.tool_state.set_locked({2} if has_lock else ())
    before = state(document)
    reported: list[Rect] = []
    document.region_changed.connect(reported.append)
    use(Hand(view), later, tool, places, button)
    assert not document.is_editing
    assert not view.cancel_tool(), "nothing is left under way"
    after = state(document)
    touched = np.zeros((HEIGHT, WIDTH), np.bool_)
    for rect in reported:
        touched[rect.slices] = True
    assert (before[:, ~touched] == after[:, ~touched]).all()
    if has_lock:
        assert (before[:, before[0] == 2] == after[:, before[0] == 2]).all()
    num_steps = document.history.num_done
    assert (num_steps > 0) == (before != after).any() or num_steps > 1
    for _ in range(num_steps):
        document.undo()
    assert (state(document) == before).all()
    for _ in range(num_steps):
        document.redo()
    assert (state(document) == after).all()
