"""The simulated person of the label economy: where it paints, what that costs, and when it stops."""

from __future__ import annotations

import numpy as np
import pytest

from pspnet_core.types import UNLABELLED, ClassMap, Provenance
from tests.benchmarks.annotator import Annotator, Habits, Stroke, look, paint, wrong_share

SHAPE = 120, 160


def patchwork(seed: int = 0) -> ClassMap:
    """Classes in blobs and lines of all widths, and some of it unknown."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, np.uint8)
    for _ in range(30):
        top, left = rng.integers(0, SHAPE[0]), rng.integers(0, SHAPE[1])
        height, width = rng.integers(1, 40, 2)
        truth[top : top + height, left : left + width] = rng.choice([0, 1, 2, 3, UNLABELLED])
    return truth


def planes() -> tuple[ClassMap, ClassMap]:
    return np.full(SHAPE, UNLABELLED, np.uint8), np.zeros(SHAPE, np.uint8)


def drawn(person: Annotator, truth: ClassMap, shown: ClassMap | None = None) -> list[Stroke]:
    """All strokes on a picture whose overlay shows strokes and, below them, ``shown``."""
    class_map, provenance = planes()
    strokes = []
    while True:
        below = class_map if shown is None else np.where(class_map == UNLABELLED, shown, class_map)
        stroke = person.next_stroke(below, truth, shown is not None)
        if stroke is None:
            return strokes
        strokes.append(stroke)
        paint(stroke, truth, class_map, provenance)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_painted_out_of_the_true_class(seed: int) -> None:
    truth, person = patchwork(seed), Annotator(seed=seed)
    class_map, provenance = planes()
    for _ in range(25):
        stroke = person.next_stroke(class_map, truth)
        if stroke is None:
            break
        paint(stroke, truth, class_map, provenance)
    is_painted = provenance == Provenance.PAINTED
    assert is_painted.any()
    assert (class_map[is_painted] == truth[is_painted]).all()
    assert (truth[is_painted] != UNLABELLED).all()
    assert (class_map[~is_painted] == UNLABELLED).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_hand_itself_stays_in_the_class_not_only_what_it_paints(seed: int) -> None:
    truth = patchwork(seed)
    for stroke in drawn(Annotator(seed=seed), truth):
        columns, rows = np.minimum(stroke.points, (SHAPE[1] - 1, SHAPE[0] - 1)).astype(int).T
        assert (truth[rows, columns] == stroke.class_id).all()


def test_the_brush_fits_the_wrong_spot() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[20:100, 20:140] = 1  # 80 px wide
    wide = Annotator(Habits(largest_brush_px=100)).next_stroke(np.zeros_like(truth), truth)
    truth[:] = 0
    truth[50:62, 20:140] = 1  # 12 px wide
    narrow = Annotator().next_stroke(np.zeros_like(truth), truth)
    assert wide is not None
    assert narrow is not None
    assert 40 <= wide.diameter <= 80
    assert 6 <= narrow.diameter <= 12
    assert Annotator(Habits(largest_brush_px=10)).next_stroke(np.ones_like(truth), truth).diameter == 20


def test_a_stroke_runs_along_the_middle_of_the_spot() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[50:61, 10:150] = 1
    stroke = Annotator().next_stroke(np.zeros_like(truth), truth)
    assert stroke is not None
    assert stroke.length_px > 110
    assert np.abs(stroke.points[:, 1] - 55.5).max() < 3
    long = Annotator(Habits(max_stroke_px=40)).next_stroke(np.zeros_like(truth), truth)
    assert long is not None
    assert 30 <= long.length_px <= 41


def test_the_largest_spot_comes_first_and_only_what_is_wrong() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[10:30, 10:30], truth[60:110, 60:120], truth[60:110, 130:150] = 1, 2, 3
    shown = np.where(truth == 2, truth, 0).astype(np.uint8)
    classes = [stroke.class_id for stroke in drawn(Annotator(Habits(small_error=0.0)), truth, shown)]
    assert classes[0] == 3
    assert set(classes) == {1, 3}


def test_each_class_gets_a_stroke_first_while_nothing_is_predicted() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[:, 100:130], truth[:, 130:] = 1, 2
    class_map, provenance = planes()
    person, classes = Annotator(Habits(largest_brush_px=4)), []
    for _ in range(3):
        stroke = person.next_stroke(class_map, truth, is_predicted=False)
        assert stroke is not None
        classes.append(stroke.class_id)
        paint(stroke, truth, class_map, provenance)
    assert sorted(classes) == [0, 1, 2]


def test_where_the_truth_is_unknown_nothing_is_wrong() -> None:
    truth = np.full(SHAPE, UNLABELLED, np.uint8)
    truth[:40] = 1
    shown = np.full(SHAPE, 2, np.uint8)
    shown[:40] = 1
    assert wrong_share(shown, truth) == 0
    assert Annotator().next_stroke(shown, truth) is None
    assert wrong_share(np.full(SHAPE, UNLABELLED, np.uint8), truth) == 1


def test_slivers_along_borders_are_let_pass() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[:, 80:] = 1
    shown = np.zeros(SHAPE, np.uint8)
    shown[:, 82:] = 1
    view = look(shown, truth, Habits())
    assert view.spot is None
    assert view.spots_share == 0
    assert wrong_share(shown, truth) > 0


def test_a_stroke_costs_finding_travel_the_key_painting_and_judging() -> None:
    person = Annotator(Habits(key_s=0.3, find_s=0.2, judge_s=0.2, stroke_px_s=400, travel_px_s=800, open_s=1.0))
    stroke = Stroke(1, np.array([[80.0, 0.0], [80.0, 100.0]]), 10.0)
    assert person.open() == pytest.approx(1.3)
    assert person.take_time(stroke) == pytest.approx(0.2 + 80 / 800 + 0.3 + 100 / 400 + 0.2)
    assert person.take_time(stroke) == pytest.approx(0.2 + 100 / 800 + 100 / 400 + 0.2)  # from where it ended, no key
    dab = Stroke(2, np.array([[80.0, 100.0]]), 10.0)
    assert person.take_time(dab) == pytest.approx(0.2 + 0.3 + 0.2)
    assert person.close() == pytest.approx(0.6)


def test_a_small_error_is_let_pass_and_strokes_have_an_end() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[40:60, 40:60] = 1  # 400 of 19,200 pixels
    shown = np.zeros_like(truth)
    assert Annotator(Habits(small_error=0.03)).next_stroke(shown, truth) is None
    assert Annotator(Habits(small_error=0.01)).next_stroke(shown, truth) is not None
    person = Annotator(Habits(max_strokes=3, little_gain=0.0))
    person.open()
    assert len(drawn(person, patchwork())) == 3
    person.open()
    assert len(drawn(person, patchwork())) == 3


def test_who_gets_nowhere_stops_unless_much_is_wrong_or_the_overlay_is_new() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[40:70, 40:80] = 1  # a sixteenth
    shown = np.zeros_like(truth)
    habits = Habits(patience=2, little_gain=0.01)
    person = Annotator(habits)
    assert [person.next_stroke(shown, truth) is None for _ in range(3)] == [False, False, True]
    person = Annotator(habits)
    for _ in range(4):
        assert person.next_stroke(shown, truth) is not None
        person.see_another_version()
    person = Annotator(Habits(patience=2, little_gain=0.01, large_error=0.05))
    assert all(person.next_stroke(shown, truth) is not None for _ in range(5))


def test_who_goes_on_paints_the_same() -> None:
    truth, other = patchwork(1), patchwork(2)
    person = Annotator(seed=3)
    for stroke in drawn(person, truth):
        person.take_time(stroke)
    again = Annotator(seed=9)
    again.restore(person.state())
    for one in (person, again):
        one.open()
    first, second = drawn(person, other), drawn(again, other)
    assert len(first) == len(second) > 3
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.points, b.points)
    assert person.take_time(first[0]) == again.take_time(second[0])
