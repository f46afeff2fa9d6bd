"""Fine-tune and predict in the wired program, with the real network on small pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError, TrainingError
from pspnet_core.training.events import Decided, Evaluated, Step
from pspnet_core.types import Rect
from pspnet_studio.bootstrap import Studio
from tests.helpers.folders import make_data_set, make_folder
from tests.helpers.studio import open_paths, running_studio

SECONDS = 8


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path) -> Iterator[Studio]:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


def outcomes(studio: Studio) -> list[Any]:
    ends: list[Any] = []
    studio.training.ended.connect(ends.append)
    return ends


def test_one_click_learns_adopts_and_shows_the_overlay(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    folder = make_data_set(tmp_path / "discs", train=4, test=2)
    (folder / "masks" / "test" / "01.png").unlink()
    open_paths(qtbot, studio, folder)
    studio.session.go_to("images/test/01.png")
    ends = outcomes(studio)
    panel = studio.window.training_panel
    panel.set_seconds(SECONDS)
    panel.start_button.click()
    assert studio.training.is_running
    assert not studio.training.can_start()[0]
    qtbot.waitUntil(lambda: bool(ends), timeout=120_000)
    decided = ends[0]
    assert isinstance(decided, Decided), decided
    assert decided.adopted
    assert any(isinstance(event, Step) for event in studio.training.history)
    assert any(isinstance(event, Evaluated) for event in studio.training.history)
    assert studio.training.current_version == 1
    assert not any("test" in key for key in decided.version.record["trained_items"])
    qtbot.waitUntil(lambda: studio.predictions.state == "ready", timeout=60_000)
    document = studio.session.document
    assert document is not None
    assert document.item_key == "images/test/01.png"
    assert document.prediction is not None
    assert document.prediction_version == 1
    assert studio.session.project is not None
    assert studio.session.project.state("images/test/01.png").prediction_shown

    studio.training.set_current(None)
    assert document.prediction is None
    studio.training.set_current(1)
    qtbot.waitUntil(lambda: document.prediction is not None, timeout=10_000)  # from the cache


def test_cancel_answers_within_a_second_and_keeps_nothing(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "discs", train=4, test=1))
    ends = outcomes(studio)
    studio.training.start(60)
    qtbot.waitUntil(lambda: any(isinstance(e, Step) for e in studio.training.history), timeout=60_000)
    begin_s = time.monotonic()
    studio.training.cancel()
    qtbot.waitUntil(lambda: bool(ends), timeout=10_000)
    assert time.monotonic() - begin_s < 1
    assert ends == [None]
    assert studio.training.versions() == []
    assert studio.training.can_start()[0]


def test_stop_and_keep_gives_a_version_early(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "discs", train=4, test=1))
    ends = outcomes(studio)
    studio.training.start(600)
    qtbot.waitUntil(lambda: any(isinstance(e, Step) for e in studio.training.history), timeout=60_000)
    studio.training.finish_early()
    qtbot.waitUntil(lambda: bool(ends), timeout=60_000)
    assert isinstance(ends[0], Decided), ends[0]
    assert studio.training.current_version == 1


def test_an_error_is_shown_and_the_old_version_goes_on(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "discs", train=3, test=1))
    ends = outcomes(studio)
    studio.training.start(SECONDS)
    qtbot.waitUntil(lambda: bool(ends), timeout=120_000)

    def fail(*_: object, **__: object) -> Iterator[None]:
        raise TrainingError("The loss is not a number.", "Step 3.", "Try again.")
        yield

    monkeypatch.setattr("pspnet_core.training.finetune.finetune", fail)
    studio.training.start(SECONDS)
    qtbot.waitUntil(lambda: len(ends) == 2, timeout=30_000)
    assert isinstance(ends[1], PspnetError)
    assert studio.training.current_version == 1
    assert "not a number" in studio.window.training_panel.result.text


def test_painting_goes_on_while_it_trains_and_is_saved(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    folder = make_data_set(tmp_path / "discs", train=3, test=1)
    open_paths(qtbot, studio, folder)
    ends = outcomes(studio)
    studio.training.start(SECONDS)
    qtbot.waitUntil(lambda: any(isinstance(e, Step) for e in studio.training.history), timeout=60_000)
    document = studio.session.document
    assert document is not None
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 30, 30), np.ones((30, 30), bool), 1)
    document.commit_edit()
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved", timeout=5_000)
    assert not ends, "saved while training was going on"
    assert (folder / ".pspnet-studio" / "masks" / f"{document.item_key}.png").exists()


def test_a_stale_prediction_is_dropped(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "discs", train=4, test=1))
    ends = outcomes(studio)
    studio.training.start(SECONDS)
    qtbot.waitUntil(lambda: bool(ends), timeout=120_000)
    keys = [item.key for item in studio.session.project.items]  # type: ignore[union-attr]
    for key in keys:
        studio.session.go_to(key)
        qtbot.waitUntil(lambda key=key: studio.session.document.item_key == key)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: studio.predictions.state == "ready", timeout=60_000)
    document = studio.session.document
    assert document is not None
    assert document.item_key == keys[-1]
    assert document.prediction is not None
    assert document.prediction.class_map.shape == document.image.shape[:2]


def test_fine_tune_says_what_is_missing(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    assert "folder" in studio.training.can_start()[1]
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", with_classes=False))
    assert "two classes" in studio.training.can_start()[1]
    assert studio.session.project is not None
    studio.session.set_classes(studio.session.project.classes.add("a").add("b"))
    assert "Paint" in studio.training.can_start()[1]
    studio.window.actions_by_id["fine_tune"].trigger()
    assert "Paint" in studio.window.message_bar.text
    assert studio.session.document is not None
    studio.session.document.fill_unlabelled(0)
    assert studio.training.can_start() == (True, "")
