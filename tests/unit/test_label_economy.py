"""The clock of the label economy."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import label_economy
from tests.benchmarks.annotator import Annotator, Habits
from tests.benchmarks.economy_scores import PAINTING_S, QUIET_S, Scores, leased
from tests.benchmarks.economy_session import Pending
from tests.benchmarks.label_economy import Economy, State, minutes_to

HABITS = Habits(key_s=0.5, open_s=1.0, find_s=5.0, judge_s=5.0, travel_px_s=1e9, stroke_px_s=1e9)
"""An image takes 1.5 s to open, 10 s for its only stroke (half a second more for the first), and 1 s to close."""


class FakeDesk:
    """Images of which one half is wrong, put right by one stroke; fine-tunes are adopted as told."""

    def __init__(self, num_images: int, adopted: tuple[bool, ...] = ()) -> None:
        self.left = [SimpleNamespace(key=f"p{n}") for n in range(num_images)]
        self.adopted = adopted
        self.begun: list[tuple[float, int]] = []  # second, images done then
        self.used: list[int] = []
        self.doubted: list[int] = []
        self.closed = 0
        self.page: Any = None
        self.looked_s, self.answered_s = 0.0, [0.0]

    def next_item(self) -> Any:
        return self.left.pop(0) if self.left else None

    def open(self, item: Any) -> Any:
        truth = np.ones((8, 8), np.uint8)
        self.page = SimpleNamespace(item=item, truth=truth, shown=0 * truth, class_map=truth, prediction=object())
        return self.page

    def paint(self, stroke: Any) -> None:
        self.page.shown = self.page.truth

    def close(self) -> None:
        self.closed += 1

    def fine_tune(self, start_s: float, seconds: float, options: Any) -> Pending:
        self.begun.append((start_s, self.closed))
        number = len(self.begun)
        return Pending(start_s + seconds, number, self.adopted[number - 1] if self.adopted else True, options)

    def use(self, number: int, record: Any) -> None:
        self.used.append(number)

    def doubt(self) -> None:
        self.doubted.append(self.used[-1])


def economy(desk: FakeDesk, minutes: float, **options: Any) -> Economy:
    known = {"minutes": minutes, "every": 1, "train_seconds": 20.0, "steps_per_second": 2.0, "seed": 0}
    known |= {"device": "cpu", "threads": 1, "doubt": "idle", "fit_seconds": -PAINTING_S, "look_seconds": 0} | options
    return Economy(desk, Annotator(HABITS), argparse.Namespace(**known), State())  # type: ignore[arg-type]


def test_the_person_works_while_it_trains() -> None:
    desk = FakeDesk(10)
    run = economy(desk, minutes=1.25)
    rows = list(run.run())
    assert [row["closed_s"] for row in rows[:3]] == [12.0, 24.5, 37.0]
    assert [(round(s), n) for s, n in desk.begun] == [
        (13, 1),
        (33, 2),
        (53, 4),
    ]  # the next at once, with what is done then
    assert desk.used == [1, 2, 3]
    assert [row["at_s"] for row in run.state.versions] == pytest.approx([33, 53, 73])
    assert run.state.busy_s == 60
    assert run.state.rested_s == pytest.approx(0, abs=1e-3)
    assert rows[0]["wrong_before"] == 1
    assert rows[0]["wrong_after"] == 0
    assert [row["version"] for row in rows[:4]] == [None, None, None, 1]  # what was in use when it was opened


@pytest.mark.parametrize("how", ["given", "measured"])
def test_a_fine_tune_rests_while_the_person_paints_and_an_image_is_opened(how: str) -> None:
    desk = FakeDesk(10)
    given = {"fit_seconds": None, "look_seconds": None}
    if how == "given":
        desk.answered_s, desk.looked_s = [99.0], 99.0
        given = {"fit_seconds": 0.2, "look_seconds": 0.5}
    else:
        desk.answered_s, desk.looked_s = [0.2], 0.5
    run = economy(desk, minutes=1.25, **given)
    list(run.run())
    # Opening, stroke, opening; then stroke, opening, stroke, opening: 0.5 s each, and 0.3 s.
    assert [row["at_s"] for row in run.state.versions] == pytest.approx([34.3, 55.9], abs=1e-3)
    assert run.state.rested_s == pytest.approx(2.9, abs=1e-3)
    assert run.state.ran_s(20) == 40


def test_a_version_that_is_late_because_it_rested_is_not_used() -> None:
    desk = FakeDesk(10)
    run = economy(desk, minutes=34 / 60, fit_seconds=3.0, look_seconds=1.0)
    list(run.run())
    assert len(desk.begun) == 1
    assert desk.used == []
    assert run.state.versions == []
    assert run.state.pending is not None
    assert run.state.pending["at_s"] > 34


def test_the_lease_is_that_of_the_program() -> None:
    from pspnet_studio.model import live

    assert (live._QUIET_S, live._PAINTING_S) == (QUIET_S, PAINTING_S)
    assert leased([0.05, 0.12]) == pytest.approx(0.05 + 0.07 + 0.1)
    assert leased([2.0, 3.0]) == pytest.approx(0.3 + 0.1 + 0.1)  # nobody renewed it


def test_a_fine_tune_makes_the_steps_of_its_time_and_none_begins_that_ends_too_late() -> None:
    desk = FakeDesk(10)
    run = economy(desk, minutes=0.5)
    list(run.run())
    assert desk.begun == []  # from second 13 on, 20 s are too long for 30
    desk = FakeDesk(10)
    run = economy(desk, minutes=0.75)
    list(run.run())
    assert run.state.versions[0]["number"] == 1
    assert len(desk.begun) == 1
    assert run._desk.page is not None


def test_steps_follow_from_speed_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_economy, "TRAINING_SHARE", 0.5)
    desk, told = FakeDesk(3), []
    desk.fine_tune = lambda s, t, options: told.append(options) or Pending(s + t, 1, True)  # type: ignore[method-assign]
    list(economy(desk, minutes=1, steps_per_second=3.0, every=3).run())
    assert [(o["steps"], o["mode"], o["seconds"]) for o in told] == [(30, "quick", None)]


def test_it_waits_for_so_many_images() -> None:
    desk = FakeDesk(10)
    list(economy(desk, minutes=2, every=3).run())
    assert [images for _, images in desk.begun] == [3, 6]


def test_what_is_not_adopted_is_not_used() -> None:
    desk = FakeDesk(10, adopted=(True, False, True))
    run = economy(desk, minutes=1.25)
    list(run.run())
    assert desk.used == [1, 3]
    assert [row["adopted"] for row in run.state.versions] == [True, False, True]


@pytest.mark.parametrize(("when", "doubted"), [("idle", [2]), ("always", [1, 2]), ("never", [])])
def test_the_queue_asks_a_version_while_nothing_is_trained(when: str, doubted: list[int]) -> None:
    desk = FakeDesk(2)
    list(economy(desk, minutes=3, doubt=when).run())
    assert desk.used == [1, 2]
    assert desk.doubted == doubted


def test_with_nothing_left_to_label_the_last_fine_tunes_come_to_their_end() -> None:
    desk = FakeDesk(2)
    run = economy(desk, minutes=3)
    assert len(list(run.run())) == 2
    assert desk.used == [1, 2]
    assert run.state.now_s == pytest.approx(180)


def test_when_a_curve_gets_there() -> None:
    curve = [[30, 0.2], [90, 0.5], [120, 0.4]]
    assert minutes_to(curve, 0.5) == 1.5
    assert minutes_to(curve, 0.51) is None
    assert minutes_to([], 0.1) is None


def test_scores_are_kept(tmp_path: Path) -> None:
    Scores(tmp_path / "s.jsonl", lambda _: None).put("version_1", 0.51239)
    again = Scores(tmp_path / "s.jsonl", lambda _: None)
    assert again.get("version_1") == 0.5124
    assert again.get("version_2") is None
