"""The wired program, offscreen: commands, enabled states, drop, export, quit, with real threads and files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Project, Status
from pspnet_core.types import Prediction, Provenance, Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.dialogs.leave import DropChoice, TrainingChoice
from tests.helpers.folders import files_below, make_data_set, make_folder
from tests.helpers.studio import open_paths, running_studio


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


def key(studio: Studio, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(studio.window, key, modifiers)


def drop(studio: Studio, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), copy, data, left, none)
    QApplication.sendEvent(studio.window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(studio.window, QDropEvent(QPointF(50, 50), copy, data, left, none))


def predict(studio: Studio, class_id: int) -> None:
    document = studio.session.document
    assert document is not None
    plane = np.full(document.image.shape[:2], class_id, np.uint8)
    document.set_prediction(Prediction(plane, np.full_like(plane, 200)), version=1)


def counts(studio: Studio) -> dict[int, int]:
    assert studio.session.document is not None
    values, numbers = np.unique(studio.session.document.class_plane.to_array(), return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def test_the_start_page_gives_way_to_the_canvas(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    assert studio.window.welcome.isVisible()
    assert not studio.window.actions_by_id["brush"].isEnabled()
    drop(studio, make_folder(tmp_path / "meadow"))
    qtbot.waitUntil(lambda: studio.session.document is not None)
    assert studio.window.canvas.isVisible()
    assert studio.window.actions_by_id["brush"].isEnabled()
    assert "meadow" in studio.window.windowTitle()
    assert studio.settings.recent_folders == [str(tmp_path / "meadow")]


def test_a_drop_on_an_open_project_asks(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    shore = make_folder(tmp_path / "shore", with_classes=False)
    answers = [DropChoice.NOTHING, DropChoice.ADD, DropChoice.OPEN]
    studio.window.intake._ask = lambda *_: answers.pop(0)
    drop(studio, shore)
    qtbot.waitUntil(lambda: len(answers) == 2)
    assert studio.session.project is not None
    assert len(studio.session.project.items) == 3
    drop(studio, shore)
    qtbot.waitUntil(lambda: len(studio.session.project.items) == 6)  # type: ignore[union-attr]
    drop(studio, shore)
    qtbot.waitUntil(lambda: studio.session.project is not None and studio.session.project.root == shore)


def test_three_dropped_photos_bring_no_neighbours(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "meadow", count=9)
    open_paths(qtbot, studio, folder / "photo_1.png", folder / "photo_4.png")
    assert studio.session.project is not None
    assert [item.key for item in studio.session.project.items] == ["photo_1.png", "photo_4.png"]


def test_keys_do_what_they_say(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    tools, session = studio.tool_state, studio.session
    key(studio, Qt.Key.Key_E)
    assert tools.tool == "eraser"
    key(studio, Qt.Key.Key_P)
    assert tools.tool == "polygon"
    key(studio, Qt.Key.Key_B)
    key(studio, Qt.Key.Key_2)
    assert tools.class_id == 1
    before = tools.diameter
    key(studio, Qt.Key.Key_BracketRight)
    assert tools.diameter > before
    key(studio, Qt.Key.Key_BracketLeft)
    key(studio, Qt.Key.Key_BracketLeft)
    assert tools.diameter < before
    key(studio, Qt.Key.Key_G)
    assert counts(studio) == {1: 120 * 160}
    key(studio, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert counts(studio) == {255: 120 * 160}
    key(studio, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert counts(studio) == {1: 120 * 160}
    key(studio, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert session.project is not None
    assert session.project.state("photo_0.png").status is Status.DONE
    key(studio, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == "photo_1.png")
    key(studio, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert session.project.state("photo_1.png").status is Status.SKIPPED
    key(studio, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == "photo_0.png")
    assert tools.overlay_visible
    key(studio, Qt.Key.Key_O)
    assert not tools.overlay_visible


def test_accept_keys_take_over_the_prediction(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    document = studio.session.document
    assert document is not None
    assert not studio.window.actions_by_id["accept_all"].isEnabled()
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 10, 10), np.ones((10, 10), bool), 0)
    document.commit_edit()
    predict(studio, 1)
    studio.window.commands.update_enabled()
    control = Qt.KeyboardModifier.ControlModifier
    key(studio, Qt.Key.Key_Return, control)
    assert counts(studio) == {0: 100, 1: 120 * 160 - 100}
    predict(studio, 0)
    key(studio, Qt.Key.Key_Return, control)
    assert counts(studio)[1] == 120 * 160 - 100, "accepted pixels stay"
    key(studio, Qt.Key.Key_Return, control | Qt.KeyboardModifier.ShiftModifier)
    assert counts(studio) == {0: 120 * 160}
    assert (document.provenance_plane.to_array()[:10, :10] == Provenance.PAINTED).all()
    for _ in range(3):
        key(studio, Qt.Key.Key_Z, control)
    assert counts(studio) == {255: 120 * 160}


def test_typing_a_class_name_does_not_fire_shortcuts(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", with_classes=False))
    edit = studio.window.classes_panel.findChild(QLineEdit)
    assert edit is not None
    edit.setFocus()
    QTest.keyClicks(edit, "bridge 1")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert studio.session.project is not None
    assert studio.session.project.classes.names == ("bridge 1",)
    assert studio.session.current_key == "photo_0.png"
    assert studio.tool_state.class_id == 0


def test_the_list_shows_the_classes_of_an_opened_mask(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    root = make_data_set(tmp_path / "set")
    strange = np.zeros((120, 160), np.uint8)
    strange[:50] = 9
    Image.fromarray(strange).save(root / "masks" / "train" / "00.png")
    before = files_below(root)
    open_paths(qtbot, studio, root / "images")
    open_paths(qtbot, studio, root)
    assert studio.session.project is not None
    studio.session.go_to("images/train/00.png")
    qtbot.waitUntil(lambda: 9 in studio.session.project.classes)  # type: ignore[union-attr]
    assert 9 in [c.index for c in studio.session.project.classes]
    assert files_below(root) == before


def test_export_writes_one_mask_an_image(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    key(studio, Qt.Key.Key_2)
    key(studio, Qt.Key.Key_G)
    from pspnet_studio.dialogs.export import ExportDialog

    monkeypatch.setattr(ExportDialog, "exec", lambda _: ExportDialog.DialogCode.Accepted)
    studio.window.actions_by_id["export"].trigger()
    out = tmp_path / "meadow-masks"
    qtbot.waitUntil(lambda: "1 mask" in studio.window.message_bar.text, timeout=10_000)
    masks = list(out.rglob("*.png"))
    assert len(masks) == 1
    assert (np.asarray(Image.open(masks[0])) == 1).all()


def test_closing_saves_first(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "meadow")
    open_paths(qtbot, studio, folder)
    key(studio, Qt.Key.Key_G)
    studio.window.close()
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=10_000)
    project = Project.open(folder)
    assert (project.load_annotation(project.item("photo_0.png"), 160, 120).class_map == 0).all()


def test_closing_with_a_full_disk_asks_each_time_and_can_be_done(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        key(studio, Qt.Key.Key_G)
        answers = [False, False]
        asked: list[str] = []

        def ask(_: object, detail: str) -> bool:
            asked.append(detail)
            return answers.pop(0)

        patch.setattr("pspnet_studio.windows.main_window.ask_quit_unsaved", ask)
        for number in (1, 2):
            studio.window.close()
            qtbot.waitUntil(lambda number=number: len(asked) == number, timeout=10_000)
            assert studio.window.isVisible()
    assert "disk is full" in asked[0]
    studio.window.close()
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=10_000)
    project = Project.open(tmp_path / "meadow")
    assert (project.load_annotation(project.item("photo_0.png"), 160, 120).class_map == 0).all()


def test_a_fine_tune_that_cannot_save_first_says_so(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "discs"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ends: list[object] = []
    studio.training.ended.connect(ends.append)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        key(studio, Qt.Key.Key_G)
        document = studio.session.document
        assert document is not None
        document.begin_edit("brush")
        document.paint(Rect(0, 0, 9, 9), np.ones((9, 9), bool), 1)
        document.commit_edit()
        studio.training.start(5)
        qtbot.waitUntil(lambda: bool(ends), timeout=10_000)
    assert isinstance(ends[0], PspnetError)
    assert not studio.training.is_running


def test_a_stroke_under_way_is_kept_when_the_next_image_comes(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "meadow")
    open_paths(qtbot, studio, folder)
    canvas = studio.window.canvas
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    document = studio.session.document
    assert document is not None
    assert document.is_editing
    key(studio, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: studio.session.document is not document)
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved", timeout=5_000)
    project = Project.open(folder)
    assert (project.load_annotation(project.item("photo_0.png"), 160, 120).class_map == 0).any()


def test_closing_while_training_waits_for_the_answer(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(_: object, purpose: str) -> TrainingChoice:
        asked.append(purpose)
        return TrainingChoice.STAY

    studio.window.guard._ask = ask
    with monkeypatch.context() as patch:
        patch.setattr(type(studio.training), "is_running", property(lambda _: True))
        studio.window.close()
        assert studio.window.isVisible()
    assert asked == ["quitting"]


def test_what_goes_wrong_is_said_in_the_window(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    studio.window.intake.open([tmp_path / "empty"])
    bar = studio.window.message_bar
    qtbot.waitUntil(lambda: bar.isVisible() or bool(bar.text))
    assert "empty" in bar.text
    assert studio.window.welcome.isVisible()
    studio.window.intake.open([tmp_path / "nowhere"])
    qtbot.waitUntil(lambda: len(bar._waiting) == 1)
    bar.clear()
    assert not bar.isVisible()


def test_hiding_with_v_only_while_held(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    QTest.keyPress(studio.window.canvas, Qt.Key.Key_V)
    assert not studio.tool_state.overlay_visible
    QTest.keyRelease(studio.window.canvas, Qt.Key.Key_V)
    assert studio.tool_state.overlay_visible


def test_painting_what_would_not_be_seen_is_refused_in_words(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    canvas, session = studio.window.canvas, studio.session
    hints: list[str] = []
    canvas.hint_changed.connect(hints.append)
    assert session.project is not None
    session.set_classes(session.project.classes.change(0, visible=False))
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    assert counts(studio) == {255: 120 * 160}
    assert "ground" in hints[-1]
    session.set_classes(session.project.classes.change(0, visible=True))
    studio.tool_state.set_overlay_visible(False)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    assert counts(studio) == {255: 120 * 160}
    studio.tool_state.set_overlay_visible(True)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    assert 0 in counts(studio)


def test_the_pointer_on_the_image_brings_the_keys_there(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    panel, canvas = studio.window.classes_panel, studio.window.canvas

    def enter() -> None:
        at = QPointF(canvas.rect().center())
        QApplication.sendEvent(canvas, QEnterEvent(at, at, at))

    panel.view.setFocus()
    enter()
    assert canvas.hasFocus()
    edit = panel.findChild(QLineEdit)
    assert edit is not None
    edit.setFocus()
    QTest.keyClicks(edit, "half a na")
    enter()
    assert edit.hasFocus(), "a half typed name keeps the keyboard"


def test_brush_and_overlay_are_remembered(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    studio.tool_state.set_diameter(77)
    studio.tool_state.set_opacity(0.9)
    studio.window.close()
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=10_000)
    assert studio.settings.brush_diameter == 77
    assert studio.settings.overlay_opacity == 0.9


def test_old_messages_go_with_their_project_and_the_newest_is_in_front(
    qtbot: QtBot, studio: Studio, tmp_path: Path
) -> None:
    bar = studio.window.message_bar
    bar.show_message(PspnetError("first"))
    bar.show_message(PspnetError("second"))
    assert bar.text == "second"
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    assert bar.text == ""
