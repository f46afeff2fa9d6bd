"""The open image: transactions, undo, accept, and what a prediction may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.strokes import brush_runs
from pspnet_core.types import UNLABELLED, Prediction, Provenance, Rect
from pspnet_studio.model.document import Document
from pspnet_studio.model.image_history import History
from pspnet_studio.model.whole_image import again, copied

W, H = 700, 530


def make_document() -> Document:
    image = np.zeros((H, W, 3), np.uint8)
    return Document("a.jpg", image, PlaneStore(W, H, UNLABELLED), PlaneStore(W, H, Provenance.UNTOUCHED))


def predict(document: Document, class_id: int) -> None:
    class_map = np.full((H, W), class_id, np.uint8)
    document.set_prediction(Prediction(class_map, np.full((H, W), 200, np.uint8)), version=3)


def paint(document: Document, rect: Rect, class_id: int) -> None:
    document.begin_edit("brush")
    document.paint(rect, np.ones((rect.h, rect.w), bool), class_id)
    assert document.commit_edit()


def state(document: Document) -> tuple[bytes, bytes]:
    return document.class_plane.to_array().tobytes(), document.provenance_plane.to_array().tobytes()


def test_undo_and_redo_are_exact_over_many_edits() -> None:
    document = make_document()
    rng = np.random.default_rng(0)
    states = [state(document)]
    for number in range(12):
        x, y = int(rng.integers(0, W - 10)), int(rng.integers(0, H - 10))
        rect = Rect(x, y, int(rng.integers(1, W - x)), int(rng.integers(1, H - y)))
        document.begin_edit("brush")
        document.paint(rect, rng.random((rect.h, rect.w)) < 0.5, number % 4 if number % 5 else UNLABELLED)
        document.commit_edit()
        states.append(state(document))
    for expected in reversed(states[:-1]):
        document.undo()
        assert state(document) == expected
    assert not document.history.can_undo
    for expected in states[1:]:
        document.redo()
        assert state(document) == expected


def test_abort_puts_everything_back_and_leaves_no_step() -> None:
    document = make_document()
    paint(document, Rect(10, 10, 50, 50), 1)
    before = state(document)
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 300, 300), np.ones((300, 300), bool), 2)
    document.abort_edit()
    assert state(document) == before
    document.undo()
    assert not document.history.can_undo


def test_an_edit_that_changes_nothing_is_no_step() -> None:
    document = make_document()
    paint(document, Rect(5, 5, 9, 9), 1)
    revision = document.revision
    document.begin_edit("brush")
    document.paint(Rect(5, 5, 9, 9), np.ones((9, 9), bool), 1)
    assert not document.commit_edit()
    assert document.revision == revision


def test_the_prediction_is_shown_only_on_untouched_pixels() -> None:
    document = make_document()
    predict(document, 7)
    paint(document, Rect(0, 0, 20, 20), 1)
    paint(document, Rect(5, 5, 5, 5), UNLABELLED)
    classes, predicted = document.displayed(Rect(0, 0, 30, 30))
    assert classes[0, 0] == 1
    assert classes[6, 6] == UNLABELLED  # erased by hand: the prediction does not come back
    assert classes[25, 25] == 7
    assert predicted[25, 25]
    assert not predicted[:20, :20].any()


@pytest.mark.parametrize("only_unlabelled", [False, True])
def test_accepting_changes_only_untouched_and_accepted_pixels(only_unlabelled: bool) -> None:
    document = make_document()
    hand, erased, imported, accepted = (Rect(x, 0, 40, 40) for x in (0, 50, 100, 150))
    paint(document, hand, 1)
    paint(document, erased, UNLABELLED)
    for rect, provenance in ((imported, Provenance.IMPORTED), (accepted, Provenance.ACCEPTED)):
        document.begin_edit("set up")
        document.write(rect, np.ones((40, 40), bool), np.full((40, 40), 2, np.uint8), provenance)
        document.commit_edit()
    before = state(document)
    predict(document, 7)
    assert document.accept_prediction(only_unlabelled)
    classes, provenance = document.class_plane.to_array(), document.provenance_plane.to_array()
    assert (classes[hand.slices] == 1).all()
    assert (classes[erased.slices] == UNLABELLED).all()
    assert (classes[imported.slices] == 2).all()
    assert (classes[accepted.slices] == (2 if only_unlabelled else 7)).all()
    assert classes[300, 300] == 7
    assert provenance[300, 300] == Provenance.ACCEPTED
    document.undo()
    assert state(document) == before


def test_accepting_without_a_prediction_does_nothing() -> None:
    assert not make_document().accept_prediction()


def test_filling_gives_every_unlabelled_pixel_a_class_in_one_step() -> None:
    document = make_document()
    paint(document, Rect(0, 0, 100, 100), 1)
    before = state(document)
    assert document.fill_unlabelled(3)
    classes = document.class_plane.to_array()
    assert (classes[:100, :100] == 1).all()
    assert np.count_nonzero(classes == 3) == W * H - 100 * 100
    assert not document.fill_unlabelled(4)
    document.undo()
    assert state(document) == before


def test_what_changed_is_reported_and_nothing_else_changes() -> None:
    document = make_document()
    rects: list[Rect] = []
    document.region_changed.connect(rects.append)
    paint(document, Rect(250, 250, 20, 20), 1)
    document.undo()
    around = Rect(0, 0, 0, 0)
    for rect in rects:
        around = around.union(rect)
    assert around == Rect(250, 250, 20, 20)


def test_a_prediction_of_another_size_is_refused() -> None:
    small = np.zeros((3, 3), np.uint8)
    with pytest.raises(ValueError, match="does not fit"):
        make_document().set_prediction(Prediction(small, small))


def test_each_step_remembers_which_version_was_shown() -> None:
    document = make_document()
    paint(document, Rect(0, 0, 9, 9), 1)
    predict(document, 2)
    paint(document, Rect(0, 0, 5, 5), 3)
    second, first = document.history.undo(), document.history.undo()
    assert first is not None
    assert second is not None
    assert (first.version, second.version) == (None, 3)


def test_history_keeps_to_its_budget_of_bytes() -> None:
    document = make_document()
    document.history = History(budget_bytes=200_000)
    for number in range(30):
        paint(document, Rect(0, 0, 200, 200), number % 2)
    assert document.history.nbytes <= 200_000
    assert document.history.can_undo


def test_a_new_edit_forgets_what_could_be_redone() -> None:
    document = make_document()
    paint(document, Rect(0, 0, 9, 9), 1)
    document.undo()
    paint(document, Rect(20, 20, 9, 9), 2)
    assert not document.history.can_redo


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([frozenset(), frozenset({1}), frozenset({0, 2})]), st.booleans())
def test_painting_runs_is_painting_their_mask(seed: int, locked: frozenset[int], only_unlabelled: bool) -> None:
    rng = np.random.default_rng(seed)
    before = rng.choice(np.array([0, 1, 2, 255], np.uint8), (600, 700))
    documents = [
        Document("a", np.zeros((600, 700, 3), np.uint8), PlaneStore.from_array(before, 255), PlaneStore(700, 600, 0))
        for _ in range(2)
    ]
    class_id = int(rng.choice([0, 1, 255]))
    p0, p1 = ((float(x), float(y)) for x, y in rng.uniform((-20, -20), (720, 620), (2, 2)))
    kept: list[list[int]] = [[], []]
    for document, told, by_runs in zip(documents, kept, (True, False), strict=True):
        document.protect(locked, only_unlabelled)
        document.kept_off.connect(told.append)
        document.begin_edit("brush")
        runs = brush_runs(p0, p1, 90, document.shape)
        if by_runs:
            document.paint_runs(runs, class_id)
        elif not runs.is_empty:
            document.paint(*runs.to_area(), class_id)
        document.commit_edit()
    for one, other in zip(documents[0].committed_planes(), documents[1].committed_planes(), strict=True):
        assert np.array_equal(one, other)
    assert kept[0] == kept[1]
    documents[0].undo()
    assert np.array_equal(documents[0].class_plane.to_array(), before)
    assert not documents[0].provenance_plane.to_array().any()


def test_a_stroke_is_in_the_planes_whoever_asks_for_them() -> None:
    document = make_document()
    runs = brush_runs((3.5, 3.5), (12.5, 9.5), 5, document.shape)
    before = state(document)
    told: list[tuple[int, bool]] = []
    document.runs_painted.connect(lambda painted, class_id: told.append((class_id, painted is runs)))
    document.region_changed.connect(lambda rect: told.append((int(document.displayed(rect)[0].min()), True)))
    document.begin_edit("brush")
    document.paint_runs(runs, 1)
    assert told == [(1, True), (1, True)]
    assert document.class_plane.value_at(3, 3) == 1
    assert document.provenance_plane.value_at(3, 3) == Provenance.PAINTED
    document.paint_runs(runs, UNLABELLED)
    assert document.pixel(3, 3).provenance is Provenance.ERASED
    document.paint_runs(runs, 0)
    classes, provenance = document.committed_planes()
    assert (classes.tobytes(), provenance.tobytes()) == before
    document.paint_runs(runs, 1)
    document.abort_edit()
    assert state(document) == before


def test_a_stroke_that_nobody_looked_at_is_one_step() -> None:
    document = make_document()
    before = state(document)
    document.begin_edit("brush")
    for x in (2.5, 6.5, 10.5):
        document.paint_runs(brush_runs((x, 5.5), (x + 4, 5.5), 5, document.shape), 1)
    assert document.commit_edit()
    after = state(document)
    assert after != before
    document.undo()
    assert state(document) == before
    document.redo()
    assert state(document) == after
    document.begin_edit("brush")
    document.paint_runs(brush_runs((2.5, 5.5), (6.5, 5.5), 5, document.shape), 1)
    assert not document.commit_edit()


def test_after_a_huge_edit_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    monkeypatch.setattr("pspnet_studio.model.edited_planes.give_back_free_memory", lambda: given.append(True))
    document = make_document()
    paint(document, Rect(0, 0, 600, 500), 1)
    assert given == []
    monkeypatch.setattr("pspnet_studio.model.edited_planes._MANY_BLOCKS", 5)
    paint(document, Rect(0, 0, 600, 500), 2)
    assert given == [True]


def test_a_record_is_done_again_on_what_is_there_now() -> None:
    document = make_document()
    paint(document, Rect(0, 0, 300, 300), 1)
    found = document.history.undo()  # a record of the same image that is blank again
    assert found is not None
    found.revert(document.class_plane, document.provenance_plane)
    paint(document, Rect(100, 100, 300, 300), 2)
    before = state(document)
    document.protect(frozenset({2}))
    assert document.make(document.patching(lambda planes: again(planes, found)))
    classes = document.class_plane.to_array()
    assert (classes[:100, :300] == 1).all()
    assert (classes[100:400, 100:400] == 2).all(), "locked"
    assert (classes == 1).sum() == 300 * 300 - 200 * 200
    document.undo()
    assert state(document) == before
    document.protect(frozenset())
    document.make(document.patching(lambda planes: again(planes, found)))
    assert not document.make(document.patching(lambda planes: again(planes, found))), "it is so already"


def test_a_mask_is_copied_onto_unlabelled_pixels_alone() -> None:
    document = make_document()
    paint(document, Rect(0, 0, 300, 300), 1)
    there = np.full((H, W), UNLABELLED, np.uint8)
    there[:, :500] = 3
    before = state(document)
    assert document.make(document.patching(lambda planes: copied(planes, "a.jpg", there)))
    expected = np.full((H, W), UNLABELLED, np.uint8)
    expected[:, :500] = 3
    expected[:300, :300] = 1
    np.testing.assert_array_equal(document.class_plane.to_array(), expected)
    np.testing.assert_array_equal(document.provenance_plane.to_array() == Provenance.IMPORTED, expected == 3)
    assert not document.make(document.patching(lambda planes: copied(planes, "a.jpg", there)))
    document.undo()
    assert state(document) == before
