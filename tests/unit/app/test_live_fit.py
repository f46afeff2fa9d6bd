"""What a fit gives to the window: the whole answer, and where it differs from what is on screen."""

from __future__ import annotations

import numpy as np
import pytest

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.inference.logits import LogitGrid
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, Rect
from pspnet_studio.jobs import live
from pspnet_studio.jobs.live import LiveFit, Marks, Shown
from tests.helpers.live import plain_features, two_halves

H, W = 150, 200


class Hand:
    """Paints on two planes, and remembers what a screen would show."""

    def __init__(self, fit: LiveFit, height: int = H, width: int = W) -> None:
        self.fit = fit
        self.classes, self.provenance = PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, 0)
        self.screen: ClassMap = np.full((height, width), UNLABELLED, np.uint8)
        self.given: Shown | None = None

    def stroke(self, rect: Rect, class_id: int, only_first: bool = False) -> list[Shown]:
        mask = np.ones((rect.h, rect.w), np.bool_)
        self.classes.fill(rect, mask, class_id)
        self.provenance.fill(rect, mask, Provenance.ERASED if class_id == UNLABELLED else Provenance.PAINTED)
        events = []
        for event in self.fit.refit(Marks(self.classes.snapshot(), self.provenance.snapshot(), [rect], self.given)):
            if event is None:
                continue
            events.append(event)
            self._show(event)
            if only_first:
                break
        return events

    def _show(self, shown: Shown) -> None:
        self.given = shown
        if shown.prediction is None:
            self.screen[:] = UNLABELLED
            return
        parts = (Rect(0, 0, self.screen.shape[1], self.screen.shape[0]),) if shown.changed is None else shown.changed
        for rect in parts:
            self.screen[rect.slices] = shown.prediction.class_map[rect.slices]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_BLOCK_CELLS", 16)
    monkeypatch.setattr(live, "_REST_S", 0.0)


def test_the_screen_shows_the_answer_though_only_blocks_are_repainted() -> None:
    image = two_halves(H, W)
    image[100:, 150:] = (200, 40, 40)
    hand = Hand(LiveFit(plain_features(image), None, None))
    hand.stroke(Rect(5, 5, 30, 4), 0)
    assert hand.given is not None
    assert hand.given.prediction is None
    partial = 0
    strokes = ((150, 5, 1), (160, 120, 2), (10, 140, 0), (110, 40, 1), (190, 140, 2))
    for number, (x, y, class_id) in enumerate(strokes):
        events = hand.stroke(Rect(x, y, 10, 4), class_id, only_first=number == 2)  # the next one comes early
        partial += sum(event.changed is not None for event in events)
        if number != 2:
            last = events[-1].prediction
            assert last is not None
            assert (hand.screen == last.class_map).all()
    assert partial > 0


def test_a_reduced_image_gets_finer_borders_at_last() -> None:
    image = two_halves(H, W)
    reduced = plain_features(image)
    big = type(reduced)(3 * H, 3 * W, 1, reduced.blocks, reduced.guide)
    hand = Hand(LiveFit(big, None, None), 3 * H, 3 * W)
    hand.stroke(Rect(15, 15, 90, 12), 0)
    events = hand.stroke(Rect(450, 15, 90, 12), 1)
    assert len(events) == 2
    first, last = (event.prediction for event in events)
    assert first is not None
    assert last is not None
    assert first.class_map.shape == last.class_map.shape == (3 * H, 3 * W)
    assert float((first.class_map == last.class_map).mean()) > 0.95
    assert (hand.screen == last.class_map).all()


def test_an_erased_stroke_says_what_is_not_there_and_its_undo_says_nothing() -> None:
    hand = Hand(LiveFit(plain_features(two_halves(H, W)), None, None))
    hand.stroke(Rect(5, 5, 30, 4), 0)
    hand.stroke(Rect(150, 5, 30, 4), 1)
    where = Rect(150, 100, 20, 20)
    hand.stroke(where, UNLABELLED)
    assert (hand.fit._erased[where.slices] == 1).all()
    mask = np.ones((where.h, where.w), np.bool_)
    hand.provenance.fill(where, mask, Provenance.UNTOUCHED)
    list(hand.fit.refit(Marks(hand.classes.snapshot(), hand.provenance.snapshot(), [where], hand.given)))
    assert (hand.fit._erased == UNLABELLED).all()


def test_cells_that_were_erased_before_anything_was_shown_stay_unknown_when_they_are_looked_at_again() -> None:
    hand = Hand(LiveFit(plain_features(two_halves(H, W)), None, None))
    where = Rect(150, 100, 20, 20)  # in an earlier session
    hand.provenance.fill(where, np.ones((where.h, where.w), np.bool_), Provenance.ERASED)
    everywhere = Rect(0, 0, W, H)
    for rect, class_id in ((Rect(5, 5, 30, 4), 0), (Rect(150, 5, 30, 4), 1)):
        mask = np.ones((rect.h, rect.w), np.bool_)
        hand.classes.fill(rect, mask, class_id)
        hand.provenance.fill(rect, mask, Provenance.PAINTED)
    for rect in (everywhere, where, everywhere):
        marks = Marks(hand.classes.snapshot(), hand.provenance.snapshot(), [rect], hand.given)
        events = [event for event in hand.fit.refit(marks) if event is not None]
        assert events[-1].prediction is not None
        assert (events[-1].prediction.class_map[where.slices] == 1).all()
        assert (hand.fit._erased == UNLABELLED).all()


def test_what_was_erased_stays_what_was_shown_then() -> None:
    hand = Hand(LiveFit(plain_features(two_halves(H, W)), None, None))
    hand.stroke(Rect(5, 5, 30, 4), 0)
    hand.stroke(Rect(150, 5, 30, 4), 1)
    where = Rect(150, 100, 20, 20)
    hand.stroke(where, UNLABELLED)
    for _ in range(2):
        marks = Marks(hand.classes.snapshot(), hand.provenance.snapshot(), [where], hand.given)
        assert list(hand.fit.refit(marks))
        assert (hand.fit._erased[where.slices] == 1).all()


def test_what_is_erased_from_a_versions_own_answer_is_known_when_strokes_come_later() -> None:
    values = np.zeros((2, -(-H // 4), -(-W // 4)), np.float16)
    values[1] = 3
    hand = Hand(LiveFit(plain_features(two_halves(H, W)), LogitGrid(values, 4, (0, 1), H, W, False), None))
    list(hand.fit.refit(Marks(hand.classes.snapshot(), hand.provenance.snapshot(), [Rect(0, 0, W, H)], None)))
    where = Rect(20, 100, 20, 20)
    hand.stroke(where, UNLABELLED)
    assert (hand.fit._erased[where.slices] == 1).all()
    hand.stroke(Rect(5, 5, 30, 4), 0)
    assert (hand.fit._erased[where.slices] == 1).all()
    assert (hand.screen[where.slices] == 0).mean() > 0.5


def test_rows_are_those_of_strokes_that_no_fit_has_seen_yet_too() -> None:
    hand = Hand(LiveFit(plain_features(two_halves(H, W)), None, None))
    hand.stroke(Rect(5, 5, 30, 4), 3)
    where = Rect(150, 5, 30, 4)
    mask = np.ones((where.h, where.w), np.bool_)
    hand.classes.fill(where, mask, 5)
    hand.provenance.fill(where, mask, Provenance.PAINTED)
    kept = hand.fit.rows(Marks(hand.classes.snapshot(), hand.provenance.snapshot(), [where], None))
    assert kept is not None
    assert set(kept.class_ids.tolist()) == {3, 5}


def test_rows_are_those_of_the_marked_cells() -> None:
    hand = Hand(LiveFit(plain_features(two_halves(H, W)), None, None))
    assert hand.fit.rows() is None
    hand.stroke(Rect(5, 5, 30, 4), 3)
    kept = hand.fit.rows()
    assert kept is not None
    assert set(kept.class_ids.tolist()) == {3}
    assert len(kept.rows) == 100
