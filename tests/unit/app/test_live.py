"""The overlay that follows the hand, in the wired program with real lanes and real features."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.inference.logits import LogitGrid
from pspnet_core.training.versions import Version
from pspnet_core.types import UNLABELLED, Prediction, Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.jobs.live import LiveFit, read_kept
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.model.document import Document
from tests.helpers.folders import make_folder
from tests.helpers.studio import open_paths, running_studio

GRASS, HOUSE = 0, 1
_LONG_MS = 30_000


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
        settle(qtbot, studio)
        yield studio


def settle(qtbot: QtBot, studio: Studio) -> None:
    qtbot.waitUntil(lambda: studio.live.state in ("waiting", "ready", "failed"), timeout=_LONG_MS)
    assert studio.live.state != "failed"


def document_of(studio: Studio) -> Document:
    assert studio.session.document is not None
    return studio.session.document


def stroke(studio: Studio, rect: Rect, class_id: int) -> None:
    document = document_of(studio)
    document.begin_edit("brush")
    document.paint(rect, np.ones((rect.h, rect.w), bool), class_id)
    assert document.commit_edit()


def two_strokes(qtbot: QtBot, studio: Studio) -> Prediction:
    stroke(studio, Rect(2, 2, 30, 5), GRASS)
    stroke(studio, Rect(60, 50, 30, 8), HOUSE)
    settle(qtbot, studio)
    shown = document_of(studio).prediction
    assert shown is not None
    return shown


def test_strokes_of_two_classes_are_enough_in_a_project_without_a_version(qtbot: QtBot, studio: Studio) -> None:
    stroke(studio, Rect(2, 2, 30, 5), GRASS)
    settle(qtbot, studio)
    assert document_of(studio).prediction is None
    stroke(studio, Rect(60, 50, 30, 8), HOUSE)
    settle(qtbot, studio)
    shown = document_of(studio).prediction
    assert shown is not None
    assert set(np.unique(shown.class_map)) == {GRASS, HOUSE}
    assert shown.class_map.shape == document_of(studio).shape
    assert studio.window.actions_by_id["accept_all"].isEnabled()
    assert studio.session.project is not None
    assert studio.session.project.state(document_of(studio).item_key).prediction_shown


def test_undo_and_redo_take_the_answer_back_and_bring_it_again(qtbot: QtBot, studio: Studio) -> None:
    shown = two_strokes(qtbot, studio)
    document_of(studio).undo()
    settle(qtbot, studio)
    assert document_of(studio).prediction is None
    document_of(studio).redo()
    settle(qtbot, studio)
    again = document_of(studio).prediction
    assert again is not None
    assert float((again.class_map == shown.class_map).mean()) > 0.99


def test_a_class_that_is_added_midway_is_answered_too(qtbot: QtBot, studio: Studio) -> None:
    two_strokes(qtbot, studio)
    assert studio.session.project is not None
    studio.session.set_classes(studio.session.project.classes.add("pond", index=7))
    stroke(studio, Rect(120, 90, 20, 8), 7)
    settle(qtbot, studio)
    shown = document_of(studio).prediction
    assert shown is not None
    assert 7 in shown.class_map


def test_only_the_answer_to_the_last_of_many_edits_stays(qtbot: QtBot, studio: Studio) -> None:
    two_strokes(qtbot, studio)
    for number in range(6):
        stroke(studio, Rect(5 + 4 * number, 100, 4, 4), GRASS if number % 2 else HOUSE)
    for _ in range(6):
        document_of(studio).undo()
    settle(qtbot, studio)
    shown = document_of(studio).prediction
    assert shown is not None
    fresh = studio.live
    fresh.set_on(False)
    fresh.set_on(True)
    settle(qtbot, studio)
    again = document_of(studio).prediction
    assert again is not None
    assert float((again.class_map == shown.class_map).mean()) > 0.99


@contextmanager
def busy_live_lane(studio: Studio) -> Iterator[None]:
    """What is asked of the live lane waits."""
    is_over = threading.Event()
    studio.session.runner.call(
        Lane.LIVE, lambda: is_over.wait(_LONG_MS / 1000), name="busy", priority=Priority.SAVE, on_error=lambda _: None
    )
    try:
        yield
    finally:
        is_over.set()


def to_the_next_image(qtbot: QtBot, studio: Studio) -> Document:
    before = document_of(studio)
    studio.session.step(1)
    qtbot.waitUntil(lambda: studio.session.document not in (None, before), timeout=_LONG_MS)
    return document_of(studio)


def test_an_image_that_is_left_during_a_fit_gets_no_answer_on_the_next_one(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pspnet_studio.model.live.read_kept", lambda *_: None
    )  # the second one has no answer of its own
    first = document_of(studio)
    with busy_live_lane(studio):
        stroke(studio, Rect(2, 2, 30, 5), GRASS)
        stroke(studio, Rect(60, 50, 30, 8), HOUSE)
        second = to_the_next_image(qtbot, studio)
    settle(qtbot, studio)
    assert first.prediction is None
    assert second.prediction is None


def test_the_last_stroke_before_an_image_is_left_is_kept_for_later_ones(qtbot: QtBot, studio: Studio) -> None:
    assert studio.session.project is not None
    folder, key = studio.session.project.folder / "live", document_of(studio).item_key
    stroke(studio, Rect(2, 2, 30, 5), GRASS)
    settle(qtbot, studio)
    with busy_live_lane(studio):  # with the fit to this one
        stroke(studio, Rect(60, 50, 30, 8), HOUSE)
        to_the_next_image(qtbot, studio)
    qtbot.waitUntil(lambda: len(list(folder.glob("*.npz"))) == 1, timeout=_LONG_MS)
    settle(qtbot, studio)
    kept = read_kept(folder, f"not {key}", (GRASS, HOUSE))
    assert kept is not None
    assert set(kept.class_ids.tolist()) == {GRASS, HOUSE}


def test_an_image_whose_strokes_were_all_undone_leaves_nothing(qtbot: QtBot, studio: Studio) -> None:
    assert studio.session.project is not None
    folder = studio.session.project.folder / "live"
    two_strokes(qtbot, studio)
    studio.session.save_now()
    qtbot.waitUntil(lambda: len(list(folder.glob("*.npz"))) == 1, timeout=_LONG_MS)
    document_of(studio).undo()
    document_of(studio).undo()
    to_the_next_image(qtbot, studio)
    qtbot.waitUntil(lambda: not list(folder.glob("*.npz")), timeout=_LONG_MS)


def test_a_prediction_that_comes_in_parts_is_no_edit(qtbot: QtBot, studio: Studio) -> None:
    two_strokes(qtbot, studio)
    document = document_of(studio)
    shown = document.prediction
    assert shown is not None
    for whole in (shown, Prediction(np.zeros_like(shown.class_map), np.zeros_like(shown.confidence))):
        document.set_prediction(whole, 1, (Rect(0, 0, 8, 8), Rect(8, 8, 8, 8)))
        document.set_prediction(whole, 1, Rect(16, 8, 8, 8))
    assert studio.live._changed == []
    document.begin_edit("brush")
    document.paint(Rect(3, 90, 4, 4), np.ones((4, 4), bool), GRASS)
    assert studio.live._changed == [Rect(3, 90, 4, 4)]
    document.abort_edit()


def test_live_refine_rests_on_images_that_are_too_large_for_it(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pspnet_studio.model.live.MAX_PIXELS", document_of(studio).rect.w * document_of(studio).rect.h)
    to_the_next_image(qtbot, studio)
    settle(qtbot, studio)
    monkeypatch.setattr("pspnet_studio.model.live.MAX_PIXELS", 1000)
    to_the_next_image(qtbot, studio)
    assert studio.live.state == "too_large"
    assert "64 megapixels" in studio.window.status_line.live_label.text()
    stroke(studio, Rect(2, 2, 30, 5), GRASS)
    stroke(studio, Rect(60, 50, 30, 8), HOUSE)
    assert studio.live.state == "too_large"
    assert document_of(studio).prediction is None


def test_strokes_of_an_earlier_image_answer_for_a_later_one(qtbot: QtBot, studio: Studio) -> None:
    two_strokes(qtbot, studio)
    first = document_of(studio)
    assert studio.session.project is not None
    folder = studio.session.project.folder / "live"
    studio.session.step(1)
    qtbot.waitUntil(lambda: studio.session.document not in (None, first), timeout=_LONG_MS)
    qtbot.waitUntil(lambda: len(list(folder.glob("*.npz"))) == 1, timeout=_LONG_MS)
    studio.session.step(1)
    qtbot.waitUntil(lambda: studio.live.state == "ready", timeout=_LONG_MS)
    shown = document_of(studio).prediction
    assert shown is not None
    assert set(np.unique(shown.class_map)) == {GRASS, HOUSE}


def test_training_rests_from_the_stroke_until_its_answer_is_there(qtbot: QtBot, studio: Studio) -> None:
    two_strokes(qtbot, studio)
    steps: list[int] = []
    ends = threading.Event()

    def training() -> Iterator[None]:
        while not ends.wait(0.005):
            steps.append(1)
            yield

    studio.runner.submit(Lane.TORCH, training, name="training", priority=Priority.TRAINING)
    qtbot.waitUntil(lambda: len(steps) > 2)
    document = document_of(studio)
    document.begin_edit("brush")
    document.paint(Rect(40, 10, 20, 5), np.ones((5, 20), bool), HOUSE)  # the hand is still at work
    qtbot.wait(30)
    resting = len(steps)
    qtbot.wait(100)
    assert len(steps) == resting
    assert document.commit_edit()
    qtbot.waitUntil(lambda: studio.live.state == "ready", timeout=_LONG_MS)
    qtbot.waitUntil(lambda: len(steps) > resting + 2)  # and goes on
    ends.set()


def test_the_switch_shows_the_version_again_and_is_remembered(qtbot: QtBot, studio: Studio) -> None:
    two_strokes(qtbot, studio)
    assert studio.window.actions_by_id["live_refine"].isChecked()
    studio.window.actions_by_id["live_refine"].trigger()
    assert document_of(studio).prediction is None
    assert studio.live.state == "off"
    assert not studio.settings.has_live_refine
    stroke(studio, Rect(2, 60, 10, 5), GRASS)
    qtbot.wait(50)
    assert document_of(studio).prediction is None
    studio.window.actions_by_id["live_refine"].trigger()
    settle(qtbot, studio)
    assert document_of(studio).prediction is not None


def test_a_version_is_the_prior_and_its_own_answer_stays_without_strokes(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = document_of(studio)
    height, width = document.shape
    values = np.zeros((2, -(-height // 4), -(-width // 4)), np.float16)
    values[GRASS] = 4
    grid = LogitGrid(values, 4, (GRASS, HOUSE), height, width, False)
    base = Prediction(np.full((height, width), GRASS, np.uint8), np.full((height, width), 250, np.uint8))
    monkeypatch.setattr(studio.predictions, "logits_of", lambda _: grid)
    monkeypatch.setattr(studio.predictions, "base_of", lambda _: base)
    document.set_prediction(base, 1)
    studio.predictions.base_ready.emit()
    settle(qtbot, studio)
    assert document.prediction is base
    stroke(studio, Rect(60, 50, 30, 8), HOUSE)
    settle(qtbot, studio)
    assert document.prediction is not None
    assert document.prediction is not base
    assert HOUSE in document.prediction.class_map
    document.undo()
    settle(qtbot, studio)
    assert document.prediction is base


def test_live_refine_knows_from_how_many_images_the_version_learned(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int | None] = []
    records: list[dict[str, object]] = [{"num_images": 3}, {"imported": True}]
    monkeypatch.setattr(LiveFit, "set_prior", lambda _self, _prior, num_images=None: told.append(num_images))
    for record in records:
        monkeypatch.setattr(type(studio.training), "current_version", property(lambda _: 1))
        version = Version(1, tmp_path, record)
        monkeypatch.setattr(studio.training, "versions", lambda version=version: [version])
        studio.predictions.base_ready.emit()
        settle(qtbot, studio)
    assert told == [3, None]


def test_what_is_erased_is_not_answered_there_any_more(qtbot: QtBot, studio: Studio) -> None:
    shown = two_strokes(qtbot, studio)
    rows, columns = np.nonzero(shown.class_map == HOUSE)
    far = int(np.argmax(np.abs(rows - 54) + np.abs(columns - 75)))
    y, x = int(rows[far]), int(columns[far])
    before = int((shown.class_map == HOUSE).sum())
    stroke(studio, Rect(max(0, x - 4), max(0, y - 4), 9, 9).intersect(document_of(studio).rect), UNLABELLED)
    settle(qtbot, studio)
    after = document_of(studio).prediction
    assert after is not None
    assert after is not shown
    assert int((after.class_map == HOUSE).sum()) < before
