"""Clean-ups with a preview, converting a class, copying the mask of the image before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.project.project import Project
from pspnet_core.types import UNLABELLED, Provenance, Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.dialogs.clean_up import CleanUpDialog
from pspnet_studio.dialogs.convert import ConvertDialog
from pspnet_studio.model import whole_steps
from pspnet_studio.model.document import Document
from tests.helpers.folders import make_folder, photo
from tests.helpers.studio import open_paths, running_studio


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        folder = make_folder(tmp_path / "meadow")
        Image.fromarray(photo(9, 100, 80)[0]).save(folder / "photo_9.png")
        open_paths(qtbot, studio, folder)
        wait_loaded(qtbot, studio)
        yield studio


def wait_loaded(qtbot: QtBot, studio: Studio) -> None:
    qtbot.waitUntil(lambda: not studio.session.is_loading, timeout=10_000)


def go_to(qtbot: QtBot, studio: Studio, key: str) -> None:
    studio.session.go_to(key)
    qtbot.waitUntil(lambda: document_of(studio).item_key == key and not studio.session.is_loading, timeout=10_000)


def document_of(studio: Studio) -> Document:
    assert studio.session.document is not None
    return studio.session.document


def project_of(studio: Studio) -> Project:
    assert studio.session.project is not None
    return studio.session.project


def trigger(studio: Studio, name: str) -> None:
    action = studio.window.actions_by_id[name]
    assert action.isEnabled()
    action.trigger()


def paint(document: Document, rect: Rect, class_id: int) -> None:
    document.begin_edit("test")
    document.paint(rect, np.ones((rect.h, rect.w), np.bool_), class_id)
    document.commit_edit()


def classes(studio: Studio) -> np.ndarray:
    return document_of(studio).class_plane.to_array()


# --- clean up


@pytest.fixture
def dialog(qtbot: QtBot, studio: Studio) -> CleanUpDialog:
    """Of an image with a ring of class 1 and an island."""
    paint(document_of(studio), Rect(20, 20, 60, 60), 1)
    paint(document_of(studio), Rect(40, 40, 10, 10), UNLABELLED)
    paint(document_of(studio), Rect(120, 30, 5, 4), 1)
    studio.tool_state.set_class_id(1)
    trigger(studio, "clean_up")
    dialog = studio.window.commands._clean_up_flow.dialog
    assert dialog is not None
    settle(qtbot, dialog)
    return dialog


def settle(qtbot: QtBot, dialog: CleanUpDialog) -> None:
    qtbot.waitUntil(lambda: "Looking" not in dialog.result_label.text(), timeout=10_000)


def choose(dialog: CleanUpDialog, operation: str, amount: int) -> None:
    dialog.operation_box.setCurrentIndex(dialog.operation_box.findData(operation))
    dialog.amount_box.setValue(amount)


def picture_of(studio: Studio) -> NDArray[np.int16]:
    """(H, W, 4) of the canvas as it is drawn."""
    picture = studio.window.canvas.grab().toImage()
    rows = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine() // 4, 4)
    return rows.astype(np.int16)


def test_the_preview_counts_and_apply_is_one_step(qtbot: QtBot, studio: Studio, dialog: CleanUpDialog) -> None:
    assert dialog.result_label.text() == "100 pixels would change."
    before = classes(studio)
    with_preview = picture_of(studio)
    dialog.apply_button.click()
    after = classes(studio)
    assert (after[20:80, 20:80] == 1).all()
    assert (after != before).sum() == 100
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "Nothing would change."
    assert not dialog.apply_button.isEnabled()
    document_of(studio).undo()
    assert np.array_equal(classes(studio), before)
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "100 pixels would change."
    # Pieces that are drawn anew may be rounded otherwise than the whole.
    assert np.abs(picture_of(studio) - with_preview).max() <= 1
    dialog.close()
    assert np.abs(picture_of(studio) - with_preview).max() > 1


def test_every_operation_can_be_chosen(qtbot: QtBot, studio: Studio, dialog: CleanUpDialog) -> None:
    counts = {}
    for operation, amount in (("islands", 21), ("islands", 20), ("grow", 1), ("shrink", 1), ("smooth", 2)):
        choose(dialog, operation, amount)
        settle(qtbot, dialog)
        counts[operation, amount] = dialog.result_label.text()
    assert counts["islands", 21] == "20 pixels would change."
    assert counts["islands", 20] == "Nothing would change."
    assert counts["grow", 1] == f"{4 * 60 + 4 * 9 + 2 * 9} pixels would change."
    choose(dialog, "islands", 21)
    dialog.replacement_box.setCurrentIndex(1)
    settle(qtbot, dialog)
    dialog.apply_button.click()
    erased = document_of(studio).provenance_plane.read(Rect(120, 30, 5, 4))
    assert (erased == Provenance.ERASED).all()


def test_it_follows_class_lock_and_edits(qtbot: QtBot, studio: Studio, dialog: CleanUpDialog) -> None:
    studio.tool_state.set_class_id(0)
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "Nothing would change."
    dialog.class_box.setCurrentIndex(1)
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "100 pixels would change."
    paint(document_of(studio), Rect(40, 40, 5, 10), 0)
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "100 pixels would change."
    studio.session.set_locked(0, True)
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "50 pixels would change."
    dialog.apply_button.click()
    assert (classes(studio)[40:50, 40:45] == 0).all()


def test_another_image_has_its_own_preview(qtbot: QtBot, studio: Studio, dialog: CleanUpDialog) -> None:
    go_to(qtbot, studio, "photo_1.png")
    settle(qtbot, dialog)
    assert dialog.result_label.text() == "Nothing would change."
    studio.window.commands._clean_up_flow.apply()
    assert not document_of(studio).history.can_undo
    studio.session.close_project()
    qtbot.waitUntil(lambda: not dialog.isVisible())


# --- convert


def answer(qtbot: QtBot, fill_in: Callable[[ConvertDialog], None], accept: bool = True) -> None:
    """Answer the dialog that is about to be opened."""

    def look() -> None:
        dialog = next(
            (w for w in QApplication.topLevelWidgets() if isinstance(w, ConvertDialog) and w.isVisible()), None
        )
        if dialog is None:
            QTimer.singleShot(20, look)
            return
        fill_in(dialog)
        if accept:
            qtbot.waitUntil(dialog.convert_button.isEnabled, timeout=10_000)
            dialog.convert_button.click()
        else:
            dialog.reject()

    QTimer.singleShot(0, look)


def test_a_class_is_converted_here_as_one_step(qtbot: QtBot, studio: Studio) -> None:
    paint(document_of(studio), Rect(10, 10, 20, 20), 1)
    studio.tool_state.set_class_id(1)
    seen = []
    answer(qtbot, lambda dialog: seen.append((dialog.total_label.text(), dialog.from_id, dialog.to_id)))
    trigger(studio, "convert_class")
    assert seen == [("400 pixels would change.", 1, 0)]
    assert (classes(studio)[10:30, 10:30] == 0).all()
    document_of(studio).undo()
    assert (classes(studio)[10:30, 10:30] == 1).all()


def test_a_locked_class_is_not_converted(qtbot: QtBot, studio: Studio) -> None:
    paint(document_of(studio), Rect(10, 10, 20, 20), 1)
    studio.tool_state.set_class_id(1)
    studio.session.set_locked(1, True)
    seen = []
    answer(
        qtbot,
        lambda dialog: seen.append((dialog.total_label.text(), dialog.convert_button.isEnabled())),
        accept=False,
    )
    trigger(studio, "convert_class")
    assert "locked" in seen[0][0]
    assert not seen[0][1]


def test_a_class_is_converted_in_the_project_and_taken_back(qtbot: QtBot, studio: Studio) -> None:
    for number in range(3):
        go_to(qtbot, studio, f"photo_{number}.png")
        paint(document_of(studio), Rect(10, 10, 20 + number, 20), 1)
    studio.tool_state.set_class_id(1)
    rows = []

    def fill_in(dialog: ConvertDialog) -> None:
        dialog.project_button.setChecked(True)
        dialog.to_box.setCurrentIndex(dialog.to_box.findData(UNLABELLED))
        qtbot.waitUntil(dialog.convert_button.isEnabled, timeout=10_000)
        rows.append((dialog.num_rows, dialog.total_label.text()))

    answer(qtbot, fill_in)
    trigger(studio, "convert_class")
    back = studio.window.actions_by_id["take_back_conversion"]
    qtbot.waitUntil(back.isEnabled, timeout=10_000)
    assert rows == [(3, "1,260 pixels would change.")]
    assert "3 masks were changed." in studio.window.message_bar.text
    assert not (classes(studio) == 1).any()
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved", timeout=10_000)
    for number in range(2):
        annotation = project_of(studio).load_annotation(project_of(studio).item(f"photo_{number}.png"), 160, 120)
        assert not (annotation.class_map == 1).any()
    back.trigger()
    qtbot.waitUntil(lambda: (classes(studio) == 1).any() and back.isEnabled(), timeout=10_000)
    for number in range(3):
        go_to(qtbot, studio, f"photo_{number}.png")
        assert (classes(studio) == 1).sum() == 20 * (20 + number)
        if number < 2:
            document_of(studio).undo()
            assert not (classes(studio) == 1).any(), "the steps are in the history of images that were open before"
            document_of(studio).redo()


def test_a_cancelled_conversion_can_be_taken_back(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        go_to(qtbot, studio, f"photo_{number}.png")
        paint(document_of(studio), Rect(10, 10, 20, 20), 1)
    flow = studio.window.commands._convert_flow
    studio.session.save_now()
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved", timeout=10_000)
    save = Project.save_annotation

    def slow(project: Project, item, class_map, provenance) -> None:  # type: ignore[no-untyped-def]
        save(project, item, class_map, provenance)
        if item.key != "photo_2.png":
            monkeypatch.setattr(Project, "save_annotation", save)
            flow._writing.cancel()  # after the first file

    monkeypatch.setattr(Project, "save_annotation", slow)
    flow.convert_project(project_of(studio), 1, 0)
    qtbot.waitUntil(lambda: flow.can_take_back, timeout=10_000)
    assert "2 masks were changed." in studio.window.message_bar.text
    flow.take_back()
    qtbot.waitUntil(lambda: flow.can_take_back and flow._progress is None, timeout=10_000)
    for number in range(3):
        go_to(qtbot, studio, f"photo_{number}.png")
        assert (classes(studio) == 1).sum() == 400


def test_a_class_is_converted_in_the_lane_where_the_image_is_large(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_steps, "SMALL_PX", 100)
    paint(document_of(studio), Rect(10, 10, 20, 20), 1)
    flow = studio.window.commands._convert_flow
    flow.convert_image(document_of(studio), 1, 0)
    assert (classes(studio) == 1).sum() == 400
    qtbot.waitUntil(lambda: (classes(studio) == 0).sum() == 400, timeout=10_000)
    flow.convert_project(project_of(studio), 0, 1)
    qtbot.waitUntil(lambda: flow.can_take_back and flow._progress is None, timeout=10_000)
    assert (classes(studio) == 1).sum() == 400


def test_taking_back_unpacks_one_record_at_a_time_and_none_in_the_window(
    qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        go_to(qtbot, studio, f"photo_{number}.png")
        paint(document_of(studio), Rect(10, 10, 20, 20), 1)
    monkeypatch.setattr(whole_steps, "SMALL_PX", 100)
    flow = studio.window.commands._convert_flow
    flow.convert_project(project_of(studio), 1, 0)
    qtbot.waitUntil(lambda: flow.can_take_back and flow._progress is None, timeout=10_000)
    events: list[str] = []
    window = threading.current_thread()
    unpack, save = MaskPatch.from_bytes, Project.save_annotation

    def unpacking(data: bytes) -> MaskPatch:
        if threading.current_thread() is window:
            events.append("unpack in the window")
        elif data in records:
            events.append(f"unpack {MaskPatch.item_of(data)}")
        return unpack(data)

    def saving(project: Project, item, class_map, provenance) -> None:  # type: ignore[no-untyped-def]
        events.append(f"save {item.key}")
        save(project, item, class_map, provenance)

    assert flow._done is not None
    records = list(flow._done.records)
    monkeypatch.setattr(MaskPatch, "from_bytes", unpacking)
    monkeypatch.setattr(Project, "save_annotation", saving)
    flow.take_back()
    qtbot.waitUntil(lambda: flow.can_take_back and flow._progress is None, timeout=10_000)
    assert "unpack in the window" not in events
    assert events.index("save photo_0.png") < events.index("unpack photo_1.png")
    monkeypatch.setattr(MaskPatch, "from_bytes", unpack)
    for number in range(3):
        go_to(qtbot, studio, f"photo_{number}.png")
        assert (classes(studio) == 1).sum() == 400


def test_nothing_is_converted_while_only_unlabelled_pixels_may_change(qtbot: QtBot, studio: Studio) -> None:
    paint(document_of(studio), Rect(10, 10, 20, 20), 1)
    studio.tool_state.set_only_unlabelled(True)
    studio.window.commands._convert_flow.convert_image(document_of(studio), 1, 0)
    assert (classes(studio) == 1).sum() == 400
    assert "Only unlabelled" in studio.window.message_bar.text


# --- copy


def test_the_mask_of_the_image_before_is_copied_onto_unlabelled_pixels(qtbot: QtBot, studio: Studio) -> None:
    paint(document_of(studio), Rect(10, 10, 30, 30), 1)
    go_to(qtbot, studio, "photo_1.png")
    paint(document_of(studio), Rect(10, 10, 10, 30), 0)
    trigger(studio, "copy_previous")
    qtbot.waitUntil(lambda: bool((classes(studio) == 1).any()), timeout=10_000)
    now = classes(studio)
    assert (now[10:40, 10:20] == 0).all()
    assert (now[10:40, 20:40] == 1).all()
    assert (document_of(studio).provenance_plane.read(Rect(20, 10, 20, 30)) == Provenance.IMPORTED).all()
    document_of(studio).undo()
    assert not (classes(studio) == 1).any()
    assert (classes(studio)[10:40, 10:20] == 0).all()


def test_a_mask_of_another_size_is_refused(qtbot: QtBot, studio: Studio) -> None:
    go_to(qtbot, studio, "photo_9.png")
    trigger(studio, "copy_previous")
    qtbot.waitUntil(lambda: "does not fit" in studio.window.message_bar.text, timeout=10_000)
    assert "160" in studio.window.message_bar.text
    assert not document_of(studio).history.can_undo


def test_the_first_image_has_none_before(qtbot: QtBot, studio: Studio) -> None:
    go_to(qtbot, studio, "photo_0.png")
    trigger(studio, "copy_previous")
    assert "no image before" in studio.window.status_line.currentMessage()
