"""The queue of next images in the wired program, with the real network, on the sample project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from pspnet_core.project.project import Split, Status
from pspnet_core.sample import write_sample
from pspnet_studio.bootstrap import Studio
from pspnet_studio.model.lists import SortBy
from tests.helpers.studio import open_paths, running_studio


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path) -> Iterator[Studio]:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


def test_images_are_suggested_and_a_key_goes_to_the_best(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, write_sample(tmp_path / "sample"))
    project = studio.session.project
    assert project is not None
    qtbot.waitUntil(lambda: studio.queue.is_ready and bool(studio.queue.order), timeout=60_000)
    items = [project.item(entry.key) for entry in studio.queue.order]
    assert all(item.split in (Split.NONE, Split.TRAIN) for item in items)
    kept = tmp_path / "cache" / "pspnet-studio" / "summaries" / project.uuid
    qtbot.waitUntil(lambda: len(list(kept.glob("*.npz"))) >= len(items), timeout=30_000)

    best = studio.queue.best(other_than=studio.session.current_key)
    QTest.keyClick(studio.window, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: studio.session.document is not None and studio.session.document.item_key == best)
    with qtbot.waitSignal(studio.queue.changed, timeout=10_000):
        QTest.keyClick(studio.window, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert best is not None
    assert project.state(best).status is Status.DONE
    assert studio.session.current_key == best  # nothing but an offer
    assert "N opens the next suggested image" in studio.window.status_line.currentMessage()
    assert best not in [entry.key for entry in studio.queue.order]


def test_the_order_of_the_list_is_remembered(qtbot: QtBot, tmp_path: Path) -> None:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        button = studio.window.images_panel.findChild(QToolButton)
        assert button is not None
        next(action for action in button.menu().actions() if action.text() == "Suggested first").trigger()
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        assert studio.window.images_panel.shown.sort_by is SortBy.SUGGESTED


def test_the_switch_is_remembered(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    action = studio.window.actions_by_id["suggest_images"]
    assert action.isChecked()
    action.trigger()
    assert not action.isChecked()
    assert not studio.queue.is_on
    assert not studio.settings.has_suggestions
